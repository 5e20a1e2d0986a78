//! One QUIC endpoint for native sessions (ALPN `amphi/1`) and WebTransport (ALPN `h3`).

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use amphi_shared_wire::ALPN_AMPHI;
use amphi_shared_wire::limits::{HANDSHAKES_PENDING_MAX, IDLE_MS_MAX, PING_EVERY_MS, RESUME_BYTES_MAX};
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{Connection, ConnectionError, Endpoint, Runtime, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::task::JoinSet;
use web_transport_quinn::http::StatusCode;
use web_transport_quinn::{Request, Session};

use super::SESSION_PATH;
use super::admission::{HANDSHAKE, Place, Shared};
use super::greet;
use super::udp::CountingSocket;
use crate::certificate::Certificate;
use crate::counters::{Counters, Refused};
use crate::session::{Datagrams, From, Transport};

const ALPN_H3: &[u8] = b"h3";
/// Streams a client may have open: nine lanes, and what HTTP/3 needs.
const BIDI_STREAMS_MAX: u32 = 12;
const UNI_STREAMS_MAX: u32 = 8;
/// Old datagrams that have not left are worth less than new ones, so few are kept, bytes.
const DATAGRAM_SEND_BYTES_MAX: usize = 16 * 1024;
const DATAGRAM_RECEIVE_BYTES_MAX: usize = 64 * 1024;
/// What a client may send on one stream before it is read, bytes.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Alert `no_application_protocol` (RFC 7301) as a QUIC error code (RFC 9001 section 4.8).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// The endpoint on a bound socket.
pub(super) fn endpoint(
    socket: UdpSocket,
    certificate: &Certificate,
    counters: &Counters,
) -> Result<Endpoint, Box<dyn std::error::Error + Send + Sync>> {
    let cert = CertificateDer::from(certificate.der().to_vec());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificate.key_der().to_vec()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)?;
    tls.alpn_protocols = vec![ALPN_AMPHI.to_vec(), ALPN_H3.to_vec()];
    let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    server.transport_config(Arc::new(transport()?));
    server.max_incoming(HANDSHAKES_PENDING_MAX);
    let mut config = quinn::EndpointConfig::default();
    // So that a packet without the fixed bit is noise, and counted.
    config.grease_quic_bit(false);
    let inner = TokioRuntime.wrap_udp_socket(socket)?;
    let socket = Arc::new(CountingSocket::new(inner, counters.clone()));
    Ok(Endpoint::new_with_abstract_socket(config, Some(server), socket, Arc::new(TokioRuntime))?)
}

fn transport() -> Result<TransportConfig, quinn::VarIntBoundsExceeded> {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(BIDI_STREAMS_MAX.into())
        .max_concurrent_uni_streams(UNI_STREAMS_MAX.into())
        .max_idle_timeout(Some(Duration::from_millis(IDLE_MS_MAX).try_into()?))
        .keep_alive_interval(Some(Duration::from_millis(PING_EVERY_MS)))
        .datagram_send_buffer_size(DATAGRAM_SEND_BYTES_MAX)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BYTES_MAX))
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(RESUME_BYTES_MAX as u64);
    Ok(transport)
}

/// Takes connections until the endpoint closes.
pub(super) async fn accept(endpoint: Endpoint, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            Some(_) = connections.join_next() => continue,
        };
        let Some(incoming) = incoming else {
            return;
        };
        let Some(place) = shared.place() else {
            incoming.refuse();
            continue;
        };
        if shared.is_busy() && !incoming.remote_address_validated() {
            // Errors only for an address that is proved already.
            let _ = incoming.retry();
            continue;
        }
        connections.spawn(serve(incoming, place, Arc::clone(&shared)));
    }
}

/// One connection, from its first packet to its end.
async fn serve(incoming: quinn::Incoming, place: Place, shared: Arc<Shared>) {
    let opened = tokio::time::timeout(HANDSHAKE, open(incoming, &shared)).await;
    match opened {
        Ok(Some((session, from))) => {
            let datagrams = match from.transport {
                Transport::Quic => Datagrams::native(session.clone()),
                Transport::WebTransport | Transport::WebSocket | Transport::WebSocketJson => {
                    Datagrams::browser(session.clone())
                }
            };
            greet::serve(session, datagrams, (place, from), shared).await;
        }
        Ok(None) => {}
        Err(_) => shared.counters.count(Refused::HandshakeTimeout),
    }
}

/// The handshakes of QUIC and, for a browser, of WebTransport.
async fn open(incoming: quinn::Incoming, shared: &Shared) -> Option<(Session, From)> {
    let connection = match connect(incoming).await {
        Ok(connection) => connection,
        Err(error) => {
            shared.counters.count(if is_alpn(&error) { Refused::Alpn } else { Refused::Handshake });
            return None;
        }
    };
    let peer = connection.remote_address();
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let alpn = data.and_then(|data| data.protocol);
    if alpn.as_deref() == Some(ALPN_AMPHI) {
        return Some((
            Session::raw(connection),
            From { transport: Transport::Quic, peer, origin: None, query: Vec::new() },
        ));
    }
    if alpn.as_deref() != Some(ALPN_H3) {
        shared.counters.count(Refused::Alpn);
        connection.close(VarInt::from_u32(0), b"");
        return None;
    }
    let (session, origin) = open_web_transport(connection, shared).await?;
    Some((session, From { transport: Transport::WebTransport, peer, origin, query: Vec::new() }))
}

async fn connect(incoming: quinn::Incoming) -> Result<Connection, ConnectionError> {
    incoming.accept()?.await
}

async fn open_web_transport(connection: Connection, shared: &Shared) -> Option<(Session, Option<String>)> {
    let Ok(request) = Request::accept(connection).await else {
        shared.counters.count(Refused::Handshake);
        return None;
    };
    let origin = request.headers.get("origin").and_then(|origin| origin.to_str().ok()).map(str::to_owned);
    let refusal = if request.url.path() != SESSION_PATH {
        shared.counters.count(Refused::Handshake);
        Some(StatusCode::NOT_FOUND)
    } else if shared.allows(origin.as_deref()) {
        None
    } else {
        Some(StatusCode::FORBIDDEN)
    };
    if let Some(status) = refusal {
        // The client may be gone already.
        let _ = request.reject(status).await;
        return None;
    }
    request.ok().await.ok().map(|session| (session, origin))
}

fn is_alpn(error: &ConnectionError) -> bool {
    let code = quinn::TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL);
    matches!(error, ConnectionError::TransportError(error) if error.code == code)
}
