use std::net::Ipv4Addr;

use amphi_shared_wire::limits::FRAME_BYTES_MAX;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, ServerConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self { certificate: made.cert.der().clone(), key: made.signing_key.serialize_der() }
    }

    /// A host that takes early data with its own tickets.
    fn host(&self, address: SocketAddr) -> Endpoint {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .unwrap();
        tls.alpn_protocols = vec![ALPN_AMPHI.to_vec()];
        tls.max_early_data_size = u32::MAX;
        let config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
        Endpoint::server(config, address).unwrap()
    }

    fn at(&self, address: SocketAddr) -> Host {
        let hash = ring::digest::digest(&ring::digest::SHA256, &self.certificate);
        Host { address, cert_sha256: vec![hash.as_ref().try_into().unwrap()] }
    }
}

async fn patient<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened for too long")
}

/// Accepts a connection, reads the first message of lane 0 and sends it back. True when it came before the end of the
/// handshake.
async fn echo(host: &Endpoint) -> (Connection, bool, Bytes) {
    let connecting = patient(host.accept()).await.unwrap().accept().unwrap();
    let (connection, mut confirmed) = connecting.into_0rtt().unwrap_or_else(|_| panic!("a host always may"));
    let (is_early, payload) = loop {
        let (mut send, mut recv) = patient(connection.accept_bi()).await.unwrap();
        let mut lane = [0xff];
        patient(recv.read_exact(&mut lane)).await.unwrap();
        if lane != [LANE_CONTROL] {
            // Kept open, as a host would.
            tokio::spawn(async move { (recv.read_to_end(FRAME_BYTES_MAX).await, send) });
            continue;
        }
        let mut decoder = StreamDecoder::new();
        let payload = loop {
            if let Some(payload) = decoder.poll().unwrap() {
                break payload;
            }
            decoder.push(&patient(recv.read_chunk(READ_BYTES_MAX, true)).await.unwrap().unwrap().bytes);
        };
        let is_early = recv.is_0rtt();
        let mut answer = Vec::new();
        encode_stream_message(&payload, &mut answer);
        send.write_all(&answer).await.unwrap();
        break (is_early, payload);
    };
    patient(&mut confirmed).await;
    (connection, is_early, payload)
}

/// Opens a link, says `word` on lane 0 and waits for it to come back; whether it went out as early data.
async fn talk(client: &Endpoint, host: &Endpoint, pipe: u32, word: &'static [u8]) -> bool {
    let address = host.local_addr().unwrap();
    let (link, (connection, is_early, heard)) = tokio::join!(
        async {
            let mut link = patient(Link::open(client, address, PipeId(pipe), true)).await.unwrap();
            link.frame(LANE_CONTROL, Bytes::from_static(word));
            match patient(link.inbox.recv()).await {
                Some(LinkEvent::Frame { lane: LANE_CONTROL, payload }) => assert_eq!(payload, word),
                Some(LinkEvent::Frame { .. } | LinkEvent::Datagram(_) | LinkEvent::Closed(_)) | None => {
                    panic!("expected the echo")
                }
            }
            link
        },
        echo(host),
    );
    assert_eq!(heard, word);
    link.close(Code::Bye);
    patient(connection.closed()).await;
    is_early
}

#[tokio::test]
async fn what_a_host_does_not_take_early_is_said_again() {
    let identity = Identity::new();
    let host = identity.host((Ipv4Addr::LOCALHOST, 0).into());
    let address = host.local_addr().unwrap();
    let client = endpoint(&identity.at(address)).unwrap();
    assert!(!talk(&client, &host, 1, b"first").await, "there was no ticket");
    assert!(talk(&client, &host, 2, b"early").await);
    // Another process with the same certificate knows no ticket of the first.
    host.close(VarInt::from_u32(0), b"");
    patient(host.wait_idle()).await;
    drop(host);
    let again = identity.host((Ipv4Addr::LOCALHOST, 0).into());
    assert!(!talk(&client, &again, 3, b"late").await);
}
