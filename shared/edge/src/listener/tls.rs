//! TLS on the TCP port: certificate files that may change while the process runs, and a bound on handshakes.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use amphi_shared_wire::limits::{HANDSHAKE_MS_MAX, TLS_HANDSHAKES_MAX};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::tls_stream::TlsStream;

/// A client gets this long for its first byte, and for the handshake.
const HANDSHAKE: Duration = Duration::from_millis(HANDSHAKE_MS_MAX);
/// First byte of a TLS connection: a handshake record (RFC 8446 section 5.1). No HTTP method begins with it.
const HANDSHAKE_RECORD: u8 = 22;
/// How often the files are looked at.
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// A certificate that a CA has signed, and its key; both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those that lead to its CA.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read, or is not what it should be.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The listener has no certificate files.
    #[error("this listener has no certificate files")]
    Absent,
    /// The system has no random numbers, or the like.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// TLS of one port.
pub(super) struct Tls {
    config: Arc<ServerConfig>,
    files: Arc<Files>,
    handshakes: Semaphore,
}

/// The certificate in use.
struct Files {
    files: TlsFiles,
    key: RwLock<Arc<CertifiedKey>>,
}

impl Tls {
    pub(super) fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let key = RwLock::new(Arc::new(load(&files)?));
        let files = Arc::new(Files { files, key });
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&files) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // What a session needs to go on lies in its ticket, with the client: it costs no memory here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = ring::Ticketer::new()?;
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config), files, handshakes: Semaphore::new(TLS_HANDSHAKES_MAX) })
    }

    /// Waits for a place among the handshakes, then for the client.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream> {
        let handshake = async {
            let _place = self.handshakes.acquire().await.map_err(io::Error::other)?;
            TlsStream::accept(Arc::clone(&self.config), stream).await
        };
        tokio::time::timeout(HANDSHAKE, handshake).await?
    }

    /// Reads the files again; what is open keeps the old certificate, and so does everything when they are not right.
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        let key = Arc::new(load(&self.files.files)?);
        *self.files.key.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// Reads the files again whenever they have changed, for ever.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut seen = self.files.changed_at();
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            let changed_at = self.files.changed_at();
            if changed_at == seen {
                continue;
            }
            match self.reload() {
                Ok(()) => {
                    seen = changed_at;
                    tracing::info!("the TLS certificate was read again");
                }
                // The other file may come in a moment.
                Err(error) => tracing::warn!(%error, "the changed TLS certificate cannot be used"),
            }
        }
    }
}

/// Whether a connection begins with TLS; waits for its first byte.
pub(super) async fn begins_with_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let bytes = tokio::time::timeout(HANDSHAKE, stream.peek(&mut first)).await??;
    Ok(bytes == 1 && first[0] == HANDSHAKE_RECORD)
}

impl Files {
    fn changed_at(&self) -> [Option<SystemTime>; 2] {
        [&self.files.certificate, &self.files.key].map(|path| fs::metadata(path).and_then(|file| file.modified()).ok())
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.files)
    }
}

fn load(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let wrong =
        |path: &Path, reason: &dyn fmt::Display| TlsError::File { path: path.to_owned(), reason: reason.to_string() };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&files.certificate).and_then(|certificates| certificates.collect());
    let chain = chain.map_err(|error| wrong(&files.certificate, &error))?;
    if chain.is_empty() {
        return Err(wrong(&files.certificate, &"there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
    let key = ring::sign::any_supported_type(&key).map_err(|error| wrong(&files.key, &error))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // A key whose public half cannot be told is tried as it is.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(error) => Err(wrong(&files.key, &error)),
    }
}
