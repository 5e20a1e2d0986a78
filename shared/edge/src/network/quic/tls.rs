//! TLS of accepted QUIC connections: quinn-proto's, but what only the handshake needs goes when it is over.
//!
//! A client says nothing in TLS afterwards (RFC 9001 sections 4.4, 4.6.1 and 6), so all that a connection must keep is
//! the secret of its next keys: about 200 bytes instead of 3 KiB.

use std::any::Any;
use std::sync::Arc;

use quinn_proto::crypto::rustls::{HandshakeData, NoInitialCipherSuite, QuicServerConfig};
use quinn_proto::crypto::{
    ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, ServerConfig, Session, UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectionId, Side, TransportError, TransportErrorCode};
use rustls::AlertDescription;
use rustls::quic::{self, KeyChange, Secrets};

/// What the sessions of a server share.
pub(super) struct Tls {
    rustls: Arc<rustls::ServerConfig>,
    /// For what no session is needed for.
    quinn: Arc<QuicServerConfig>,
}

impl Tls {
    pub(super) fn new(rustls: rustls::ServerConfig) -> Result<Self, NoInitialCipherSuite> {
        let rustls = Arc::new(rustls);
        Ok(Self { quinn: Arc::new(Arc::clone(&rustls).try_into()?), rustls })
    }
}

impl ServerConfig for Tls {
    fn initial_keys(&self, version: u32, dst_cid: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        self.quinn.initial_keys(version, dst_cid)
    }

    fn retry_tag(&self, version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.quinn.retry_tag(version, orig_dst_cid, packet)
    }

    fn start_session(self: Arc<Self>, version: u32, params: &TransportParameters) -> Box<dyn Session> {
        let mut bytes = Vec::new();
        params.write(&mut bytes);
        let handshake = quic::ServerConnection::new(Arc::clone(&self.rustls), version_of(version), bytes);
        Box::new(TlsSession {
            tls: self,
            version,
            handshake: Some(Box::new(handshake.expect("the configuration speaks TLS 1.3 and QUIC"))),
            alpn: None,
            next: None,
        })
    }
}

/// One connection's.
struct TlsSession {
    tls: Arc<Tls>,
    version: u32,
    /// Gone when it is over.
    handshake: Option<Box<quic::ServerConnection>>,
    /// Once the client has said what it speaks.
    alpn: Option<Vec<u8>>,
    /// Of the keys after the present ones, once there are any.
    next: Option<Secrets>,
}

impl Session for TlsSession {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        debug_assert!(side.is_server(), "only accepted connections are here");
        self.tls.quinn.initial_keys(self.version, dst_cid).expect("the version was accepted before")
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        let protocol = self.alpn.clone()?;
        Some(Box::new(HandshakeData { protocol: Some(protocol), server_name: None }))
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        // Clients have no certificates.
        None
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        let keys = self.handshake.as_ref()?.zero_rtt_keys()?;
        Some((Box::new(keys.header), Box::new(keys.packet)))
    }

    fn early_data_accepted(&self) -> Option<bool> {
        // The client's to know.
        None
    }

    fn is_handshaking(&self) -> bool {
        self.handshake.as_ref().is_some_and(|handshake| handshake.is_handshaking())
    }

    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        let Some(handshake) = &mut self.handshake else {
            let reason = "a message of TLS after the handshake".to_owned();
            return Err(alert(AlertDescription::UnexpectedMessage, reason));
        };
        if let Err(error) = handshake.read_hs(bytes) {
            return Err(alert(handshake.alert().unwrap_or(AlertDescription::InternalError), error.to_string()));
        }
        if self.alpn.is_some() {
            return Ok(false);
        }
        self.alpn = handshake.alpn_protocol().map(<[u8]>::to_vec);
        Ok(self.alpn.is_some())
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let bytes = self.handshake.as_ref().and_then(|handshake| handshake.quic_transport_parameters());
        bytes.map(|mut bytes| Ok(TransportParameters::read(Side::Server, &mut bytes)?)).transpose()
    }

    fn write_handshake(&mut self, out: &mut Vec<u8>) -> Option<Keys> {
        let handshake = self.handshake.as_mut()?;
        let written = out.len();
        let keys = match handshake.write_hs(out) {
            Some(KeyChange::Handshake { keys }) => keys,
            Some(KeyChange::OneRtt { keys, next }) => {
                self.next = Some(next);
                keys
            }
            None => {
                if out.len() == written && !handshake.is_handshaking() {
                    self.handshake = None;
                }
                return None;
            }
        };
        Some(Keys {
            header: KeyPair { local: Box::new(keys.local.header), remote: Box::new(keys.remote.header) },
            packet: KeyPair { local: Box::new(keys.local.packet), remote: Box::new(keys.remote.packet) },
        })
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let keys = self.next.as_mut()?.next_packet_keys();
        Some(KeyPair { local: Box::new(keys.local), remote: Box::new(keys.remote) })
    }

    fn is_valid_retry(&self, _: &ConnectionId, _: &[u8], _: &[u8]) -> bool {
        // Only a server sends one.
        false
    }

    fn export_keying_material(&self, _: &mut [u8], _: &[u8], _: &[u8]) -> Result<(), ExportKeyingMaterialError> {
        // Nobody asks, and the secret goes with the handshake.
        Err(ExportKeyingMaterialError)
    }
}

fn alert(description: AlertDescription, reason: String) -> TransportError {
    TransportError { code: TransportErrorCode::crypto(description.into()), frame: None, reason }
}

/// Never asked for a version that [`QuicServerConfig`] has refused.
fn version_of(version: u32) -> quic::Version {
    match version {
        0xff00_001d..=0xff00_0020 => quic::Version::V1Draft,
        _ => quic::Version::V1,
    }
}
