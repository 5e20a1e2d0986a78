//! A certificate for TLS over TCP, signed by a CA of our own.

use std::fs;
use std::path::Path;

use amphi_shared_edge::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Writes a chain of two, and its key, into a folder.
///
/// # Errors
/// When they cannot be made or written.
pub(crate) fn write(folder: &Path) -> anyhow::Result<TlsFiles> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &ca)?;
    let files = TlsFiles { certificate: folder.join("chain.pem"), key: folder.join("key.pem") };
    fs::write(&files.certificate, leaf.pem() + &ca.pem())?;
    fs::write(&files.key, key.serialize_pem())?;
    Ok(files)
}
