//! The certificate that new handshakes get.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::certificate::Certificate;

/// Answers every handshake with one certificate, which can be replaced while the listener runs.
#[derive(Debug)]
pub(crate) struct Certificates(RwLock<Arc<CertifiedKey>>);

impl Certificates {
    /// An error: the key does not fit the certificate.
    pub(crate) fn new(certificate: &Certificate) -> Result<Self, rustls::Error> {
        Ok(Self(RwLock::new(Arc::new(certified(certificate)?))))
    }

    /// Handshakes that begin from now on get this one.
    pub(crate) fn renew(&self, certificate: &Certificate) -> Result<(), rustls::Error> {
        let certified = Arc::new(certified(certificate)?);
        // Nothing panics while it holds the lock, so a poisoned one is still whole.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn certified(certificate: &Certificate) -> Result<CertifiedKey, rustls::Error> {
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificate.key_der().to_vec()));
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
}
