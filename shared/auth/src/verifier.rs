//! Checking tokens with public keys only.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use amphi_shared_wire::limits::{TOKEN_BYTES_MAX, TOKEN_KEYS_MAX, TOKEN_LIFE_S_MAX};
use amphi_shared_wire::{Code, Micros};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::Value;

use crate::issuer::Issuer;
use crate::keys::{self, JwksError, KeySet};
use crate::revocation::{Revocation, Revocations};
use crate::token::{Envelope, ISSUER, Kind, Life};
use crate::{ConnectToken, IssuerConfig, IssuerError, ServiceToken, UserToken, provider};

/// How long a token may live.
pub(crate) const LIFE_MAX: Micros = Micros::from_secs(TOKEN_LIFE_S_MAX);

/// Checks tokens with the public keys of a deployment and of the issuers it trusts, and knows what was revoked. Cheap
/// to clone; all clones know the same keys, issuers and revocations.
#[derive(Clone)]
pub struct Verifier {
    shared: Arc<Shared>,
}

struct Shared {
    own: RwLock<Arc<KeySet>>,
    issuers: RwLock<Arc<[Arc<Issuer>]>>,
    revocations: Revocations,
    /// Somebody brings new keys of ours when they are missed.
    followed: AtomicBool,
    missed: AtomicBool,
    missed_foreign: AtomicBool,
}

/// What a token says of itself before anything is verified.
pub(crate) struct Header {
    /// `None`: one that nothing here speaks, `none` among them.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) kid: Option<String>,
}

impl Verifier {
    /// A verifier with the Ed25519 keys of a JSON Web Key Set; keys of other kinds are left out.
    ///
    /// # Errors
    /// The text is no key set, or holds none of our keys or too many.
    pub fn from_jwks(text: &str) -> Result<Self, JwksError> {
        Ok(Self::from_keys(keys::parse(text, &[Algorithm::EdDSA])?))
    }

    /// Takes the newest public keys of the deployment. Keys that are not among them no longer count.
    ///
    /// # Errors
    /// As [`Verifier::from_jwks`]; then the keys stay as they were.
    pub fn set_keys(&self, jwks: &str) -> Result<(), JwksError> {
        self.replace_keys(keys::parse(jwks, &[Algorithm::EdDSA])?);
        Ok(())
    }

    /// Says that somebody calls [`Self::set_keys`] soon after a key was missed: until then such tokens are refused with
    /// `TokenKeyUnknown`, which means *try again*, not with `TokenInvalid`.
    pub fn follow(&self) {
        self.shared.followed.store(true, Ordering::Relaxed);
    }

    /// Whether a token named a key of ours that is not known, since this was last asked.
    pub fn take_missed(&self) -> bool {
        self.shared.missed.swap(false, Ordering::Relaxed)
    }

    /// As [`Self::take_missed`], for the issuers.
    pub fn take_missed_foreign(&self) -> bool {
        self.shared.missed_foreign.swap(false, Ordering::Relaxed)
    }

    /// Trusts user tokens of other issuers. `salt` makes the ids of their people, and is a secret of the deployment.
    ///
    /// # Errors
    /// See [`IssuerError`]; more than [`TOKEN_KEYS_MAX`] issuers, or two of one name, are an error of the name.
    pub fn set_issuers(&self, configs: Vec<IssuerConfig>, salt: &[u8]) -> Result<(), IssuerError> {
        let issuers: Vec<_> =
            configs.into_iter().map(|config| Issuer::new(config, salt).map(Arc::new)).collect::<Result<_, _>>()?;
        let twice = issuers.iter().enumerate().any(|(n, a)| issuers[..n].iter().any(|b| a.name() == b.name()));
        if twice || issuers.len() > TOKEN_KEYS_MAX {
            return Err(IssuerError::Name);
        }
        *self.shared.issuers.write().unwrap_or_else(PoisonError::into_inner) = issuers.into();
        Ok(())
    }

    /// Takes the newest public keys of an issuer: RS256, ES256 and EdDSA keys of its JSON Web Key Set. An issuer that
    /// is not trusted is left alone.
    ///
    /// # Errors
    /// The text is no key set, or holds no usable key or too many; then the keys stay as they were.
    pub fn set_issuer_keys(&self, issuer: &str, jwks: &str) -> Result<(), JwksError> {
        match self.issuers().iter().find(|known| known.name() == issuer) {
            Some(known) => known.set_keys(jwks),
            None => Ok(()),
        }
    }

    /// Ends tokens before their time, for every clone of this verifier.
    ///
    /// # Errors
    /// `Overloaded`: as many as may be remembered still count.
    pub fn revoke(&self, now: Micros, revocation: Revocation) -> Result<(), Code> {
        self.shared.revocations.insert(now, revocation)
    }

