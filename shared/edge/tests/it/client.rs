//! Clients of all three transports, as plain as can be.

use std::net::SocketAddr;
use std::sync::Arc;

use amphi_shared_session::{Config, ConnectRequest, Output, PipeId, PipeInfo, PipeKind, Session};
use amphi_shared_wire::proto::{self, link};
use amphi_shared_wire::{
    AppId, Lane, Micros, PROTOCOL_MAX, PROTOCOL_MIN, SessionId, StreamDecoder, decode_pipe_frame, encode_pipe_frame,
    encode_stream_message,
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use web_transport_quinn::{RecvStream, SendStream, SessionError, WebTransportError};

use crate::server::patient;

/// The payload of lane 0 that a good client says first.
pub(crate) fn hello() -> Bytes {
    let mut session = Session::connect(Config::default(), ConnectRequest { token: "t".into(), ..Default::default() });
    session.dial(Micros(1), PipeInfo { id: PipeId(0), kind: PipeKind::Streams, max_datagram: 1_000, early: false });
    loop {
        match session.poll_output().expect("a dial says Hello") {
            Output::Frame { payload, .. } => return payload,
            Output::Datagram { .. } | Output::ClosePipe { .. } | Output::Event(_) => {}
        }
    }
}

/// The payload of lane 0 of a client that comes back.
pub(crate) fn resume() -> Bytes {
    let resume = proto::Resume {
        session: SessionId::from_bits(7).to_string(),
        secret: Bytes::from_static(&[7; 16]),
        generation: 2,
        welcomed: 1,
        ..Default::default()
    };
    let hello = proto::Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        app: AppId::default().to_string(),
        resume: Some(resume),
        ..Default::default()
    };
    let link = proto::Link { kind: Some(link::Kind::Hello(hello)) };
    [&[0], link.encode_to_vec().as_slice()].concat().into()
}

/// The payload of lane 0 that asks for the server's time.
pub(crate) fn probe(t0_us: u64) -> Bytes {
    let link = proto::Link { kind: Some(link::Kind::Ping(proto::Ping { t0_us })) };
    [&[0], link.encode_to_vec().as_slice()].concat().into()
}

/// What a message of lane 0 says of the server's time.
pub(crate) fn pong(payload: &[u8]) -> proto::Pong {
    match proto::Link::decode(&payload[1..]).unwrap().kind {
        Some(link::Kind::Pong(pong)) => pong,
        other => panic!("expected Pong: {other:?}"),
    }
}

/// The code inside a `Refused` on lane 0.
pub(crate) fn refusal(payload: &[u8]) -> u32 {
    assert_eq!(payload[0], 0, "not a Link");
    match proto::Link::decode(&payload[1..]).unwrap().kind {
        Some(link::Kind::Refused(refused)) => refused.code,
        other => panic!("expected Refused: {other:?}"),
    }
}

/// A client over QUIC or WebTransport.
pub(crate) struct Quic {
    pub(crate) session: web_transport_quinn::Session,
    pub(crate) endpoint: quinn::Endpoint,
}

/// A lane of [`Quic`].
pub(crate) struct LaneClient {
    pub(crate) send: SendStream,
    recv: RecvStream,
    decoder: StreamDecoder,
}

impl Quic {
    pub(crate) async fn native(server: SocketAddr) -> Self {
        let (endpoint, connection) = connect(server, &[b"amphi/1"]).await;
        Self::of(endpoint, connection.unwrap())
    }

    pub(crate) fn of(endpoint: quinn::Endpoint, connection: quinn::Connection) -> Self {
        Self { session: web_transport_quinn::Session::raw(connection), endpoint }
    }

    pub(crate) async fn web_transport(server: SocketAddr, path: &str) -> Result<Self, String> {
        let (endpoint, connection) = connect(server, &[b"h3"]).await;
        let url: url::Url = format!("https://{server}{path}").parse().unwrap();
        let session = web_transport_quinn::Session::connect(connection.unwrap(), url);
        let session = patient(session).await.map_err(|error| error.to_string())?;
        Ok(Self { session, endpoint })
    }

    /// Opens a lane's stream.
    pub(crate) async fn lane(&self, lane: Lane) -> LaneClient {
        let (mut send, recv) = patient(self.session.open_bi()).await.unwrap();
        send.write_all(&[lane]).await.unwrap();
        LaneClient { send, recv, decoder: StreamDecoder::new() }
    }

    /// The code that the connection was closed with.
    pub(crate) async fn closed(&self) -> u32 {
        let error = patient(self.session.closed()).await;
        let SessionError::WebTransportError(WebTransportError::Closed(code, _)) = error else {
            panic!("closed otherwise: {error}");
        };
        code
    }
}

