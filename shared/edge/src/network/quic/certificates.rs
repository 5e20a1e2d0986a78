//! The certificate that new handshakes get.

use std::sync::{Arc, PoisonError, RwLock};

use amphi_shared_wire::Micros;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::certificate::Certificate;

/// Answers every handshake with the newest certificate. The one before it is remembered as long as it is good, because
/// clients may have been told of either.
#[derive(Debug)]
pub(crate) struct Certificates(RwLock<Served>);

#[derive(Debug)]
struct Served {
    key: Arc<CertifiedKey>,
    newest: Certificate,
    before: Option<Certificate>,
}

impl Certificates {
    /// An error: the key does not fit the certificate.
    pub(crate) fn new(certificate: Certificate) -> Result<Self, rustls::Error> {
        Ok(Self(RwLock::new(Served { key: certified(&certificate)?, newest: certificate, before: None })))
    }

    /// Handshakes that begin from now on get this one.
    pub(crate) fn renew(&self, certificate: Certificate) -> Result<(), rustls::Error> {
        let key = certified(&certificate)?;
        // Nothing panics while it holds the lock, so a poisoned one is still whole.
        let mut served = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if served.newest.sha256() != certificate.sha256() {
            served.before = Some(std::mem::replace(&mut served.newest, certificate));
            served.key = key;
        }
        Ok(())
    }

    /// SHA-256 of the certificates that clients may pin, the newest first.
    pub(crate) fn sha256(&self, now: Micros) -> Vec<[u8; 32]> {
        let served = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let before = served.before.iter().filter(|before| before.until().is_none_or(|until| until > now));
        std::iter::once(&served.newest).chain(before).map(Certificate::sha256).collect()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).key))
    }
}

fn certified(certificate: &Certificate) -> Result<Arc<CertifiedKey>, rustls::Error> {
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificate.key_der().to_vec()));
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_before_is_named_as_long_as_it_is_good() {
        let start = Micros::from_secs(1_763_000_000);
        let first = Certificate::generate(start).unwrap();
        let served = Certificates::new(first.clone()).unwrap();
        served.renew(first.clone()).unwrap();
        assert_eq!(served.sha256(start), [first.sha256()]);
        let due = first.renew_at().unwrap();
        let second = Certificate::generate(due).unwrap();
        served.renew(second.clone()).unwrap();
        assert_eq!(served.sha256(due), [second.sha256(), first.sha256()]);
        assert_eq!(served.sha256(first.until().unwrap()), [second.sha256()]);
        let foreign = Certificate::from_der(first.der().to_vec(), second.key_der().to_vec());
        assert!(served.renew(foreign).is_err());
    }
}