    /// The user token behind `token`, ours or that of an issuer.
    ///
    /// # Errors
    /// `TokenExpired` or `TokenRevoked` when everything else is right, `TokenKeyUnknown` when its key may still come,
    /// `TokenIssuer`, `TokenAudience` or `TokenAlgorithm` for a foreign one that is meant for somebody else, else
    /// `TokenInvalid`.
    pub fn user(&self, now: Micros, token: &str) -> Result<UserToken, Code> {
        let (header, issuer) = open(token)?;
        if issuer == ISSUER {
            return self.check(now, &header, token);
        }
        let issuers = self.issuers();
        let known = issuers.iter().find(|known| known.name() == issuer).ok_or(Code::TokenIssuer)?;
        let user = known.user(now, &header, token).inspect_err(|code| {
            if *code == Code::TokenKeyUnknown {
                self.shared.missed_foreign.store(true, Ordering::Relaxed);
            }
        })?;
        self.unrevoked(user)
    }

    /// The connect token behind `token`.
    ///
    /// # Errors
    /// `TokenExpired` when everything but the time is right, `TokenKeyUnknown` when its key may still come, else
    /// `TokenInvalid`.
    pub fn connect(&self, now: Micros, token: &str) -> Result<ConnectToken, Code> {
        let (header, _) = open(token)?;
        self.check(now, &header, token)
    }

    /// The service token behind `token`.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn service(&self, now: Micros, token: &str) -> Result<ServiceToken, Code> {
        let (header, _) = open(token)?;
        self.check(now, &header, token)
    }

    pub(crate) fn from_keys(keys: KeySet) -> Self {
        provider::install();
        Self {
            shared: Arc::new(Shared {
                own: RwLock::new(Arc::new(keys)),
                issuers: RwLock::new(Arc::from([])),
                revocations: Revocations::default(),
                followed: AtomicBool::new(false),
                missed: AtomicBool::new(false),
                missed_foreign: AtomicBool::new(false),
            }),
        }
    }

    pub(crate) fn replace_keys(&self, keys: KeySet) {
        *self.shared.own.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn own(&self) -> Arc<KeySet> {
        Arc::clone(&self.shared.own.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn issuers(&self) -> Arc<[Arc<Issuer>]> {
        Arc::clone(&self.shared.issuers.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn check<K: Kind>(&self, now: Micros, header: &Header, token: &str) -> Result<K, Code> {
        let envelope = self.signed::<K>(header, token)?;
        let life = Life { issued: seconds(envelope.iat), expires: seconds(envelope.exp) };
        let token = K::from_claims(envelope.claims, life).ok_or(Code::TokenInvalid)?;
        if now >= life.expires {
            return Err(Code::TokenExpired);
        }
        self.unrevoked(token)
    }

    /// The claims, when a key of ours signed them for this kind.
    fn signed<K: Kind>(&self, header: &Header, token: &str) -> Result<Envelope<K::Claims>, Code> {
        if header.algorithm != Some(Algorithm::EdDSA) {
            return Err(Code::TokenInvalid);
        }
        let keys = self.own();
        let kid = header.kid.as_deref().ok_or(Code::TokenInvalid)?;
        let Some(key) = keys.get(kid) else {
            self.shared.missed.store(true, Ordering::Relaxed);
            let followed = self.shared.followed.load(Ordering::Relaxed);
            return Err(if followed { Code::TokenKeyUnknown } else { Code::TokenInvalid });
        };
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[K::AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // The clock is handed in, so the caller checks the time.
        validation.validate_exp = false;
        jsonwebtoken::decode(token, &key.key, &validation).map(|data| data.claims).map_err(|_| Code::TokenInvalid)
    }

    fn unrevoked<K: Kind>(&self, token: K) -> Result<K, Code> {
        match token.revocable() {
            Some((id, user, issued)) if self.shared.revocations.contains(id, user, issued) => Err(Code::TokenRevoked),
            Some(_) | None => Ok(token),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.own().keys()).finish()
    }
}

fn seconds(seconds: u64) -> Micros {
    Micros(seconds.saturating_mul(1_000_000))
}

/// What a token says of its key and its issuer. Nothing of it is proven yet: it only chooses by what the token is
/// measured.
fn open(token: &str) -> Result<(Header, String), Code> {
    #[derive(Deserialize)]
    struct RawHeader {
        alg: String,
        kid: Option<String>,
        crit: Option<Value>,
    }
    #[derive(Deserialize)]
    struct RawClaims {
        iss: String,
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Code::TokenInvalid);
    }
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part));
    let (Some(Ok(header)), Some(Ok(claims))) = (parts.next(), parts.next()) else {
        return Err(Code::TokenInvalid);
    };
    let header: RawHeader = serde_json::from_slice(&header).map_err(|_| Code::TokenInvalid)?;
    let claims: RawClaims = serde_json::from_slice(&claims).map_err(|_| Code::TokenInvalid)?;
    // RFC 7515 section 4.1.11: an extension that must be understood, and is not.
    if header.crit.is_some() {
        return Err(Code::TokenInvalid);
    }
    Ok((Header { algorithm: header.alg.parse().ok(), kid: header.kid }, claims.iss))
}
