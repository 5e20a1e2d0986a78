//! Where a match is, and the right to a seat in it.

use std::net::{SocketAddr, ToSocketAddrs};

use amphi_clients_rust::quic::Host;
use serde::Deserialize;
use thiserror::Error;

/// Bytes of a SHA-256.
const HASH_BYTES: usize = 32;

/// A match to join: an address, and a connect token that is good for one seat and about a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// UDP address of the match host.
    pub address: SocketAddr,
    /// SHA-256 of the certificates that the host may show.
    pub cert_sha256: Vec<[u8; HASH_BYTES]>,
    /// The connect token.
    pub token: String,
}

/// Why an answer of the service is no invitation.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvitationError {
    /// Not the JSON of a match.
    #[error("this is not the `match` of a matched ticket, nor the answer of POST /api/v1/matches/ID/seat: {0}")]
    Json(#[from] serde_json::Error),
    /// The host offers no QUIC.
    #[error("the host offers no QUIC: set `public_host` on it, and open its UDP port")]
    Quic,
    /// The address is not one, or no such host is known.
    #[error("`{0}` leads nowhere: is `public_host` a name that this machine can resolve?")]
    Address(String),
    /// A certificate's hash is not 32 bytes in hex.
    #[error("`{0}` is no SHA-256 in hex")]
    Hash(String),
}

#[derive(Deserialize)]
struct Seat {
    endpoints: Vec<Endpoint>,
    token: String,
}

#[derive(Deserialize)]
struct Endpoint {
    transport: String,
    url: String,
    #[serde(default)]
    cert_sha256: Vec<String>,
}

impl Invitation {
    /// Reads what the service says of a match: `match` of a ticket that is matched, or the answer to
    /// `POST /api/v1/matches/ID/seat`. A host that has a name instead of an address is looked up, which may block.
    ///
    /// # Errors
    /// [`InvitationError`] says what is wrong with the answer.
    pub fn from_json(json: &str) -> Result<Self, InvitationError> {
        let Seat { endpoints, token } = serde_json::from_str(json)?;
        let quic = endpoints.into_iter().find(|endpoint| endpoint.transport == "quic").ok_or(InvitationError::Quic)?;
        let cert_sha256 = quic.cert_sha256.iter().map(|hash| hash_of(hash)).collect::<Result<_, _>>()?;
        let place = quic.url.strip_prefix("quic://").unwrap_or(&quic.url);
        let mut found = place.to_socket_addrs().map_err(|_| InvitationError::Address(quic.url.clone()))?;
        let address = found.next().ok_or_else(|| InvitationError::Address(quic.url.clone()))?;
        Ok(Self { address, cert_sha256, token })
    }

    pub(crate) fn host(&self) -> Host {
        Host { address: self.address, cert_sha256: self.cert_sha256.clone() }
    }
}

fn hash_of(hex: &str) -> Result<[u8; HASH_BYTES], InvitationError> {
    let wrong = || InvitationError::Hash(hex.to_owned());
    let mut hash = [0; HASH_BYTES];
    if hex.len() != 2 * HASH_BYTES {
        return Err(wrong());
    }
    for (i, byte) in hash.iter_mut().enumerate() {
        let digits = hex.get(2 * i..2 * i + 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(hash)
}

#[cfg(test)]
mod tests;
