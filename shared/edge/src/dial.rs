//! Connections that this process makes: the client's side of QUIC and WebTransport, for relays, load and tests.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use amphi_shared_session::{PipeId, PipeInfo, PipeKind};
use amphi_shared_wire::{ALPN_AMPHI, LANE_PIPE, Lane};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use url::Url;

use crate::clock::Clock;
use crate::counters::Counters;
use crate::endpoint::{Endpoint, from_hex};
use crate::network::quic::{self, Dial, QuicThread, Side};
use crate::session::{PipeEvent, PipeHandle};

/// Why there is no connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DialError {
    /// The endpoint names a transport, an address or a certificate that cannot be used.
    #[error("the endpoint {0} cannot be dialled: {1}")]
    Endpoint(String, &'static str),
    /// No socket.
    #[error("no UDP socket: {0}")]
    Socket(#[from] io::Error),
    /// Nobody answered in time, or with another certificate.
    #[error("no connection to {0}: {1}")]
    Connection(String, String),
}

/// A connection that this process made.
#[derive(Debug)]
pub struct Dialled {
    /// To send on it.
    pub handle: PipeHandle,
    /// What the session engine must know of it.
    pub info: PipeInfo,
}

/// Makes connections from one UDP socket. Cheap to clone; when the last clone is dropped, its connections close.
#[derive(Clone)]
pub struct Dialer {
    quic: Arc<QuicThread>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dialer")
    }
}

impl Dialer {
    /// A dialer on any free port, with a network thread of its own.
    ///
    /// # Errors
    /// There is no socket.
    pub fn new(clock: Clock) -> Result<Self, DialError> {
        let socket = UdpSocket::bind(SocketAddr::from(([0, 0, 0, 0], 0)))?;
        let quic = QuicThread::start(clock, socket, Side::Client(Counters::new()))?;
        Ok(Self { quic: Arc::new(quic) })
    }

    /// Connects to an endpoint whose certificate is pinned and opens `lanes`, lane 0 among them; or [`LANE_PIPE`] alone,
    /// which makes it an ordered pipe. What arrives goes into `mailbox` under the name `pipe`, until its `Closed`.
    ///
    /// # Errors
    /// The endpoint cannot be used, or does not answer within the handshake time.
    pub async fn dial(
        &self,
        endpoint: &Endpoint,
        lanes: &[Lane],
        pipe: PipeId,
        mailbox: mpsc::Sender<PipeEvent>,
    ) -> Result<Dialled, DialError> {
        let failed = |error: String| DialError::Connection(endpoint.url.clone(), error);
        let Target { url, host, address, alpn } = target(endpoint).await?;
        let (answer, answered) = oneshot::channel();
        let dial = Dial {
            address,
            name: host,
            config: quic::client_config(alpn, Arc::new(Pinned::new(endpoint)?)).map_err(|e| failed(e.to_string()))?,
            web_transport: (alpn == quic::ALPN_H3).then_some(url),
            lanes: lanes.to_vec(),
            pipe,
            mailbox,
            answer,
        };
        self.quic.dial(dial);
        let outlet = answered.await.unwrap_or_else(|_| Err("the connection broke".to_owned())).map_err(failed)?;
        let kind = if lanes.contains(&LANE_PIPE) { PipeKind::Ordered } else { PipeKind::Streams };
        let info = PipeInfo { id: pipe, kind, max_datagram: outlet.max_datagram(), early: false };
        Ok(Dialled { handle: PipeHandle::new(outlet), info })
    }
}

/// Where an endpoint leads.
struct Target {
    url: Url,
    host: String,
    address: SocketAddr,
    alpn: &'static [u8],
}

async fn target(endpoint: &Endpoint) -> Result<Target, DialError> {
    let bad = |what| DialError::Endpoint(endpoint.url.clone(), what);
    let url: Url = endpoint.url.parse().map_err(|_| bad("no URL"))?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(bad("no host and port"));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let alpn = match endpoint.transport.as_str() {
        "quic" => ALPN_AMPHI,
        "webtransport" => quic::ALPN_H3,
        _ => return Err(bad("not quic or webtransport")),
    };
    let found = tokio::net::lookup_host((host.as_str(), port)).await.map(|mut found| found.next());
    let found = found.map_err(|error| DialError::Connection(endpoint.url.clone(), error.to_string()))?;
    let address = found.ok_or_else(|| bad("no such host"))?;
    Ok(Target { url, host, address, alpn })
}

/// Accepts the certificates of an endpoint's list, by hash, and no other.
#[derive(Debug)]
struct Pinned {
    hashes: Vec<Vec<u8>>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn new(endpoint: &Endpoint) -> Result<Self, DialError> {
        let hashes: Vec<_> = endpoint.cert_sha256.iter().filter_map(|hash| from_hex(hash)).collect();
        if hashes.is_empty() {
            return Err(DialError::Endpoint(endpoint.url.clone(), "no certificate hash"));
        }
        Ok(Self { hashes, provider: Arc::new(rustls::crypto::ring::default_provider()) })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let hash = ring::digest::digest(&ring::digest::SHA256, certificate);
        if self.hashes.iter().any(|pinned| pinned == hash.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::UnknownIssuer.into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("QUIC has no TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
