//! The certificates that new handshakes get.

use std::sync::{Arc, PoisonError, RwLock};

use amphi_shared_wire::Micros;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::certificate::Certificate;
use crate::clock::Clock;

/// A new certificate is named this long before it is served: clients that hold an older list of endpoints, such as one
/// that comes back into its match, find the certificate which they pinned.
const NAMED_BEFORE: Micros = Micros::from_secs(24 * 3_600);
/// No handshake gets a certificate that ends within this time: a clock of a client may be early.
const SERVED_BEFORE_END: Micros = Micros::from_secs(3_600);

/// Answers every handshake with a certificate that its client may have pinned: a new one is named at once, but served
/// only when the lists that do not name it are old.
#[derive(Debug)]
pub(crate) struct Certificates {
    clock: Clock,
    served: RwLock<Served>,
}

#[derive(Debug)]
struct Served {
    newest: Certified,
    before: Option<Before>,
}

#[derive(Debug)]
struct Certified {
    certificate: Certificate,
    key: Arc<CertifiedKey>,
}

/// The one before the newest, named until it ends.
#[derive(Debug)]
struct Before {
    certified: Certified,
    served_until: Micros,
}

impl Certificates {
    /// An error: the key does not fit the certificate.
    pub(crate) fn new(certificate: Certificate, clock: Clock) -> Result<Self, rustls::Error> {
        let served = Served { newest: Certified::new(certificate)?, before: None };
        Ok(Self { clock, served: RwLock::new(served) })
    }

    /// Names this one from now on, and serves it when the one before has had its time.
    pub(crate) fn renew(&self, now: Micros, certificate: Certificate) -> Result<(), rustls::Error> {
        let newest = Certified::new(certificate)?;
        // Nothing panics while it holds the lock, so a poisoned one is still whole.
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        if served.newest.certificate.sha256() != newest.certificate.sha256() {
            let certified = std::mem::replace(&mut served.newest, newest);
            let end = certified.certificate.until().map(|until| until - SERVED_BEFORE_END);
            let served_until = end.unwrap_or(Micros(u64::MAX)).min(now + NAMED_BEFORE);
            served.before = Some(Before { certified, served_until });
        }
        Ok(())
    }

    /// SHA-256 of the certificates that clients may pin, the newest first.
    pub(crate) fn sha256(&self, now: Micros) -> Vec<[u8; 32]> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        let before = served.before.iter().map(|before| &before.certified.certificate);
        let good = before.filter(|before| before.until().is_none_or(|until| until > now));
        std::iter::once(&served.newest.certificate).chain(good).map(Certificate::sha256).collect()
    }

    fn key(&self, now: Micros) -> Arc<CertifiedKey> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        let before = served.before.as_ref().filter(|before| now < before.served_until);
        Arc::clone(&before.map_or(&served.newest, |before| &before.certified).key)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key(self.clock.now()))
    }
}

impl Certified {
    fn new(certificate: Certificate) -> Result<Self, rustls::Error> {
        Ok(Self { key: certified(&certificate)?, certificate })
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

    const DAY: Micros = Micros::from_secs(24 * 3_600);

    /// A certificate that was half-way through its life, and the one that came then.
    fn renewed() -> (Certificates, [Certificate; 2], Micros) {
        let start = Micros::from_secs(1_763_000_000);
        let first = Certificate::generate(start).unwrap();
        let served = Certificates::new(first.clone(), Clock::start()).unwrap();
        let due = first.renew_at().unwrap();
        let second = Certificate::generate(due).unwrap();
        served.renew(due, first.clone()).unwrap();
        assert_eq!(served.sha256(due), [first.sha256()]);
        served.renew(due, second.clone()).unwrap();
        (served, [first, second], due)
    }

    fn serves(certificates: &Certificates, now: Micros, expected: &Certificate) {
        assert_eq!(certificates.key(now).cert[0].as_ref(), expected.der());
    }

    #[test]
    fn a_new_one_is_named_at_once_and_served_a_day_later() {
        let (served, [first, second], due) = renewed();
        assert_eq!(served.sha256(due), [second.sha256(), first.sha256()]);
        serves(&served, due + DAY - Micros(1), &first);
        serves(&served, due + DAY, &second);
        let end = first.until().unwrap();
        assert_eq!(served.sha256(end - Micros(1)), [second.sha256(), first.sha256()]);
        assert_eq!(served.sha256(end), [second.sha256()]);
    }

    #[test]
    fn one_that_ends_is_not_served_any_more() {
        let first = Certificate::generate(Micros::from_secs(1_763_000_000)).unwrap();
        let served = Certificates::new(first.clone(), Clock::start()).unwrap();
        let late = first.until().unwrap() - Micros::from_secs(2 * 3_600);
        let second = Certificate::generate(late).unwrap();
        served.renew(late, second.clone()).unwrap();
        serves(&served, late, &first);
        serves(&served, late + SERVED_BEFORE_END, &second);
    }

    #[test]
    fn a_key_that_does_not_fit_changes_nothing() {
        let (served, [first, second], due) = renewed();
        let foreign = Certificate::from_der(first.der().to_vec(), second.key_der().to_vec(), None);
        assert!(served.renew(due, foreign).is_err());
        assert_eq!(served.sha256(due), [second.sha256(), first.sha256()]);
    }
}
