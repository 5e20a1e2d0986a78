//! The self-signed certificate of local roles, short enough for browsers to accept it by its hash.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amphi_shared_wire::Micros;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use thiserror::Error;

/// Whole life of a certificate, s: browsers accept at most 14 days by hash.
const LIFE_S: u64 = 13 * 24 * 3_600;
/// A clock of a client may be this late, s.
const BACKDATED_S: u64 = 3_600;
const CERTIFICATE_FILE: &str = "certificate.der";
const KEY_FILE: &str = "certificate.key.der";
const UNTIL_FILE: &str = "certificate.until";

const _: () = assert!(LIFE_S < 14 * 24 * 3_600 && BACKDATED_S < LIFE_S / 2);

/// Why there is no certificate.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The certificate could not be made.
    #[error("the certificate could not be made: {0}")]
    Generate(#[from] rcgen::Error),
}

/// A certificate (ECDSA P-256) and its private key, both DER.
#[derive(Clone)]
pub struct Certificate {
    cert_der: Vec<u8>,
    key_der: Vec<u8>,
    /// When it ends; not known of some that were made elsewhere.
    until: Option<Micros>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({})", crate::endpoint::to_hex(&self.sha256()))
    }
}

impl Certificate {
    /// The certificate in `dir`; a new one when there is none or half of its life is over.
    ///
    /// # Errors
    /// A file could not be read or written.
    pub fn load_or_create(dir: &Path, now: Micros) -> Result<Self, CertificateError> {
        if let Some(certificate) = Self::load(dir, now)? {
            return Ok(certificate);
        }
        let certificate = Self::generate(now)?;
        let until_s = good_from_s(now) + LIFE_S;
        write_private(&dir.join(KEY_FILE), &certificate.key_der)?;
        write_private(&dir.join(CERTIFICATE_FILE), &certificate.cert_der)?;
        write_private(&dir.join(UNTIL_FILE), until_s.to_string().as_bytes())?;
        Ok(certificate)
    }

    /// A new certificate for `localhost`, kept in memory only.
    ///
    /// # Errors
    /// The key or the certificate could not be made.
    pub fn generate(now: Micros) -> Result<Self, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "amphi");
        params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(good_from_s(now));
        params.not_after = params.not_before + Duration::from_secs(LIFE_S);
        let certificate = params.self_signed(&key)?;
        let until = Some(Micros::from_secs(good_from_s(now) + LIFE_S));
        Ok(Self { cert_der: certificate.der().to_vec(), key_der: key.serialize_der(), until })
    }

    /// A certificate that was made elsewhere, and when it ends if that is known; the listener refuses it when key and
    /// certificate do not fit.
    pub fn from_der(cert_der: Vec<u8>, key_der: Vec<u8>, until: Option<Micros>) -> Self {
        Self { cert_der, key_der, until }
    }

    /// The X.509 certificate.
    pub fn der(&self) -> &[u8] {
        &self.cert_der
    }

    /// The PKCS #8 private key.
    pub fn key_der(&self) -> &[u8] {
        &self.key_der
    }

    /// When it ends; not known of some that were made elsewhere.
    pub fn until(&self) -> Option<Micros> {
        self.until
    }

    /// When [`Certificate::load_or_create`] makes another one: half of its life is over.
    pub fn renew_at(&self) -> Option<Micros> {
        self.until.map(|until| until - Micros::from_secs(LIFE_S / 2 - 1))
    }

    /// SHA-256 of the certificate: what clients pin.
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &self.cert_der).as_ref());
        hash
    }

    /// The stored certificate, when it is whole and less than half of its life is over.
    fn load(dir: &Path, now: Micros) -> Result<Option<Self>, CertificateError> {
        let (Some(cert_der), Some(key_der), Some(until)) =
            (read(&dir.join(CERTIFICATE_FILE))?, read(&dir.join(KEY_FILE))?, read(&dir.join(UNTIL_FILE))?)
        else {
            return Ok(None);
        };
        let until_s = String::from_utf8_lossy(&until).trim().parse::<u64>().unwrap_or(0);
        let left_s = until_s.saturating_sub(now.0 / 1_000_000);
        let until = Some(Micros::from_secs(until_s));
        Ok((LIFE_S / 2..=LIFE_S).contains(&left_s).then_some(Self { cert_der, key_der, until }))
    }
}

/// Unix time from which a certificate made at `now` is good, s.
fn good_from_s(now: Micros) -> u64 {
    (now.0 / 1_000_000).saturating_sub(BACKDATED_S)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, CertificateError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CertificateError::File { path: path.to_owned(), source }),
    }
}

/// Writes beside the file and renames, so that a crash leaves the old or the new one. Only the owner may read it.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), CertificateError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|source| CertificateError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_until_half_of_its_life_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let start = Micros::from_secs(1_763_000_000);
        let first = Certificate::load_or_create(dir.path(), start).unwrap();
        let again = |after_s: u64| Certificate::load_or_create(dir.path(), start + Micros::from_secs(after_s)).unwrap();
        assert_eq!(again(60).sha256(), first.sha256());
        assert_eq!(again(6 * 24 * 3_600).sha256(), first.sha256());
        let due = first.renew_at().unwrap();
        assert_eq!(Certificate::load_or_create(dir.path(), due - Micros(1)).unwrap().sha256(), first.sha256());
        let renewed = Certificate::load_or_create(dir.path(), due).unwrap();
        assert_ne!(renewed.sha256(), first.sha256());
        assert_eq!(again(7 * 24 * 3_600).sha256(), renewed.sha256());
    }

    #[test]
    fn a_missing_directory_names_the_file() {
        let error = Certificate::load_or_create(Path::new("/nonexistent"), Micros::from_secs(1_763_000_000));
        assert!(error.unwrap_err().to_string().starts_with("/nonexistent/certificate.key.der: "));
    }
}
