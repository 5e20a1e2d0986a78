//! TLS and transport parameters of QUIC, for both ends.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use amphi_shared_wire::ALPN_AMPHI;
use amphi_shared_wire::limits::{
    CONNECTIONS_MAX, HANDSHAKES_PENDING_MAX, IDLE_MS_MAX, QUIC_PING_EVERY_MS, RESUME_BYTES_MAX,
};
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, EndpointConfig, ServerConfig, TransportConfig, VarIntBoundsExceeded};
use rustls::client::danger::ServerCertVerifier;
use rustls::server::ServerSessionMemoryCache;

use super::certificates::Certificates;
use super::tls::Tls;

/// ALPN of HTTP/3, which carries WebTransport.
pub(crate) const ALPN_H3: &[u8] = b"h3";
/// Streams that a client may have open: nine lanes, and what HTTP/3 needs.
const BIDI_STREAMS_MAX: u32 = 12;
const UNI_STREAMS_MAX: u32 = 8;
/// Old datagrams that have not left are worth less than new ones, so few are kept, bytes. Beyond: drop oldest.
pub(super) const DATAGRAM_SEND_BYTES_MAX: usize = 8 * 1024;
const DATAGRAM_RECEIVE_BYTES_MAX: usize = 64 * 1024;
/// What a client may send on one stream before it is read, bytes: one message of the largest size, and some.
const STREAM_WINDOW_BYTES: u32 = 96 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 192 * 1024;
/// Packets of one connection that wait while its handshake does, bytes.
const INCOMING_BYTES_MAX: u64 = 16 * 1024;

type ConfigError = Box<dyn Error + Send + Sync>;

/// What holds for every connection of an endpoint.
pub(super) fn endpoint() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    // So that a packet without the fixed bit is noise, and counted.
    config.grease_quic_bit(false);
    config
}

/// A server that answers with the certificate that `certificates` names. Tickets for 0-RTT are kept here and work once,
/// so what a client says early cannot be replayed to this process.
pub(crate) fn server(certificates: Arc<Certificates>) -> Result<ServerConfig, ConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    tls.alpn_protocols = vec![ALPN_AMPHI.to_vec(), ALPN_H3.to_vec()];
    tls.session_storage = ServerSessionMemoryCache::new(CONNECTIONS_MAX);
    tls.send_tls13_tickets = 1;
    // The only value but 0 that QUIC allows (RFC 9001 section 4.6.1); what is taken early is decided by what it says.
    tls.max_early_data_size = u32::MAX;
    let mut server = ServerConfig::with_crypto(Arc::new(Tls::new(tls)?));
    let mut transport = transport()?;
    transport
        .max_concurrent_bidi_streams(BIDI_STREAMS_MAX.into())
        .max_concurrent_uni_streams(UNI_STREAMS_MAX.into())
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into());
    server.transport_config(Arc::new(transport));
    server.max_incoming(HANDSHAKES_PENDING_MAX).incoming_buffer_size(INCOMING_BYTES_MAX);
    Ok(server)
}

/// A client that speaks `alpn` with servers that `verifier` trusts.
pub(crate) fn client(alpn: &[u8], verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, ConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport()?));
    Ok(config)
}

fn transport() -> Result<TransportConfig, VarIntBoundsExceeded> {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(Duration::from_millis(IDLE_MS_MAX).try_into()?))
        .keep_alive_interval(Some(Duration::from_millis(QUIC_PING_EVERY_MS)))
        .datagram_send_buffer_size(DATAGRAM_SEND_BYTES_MAX)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BYTES_MAX))
        .send_window(RESUME_BYTES_MAX as u64);
    Ok(transport)
}