impl LaneClient {
    pub(crate) async fn write(&mut self, payload: &[u8]) {
        let mut bytes = Vec::new();
        encode_stream_message(payload, &mut bytes);
        self.send.write_all(&bytes).await.unwrap();
    }

    pub(crate) async fn read(&mut self) -> Bytes {
        loop {
            if let Some(message) = self.decoder.poll().unwrap() {
                return message;
            }
            let chunk = patient(self.recv.read_chunk(4_096, true)).await.unwrap().expect("the stream ended");
            self.decoder.push(&chunk.bytes);
        }
    }
}

/// A QUIC connection that offers these protocols and trusts any certificate.
pub(crate) async fn connect(
    server: SocketAddr,
    alpn: &[&[u8]],
) -> (quinn::Endpoint, Result<quinn::Connection, quinn::ConnectionError>) {
    let config = config(alpn);
    let endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let connection = patient(endpoint.connect_with(config, server, "localhost").unwrap()).await;
    (endpoint, connection)
}

/// What [`connect`] connects with; it keeps tickets for 0-RTT.
pub(crate) fn config(alpn: &[&[u8]]) -> quinn::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    tls.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    tls.enable_early_data = true;
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

/// What a WebSocket runs on.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// A TLS connection that trusts any certificate, and the one it was shown.
pub(crate) async fn connect_tls(server: SocketAddr) -> (tokio_rustls::client::TlsStream<TcpStream>, Vec<u8>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    let stream = TcpStream::connect(server).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = patient(TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    (stream, shown)
}

/// A client over WebSocket.
pub(crate) struct Ws {
    pub(crate) socket: WebSocketStream<Box<dyn Duplex>>,
}

impl Ws {
    pub(crate) async fn open(
        server: SocketAddr,
        protocol: &str,
        origin: Option<&str>,
    ) -> Result<Self, tungstenite::Error> {
        let mut request = format!("ws://{server}/session").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        Self::over(Box::new(TcpStream::connect(server).await?), request).await
    }

    /// Under TLS.
    pub(crate) async fn secure(server: SocketAddr) -> Self {
        let mut request = format!("ws://{server}/session").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "amphi.v1".parse().unwrap());
        Self::over(Box::new(connect_tls(server).await.0), request).await.unwrap()
    }

    async fn over(
        stream: Box<dyn Duplex>,
        request: tungstenite::handshake::client::Request,
    ) -> Result<Self, tungstenite::Error> {
        let (socket, _) = patient(tokio_tungstenite::client_async(request, stream)).await?;
        Ok(Self { socket })
    }

    /// A client that knows nothing of us but an address and a token.
    pub(crate) async fn stock(
        server: SocketAddr,
        query: &str,
        protocol: Option<&str>,
        bearer: Option<&str>,
    ) -> Result<Self, tungstenite::Error> {
        let mut request = format!("ws://{server}/session{query}").into_client_request().unwrap();
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        for (name, value) in [("sec-websocket-protocol", protocol), ("authorization", bearer.as_deref())] {
            if let Some(value) = value {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
        }
        Self::over(Box::new(TcpStream::connect(server).await?), request).await
    }

    /// A connection that has said Hello.
    pub(crate) async fn greeted(server: SocketAddr) -> Self {
        let mut ws = Self::open(server, "amphi.v1", None).await.unwrap();
        ws.write(0, &hello()).await;
        ws
    }

    pub(crate) async fn write(&mut self, lane: Lane, payload: &[u8]) {
        self.socket.send(Message::Binary(encode_pipe_frame(lane, payload))).await.unwrap();
    }

    pub(crate) async fn read(&mut self) -> (Lane, Bytes) {
        loop {
            match patient(self.socket.next()).await.expect("the socket ended").unwrap() {
                Message::Binary(frame) => return decode_pipe_frame(frame).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other @ (Message::Text(_) | Message::Close(_) | Message::Frame(_)) => {
                    panic!("expected a frame: {other:?}")
                }
            }
        }
    }

    pub(crate) async fn write_text(&mut self, text: &str) {
        self.socket.send(Message::Text(text.into())).await.unwrap();
    }

    pub(crate) async fn read_text(&mut self) -> String {
        match patient(self.socket.next()).await.expect("the socket ended").unwrap() {
            Message::Text(text) => text.to_string(),
            other @ (Message::Binary(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Close(_)
            | Message::Frame(_)) => {
                panic!("expected text: {other:?}")
            }
        }
    }

    /// The close code that the connection ends with; what came before is dropped.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            let message = patient(self.socket.next()).await.expect("the socket ended").unwrap();
            if let Message::Close(frame) = message {
                return frame.expect("a close code").code.into();
            }
        }
    }
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
