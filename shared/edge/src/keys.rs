//! Public keys from elsewhere, kept up to date: those of the deployment, and those of the issuers it trusts.

use std::path::PathBuf;
use std::time::Duration;

use amphi_shared_auth::Verifier;
use amphi_shared_wire::Micros;
use thiserror::Error;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::shutdown::Shutdown;

/// How often a key set is read without being asked for.
const EVERY: Micros = Micros::from_secs(300);
/// A key that nobody knows makes a set be read again, this often at most: anyone can make up a key's name.
const AFTER_MISS: Micros = Micros::from_secs(10);
/// How often it is looked whether there is something to do.
const LOOK: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a key set. Beyond: it is not read.
const JWKS_BYTES_MAX: usize = 128 * 1024;

/// Where a JSON Web Key Set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// At an address, `https://…` or on this machine.
    Url(String),
    /// In a file.
    File(PathBuf),
}

/// Whose keys a set holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// This deployment's own, minted by another process.
    Deployment,
    /// An issuer's, by its name.
    Issuer(String),
}

#[derive(Debug, Error)]
enum FetchError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("the answer has the status {0}")]
    Status(u16),
    #[error("it has more than {JWKS_BYTES_MAX} bytes")]
    TooLarge,
    #[error("it is not UTF-8")]
    Text,
    #[error("{0}")]
    Keys(#[from] amphi_shared_auth::JwksError),
}

struct Followed {
    owner: KeyOwner,
    source: KeySource,
    read_at: Option<Micros>,
    failed: bool,
    /// It is being read.
    reading: bool,
}

/// Reads each key set at the start, every five minutes, and soon after a token named a key that is not known; until
/// `shutdown` drains. A set that cannot be read leaves the keys as they were, and one that does not answer keeps no other
/// waiting.
pub async fn follow(verifier: Verifier, sources: Vec<(KeyOwner, KeySource)>, clock: Clock, shutdown: Shutdown) {
    crate::listener::install_crypto();
    let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build();
    let http = match http {
        Ok(http) => http,
        Err(error) => return tracing::error!(%error, "key sets cannot be read"),
    };
    let followed = |(owner, source)| Followed { owner, source, read_at: None, failed: false, reading: false };
    let mut all: Vec<Followed> = sources.into_iter().map(followed).collect();
    if all.iter().any(|followed| followed.owner == KeyOwner::Deployment) {
        verifier.follow();
    }
    // A miss waits until its set may be read again.
    let (mut missed_own, mut missed_foreign) = (false, false);
    let mut reads = JoinSet::new();
    loop {
        missed_own |= verifier.take_missed();
        missed_foreign |= verifier.take_missed_foreign();
        let now = clock.now();
        for (at, followed) in all.iter_mut().enumerate().filter(|(_, followed)| !followed.reading) {
            let missed = match followed.owner {
                KeyOwner::Deployment => missed_own,
                KeyOwner::Issuer(_) => missed_foreign || followed.failed,
            };
            let age = followed.read_at.map(|at| now.since(at));
            if age.is_none_or(|age| age >= EVERY || (missed && age >= AFTER_MISS)) {
                (followed.read_at, followed.reading) = (Some(now), true);
                let (http, source) = (http.clone(), followed.source.clone());
                reads.spawn(async move { (at, fetch(&http, &source).await) });
                match followed.owner {
                    KeyOwner::Deployment => missed_own = false,
                    KeyOwner::Issuer(_) => missed_foreign = false,
                }
            }
        }
        tokio::select! {
            Some(Ok((at, read))) = reads.join_next() => take(&verifier, &mut all[at], read),
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.wait() => return,
        }
    }
}

fn take(verifier: &Verifier, followed: &mut Followed, read: Result<String, FetchError>) {
    let taken = read.and_then(|text| {
        Ok(match &followed.owner {
            KeyOwner::Deployment => verifier.set_keys(&text),
            KeyOwner::Issuer(issuer) => verifier.set_issuer_keys(issuer, &text),
        }?)
    });
    metrics::counter!("edge_key_sets_total", "ok" => if taken.is_ok() { "true" } else { "false" }).increment(1);
    (followed.failed, followed.reading) = (taken.is_err(), false);
    match taken {
        Ok(()) => tracing::debug!(owner = ?followed.owner, "a key set was read"),
        Err(error) => {
            tracing::warn!(owner = ?followed.owner, source = ?followed.source, %error, "a key set could not be read")
        }
    }
}

async fn fetch(http: &reqwest::Client, source: &KeySource) -> Result<String, FetchError> {
    let bytes = match source {
        KeySource::File(path) => tokio::fs::read(path).await?,
        KeySource::Url(url) => {
            let mut answer = http.get(url).header("accept", "application/json").send().await?;
            if !answer.status().is_success() {
                return Err(FetchError::Status(answer.status().as_u16()));
            }
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if body.len() + chunk.len() > JWKS_BYTES_MAX {
                    return Err(FetchError::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            body
        }
    };
    String::from_utf8(bytes).map_err(|_| FetchError::Text)
}
