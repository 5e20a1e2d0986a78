//! TLS for the simulator: a key that everyone may know, and configurations that leave nothing to chance.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use amphi_shared_wire::ALPN_AMPHI;
use amphi_shared_wire::limits::{IDLE_MS_MAX, QUIC_PING_EVERY_MS, RESUME_BYTES_MAX};
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{ClientConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, SerialNumber};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::ServerSessionMemoryCache;
use rustls::{DigitallySignedStruct, SignatureScheme};

// What `shared/edge` allows a connection.
const BIDI_STREAMS_MAX: u32 = 12;
const DATAGRAM_SEND_BYTES_MAX: usize = 8 * 1024;
const DATAGRAM_RECEIVE_BYTES_MAX: usize = 64 * 1024;
const STREAM_WINDOW_BYTES: u32 = 96 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 192 * 1024;

/// An Ed25519 key in PKCS #8 (RFC 8410 section 7) whose seed is all sevens. Its signatures have always the same size,
/// so every history has packets of the same sizes.
const KEY_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// Tickets that the node keeps; with older ones, early data is not taken. So clients take them from each other.
const TICKETS_MAX: usize = 1;

struct Tls {
    server: rustls::ServerConfig,
    client: rustls::ClientConfig,
}

/// The node's side of a history. Its tickets work once, as in `shared/edge`.
pub(super) fn server_config() -> Arc<ServerConfig> {
    let mut tls = tls().server.clone();
    // A ticket of one history would carry its state into the next.
    tls.session_storage = ServerSessionMemoryCache::new(TICKETS_MAX);
    let crypto = QuicServerConfig::try_from(tls).unwrap_or_else(|error| unreachable!("it speaks TLS 1.3: {error}"));
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(transport());
    Arc::new(config)
}

/// A client's side of a history: makes a full handshake each time.
pub(super) fn client_config() -> ClientConfig {
    let mut tls = tls().client.clone();
    tls.resumption = Resumption::disabled();
    client(tls)
}

/// The same of a client that keeps the tickets it is given, for early data.
pub(super) fn returning_config() -> ClientConfig {
    let mut tls = tls().client.clone();
    tls.resumption = Resumption::in_memory_sessions(1);
    tls.enable_early_data = true;
    client(tls)
}

fn client(tls: rustls::ClientConfig) -> ClientConfig {
    let crypto = QuicClientConfig::try_from(tls).unwrap_or_else(|error| unreachable!("it speaks TLS 1.3: {error}"));
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport());
    config
}

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(BIDI_STREAMS_MAX.into())
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS_MAX as u32))))
        .keep_alive_interval(Some(Duration::from_millis(QUIC_PING_EVERY_MS)))
        .datagram_send_buffer_size(DATAGRAM_SEND_BYTES_MAX)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BYTES_MAX))
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(RESUME_BYTES_MAX as u64);
    Arc::new(transport)
}

fn tls() -> &'static Tls {
    static TLS: OnceLock<Tls> = OnceLock::new();
    TLS.get_or_init(|| make().unwrap_or_else(|error| unreachable!("a fixed configuration is taken: {error}")))
}

fn make() -> Result<Tls, Box<dyn std::error::Error>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut der = KEY_HEAD.to_vec();
    der.extend([7; 32]);
    let key = PrivatePkcs8KeyDer::from(der);
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ED25519)?;
    let mut params = CertificateParams::new(vec!["node".to_owned()])?;
    params.serial_number = Some(SerialNumber::from(7_u64));
    let certificate = params.self_signed(&pair)?;
    let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())?;
    server.alpn_protocols = vec![ALPN_AMPHI.to_vec()];
    server.send_tls13_tickets = 1;
    // The only value but 0 that QUIC allows.
    server.max_early_data_size = u32::MAX;
    let mut client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Known { certificate: certificate.der().clone(), provider }))
        .with_no_client_auth();
    client.alpn_protocols = vec![ALPN_AMPHI.to_vec()];
    Ok(Tls { server, client })
}

/// Accepts the one certificate there is.
#[derive(Debug)]
struct Known {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *certificate == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::CertificateError::UnknownIssuer.into())
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
