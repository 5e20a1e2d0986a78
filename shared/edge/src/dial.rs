//! Connections that this process makes: the client's side of QUIC and WebTransport, for relays, load and tests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amphi_shared_session::{PipeId, PipeInfo, PipeKind};
use amphi_shared_wire::limits::{HANDSHAKE_MS_MAX, IDLE_MS_MAX, PING_EVERY_MS};
use amphi_shared_wire::{ALPN_AMPHI, Lane, StreamDecoder};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use thiserror::Error;
use tokio::sync::mpsc;
use url::Url;
use web_transport_quinn::Session;

use crate::clock::Clock;
use crate::counters::Counters;
use crate::endpoint::{Endpoint, from_hex};
use crate::inbound::Inbound;
use crate::session::{Datagrams, Outbox, PipeEvent, PipeHandle};
use crate::streams::{self, LaneStream, Streams};

const ALPN_H3: &[u8] = b"h3";

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

/// Makes connections from one UDP socket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dialer {
    endpoint: quinn::Endpoint,
    clock: Clock,
    counters: Counters,
}

impl Dialer {
    /// A dialer on any free port. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// There is no socket.
    pub fn new(clock: Clock) -> Result<Self, DialError> {
        let endpoint = quinn::Endpoint::client(SocketAddr::from(([0, 0, 0, 0], 0)))?;
        Ok(Self { endpoint, clock, counters: Counters::new() })
    }

    /// Connects to an endpoint whose certificate is pinned and opens `lanes`, lane 0 among them. What arrives goes
    /// into `mailbox` under the name `pipe`, until its `Closed`.
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
        let open = async {
            let session = self.connect(endpoint).await?;
            let opened = open_lanes(&session, lanes).await;
            let opened = opened.map_err(|error| DialError::Connection(endpoint.url.clone(), error.to_string()))?;
            Ok((session, opened))
        };
        let opened = tokio::time::timeout(Duration::from_millis(HANDSHAKE_MS_MAX), open).await;
        let (session, lanes) =
            opened.unwrap_or_else(|_| Err(DialError::Connection(endpoint.url.clone(), "no answer".to_owned())))?;
        let datagrams = Datagrams::native(session.clone());
        let outbox = Outbox::new(datagrams, self.counters.clone());
        let info = PipeInfo { id: pipe, kind: PipeKind::Streams, max_datagram: outbox.max_datagram(), early: false };
        let inbound = Inbound::dialled((self.clock, self.counters.clone()), (pipe, mailbox));
        let streams = Streams { lanes, ..Streams::default() };
        tokio::spawn(streams::carry(session, streams, Arc::new(inbound), Arc::clone(&outbox)));
        Ok(Dialled { handle: PipeHandle::new(outbox), info })
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Session, DialError> {
        let bad = |what| DialError::Endpoint(endpoint.url.clone(), what);
        let failed = |error: String| DialError::Connection(endpoint.url.clone(), error);
        let url: Url = endpoint.url.parse().map_err(|_| bad("no URL"))?;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(bad("no host and port"));
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let alpn = match endpoint.transport.as_str() {
            "quic" => ALPN_AMPHI,
            "webtransport" => ALPN_H3,
            _ => return Err(bad("not quic or webtransport")),
        };
        let pinned: Vec<Vec<u8>> = endpoint.cert_sha256.iter().filter_map(|hash| from_hex(hash)).collect();
        if pinned.is_empty() {
            return Err(bad("no certificate hash"));
        }
        let mut found = tokio::net::lookup_host((host, port)).await.map_err(|error| failed(error.to_string()))?;
        let address = found.next().ok_or_else(|| bad("no such host"))?;
        let config = config(alpn, pinned).map_err(|error| failed(error.to_string()))?;
        let connecting =
            self.endpoint.connect_with(config, address, host).map_err(|error| failed(error.to_string()))?;
        let connection = connecting.await.map_err(|error| failed(error.to_string()))?;
        if alpn == ALPN_AMPHI {
            return Ok(Session::raw(connection));
        }
        Session::connect(connection, url.clone()).await.map_err(|error| failed(error.to_string()))
    }
}

async fn open_lanes(session: &Session, lanes: &[Lane]) -> Result<Vec<LaneStream>, Box<dyn std::error::Error>> {
    let mut streams = Vec::with_capacity(lanes.len());
    for lane in lanes {
        let (mut send, recv) = session.open_bi().await?;
        send.write_all(&[*lane]).await?;
        streams.push(LaneStream { lane: *lane, send, recv, decoder: StreamDecoder::new() });
    }
    Ok(streams)
}

fn config(alpn: &[u8], pinned: Vec<Vec<u8>>) -> Result<quinn::ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { hashes: pinned, provider }))
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let mut transport = quinn::TransportConfig::default();
    transport
        .max_idle_timeout(Some(Duration::from_millis(IDLE_MS_MAX).try_into()?))
        .keep_alive_interval(Some(Duration::from_millis(PING_EVERY_MS)));
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Accepts the certificates of an endpoint's list, by hash, and no other.
#[derive(Debug)]
struct Pinned {
    hashes: Vec<Vec<u8>>,
    provider: Arc<CryptoProvider>,
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
