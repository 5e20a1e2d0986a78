//! Makes connections of every kind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amphi_shared_wire::{ALPN_AMPHI, Lane, WS_BINARY};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::Resumption;
use tokio_rustls::TlsConnector;
use web_transport_quinn::Session;

use super::ws::SESSION_PATH;
use super::{Quic, Socket, Wire, address, tls};

/// UDP sockets of the load; connections are spread over them.
const ENDPOINTS: usize = 16;
/// Longer than any silence that a server allows.
const IDLE: Duration = Duration::from_secs(120);
/// Clients whose TLS tickets are kept.
const CLIENTS_MAX: usize = 16_384;

/// How a client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// WebSocket.
    Ws,
    /// WebSocket over TLS; a client that comes back shows its ticket.
    Wss,
    /// Native QUIC, a full handshake.
    Quic,
    /// Native QUIC, in early data when there is a ticket from a connection before.
    Quic0,
    /// WebTransport.
    WebTransport,
}

/// Makes connections from many addresses.
pub(crate) struct Dialler {
    endpoints: Vec<quinn::Endpoint>,
    quic: quinn::ClientConfig,
    quic0: quinn::ClientConfig,
    web_transport: quinn::ClientConfig,
    wss: TlsConnector,
}

impl Dialler {
    /// A dialler with sockets of its own. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// There is no socket.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let endpoint = |number| quinn::Endpoint::client(SocketAddr::new(address(number), 0));
        let mut early = tls(&[ALPN_AMPHI])?;
        early.enable_early_data = true;
        let mut wss = tls(&[])?;
        wss.resumption = Resumption::in_memory_sessions(CLIENTS_MAX);
        Ok(Self {
            endpoints: (0..ENDPOINTS).map(endpoint).collect::<Result<_, _>>()?,
            quic: config(without_tickets(ALPN_AMPHI)?)?,
            quic0: config(early)?,
            web_transport: config(without_tickets(b"h3")?)?,
            wss: TlsConnector::from(Arc::new(wss)),
        })
    }

    /// Connects as client `number`; over QUIC it opens `lanes`. Says whether the start went out in early data.
    ///
    /// # Errors
    /// The server does not accept.
    pub(crate) async fn dial(
        &self,
        number: usize,
        to: SocketAddr,
        way: Way,
        lanes: &[Lane],
    ) -> anyhow::Result<(Wire, bool)> {
        let config = match way {
            Way::Ws | Way::Wss => {
                let socket = Socket::open(number, to, (SESSION_PATH, WS_BINARY), self.tls(way)).await?;
                return Ok((Wire::Socket(socket), false));
            }
            Way::Quic => &self.quic,
            Way::Quic0 => &self.quic0,
            Way::WebTransport => &self.web_transport,
        };
        let connecting = self.endpoints[number % ENDPOINTS].connect_with(config.clone(), to, "localhost")?;
        if way == Way::WebTransport {
            let url: url::Url = format!("https://{to}/session").parse()?;
            let session = Session::connect(connecting.await?, url).await?;
            return Ok((Wire::Quic(Box::new(Quic::open(session, lanes).await?)), false));
        }
        let (connection, early) = match connecting.into_0rtt() {
            Ok((connection, _)) => (connection, true),
            Err(connecting) => (connecting.await?, false),
        };
        Ok((Wire::Quic(Box::new(Quic::open(Session::raw(connection), lanes).await?)), early))
    }

    /// Connects as client `number` over WebSocket, with the Hello inside the upgrade.
    ///
    /// # Errors
    /// The server does not accept.
    pub(super) async fn dial_greeting(
        &self,
        number: usize,
        to: SocketAddr,
        way: Way,
        hello: &[u8],
    ) -> anyhow::Result<Wire> {
        Ok(Wire::Socket(Socket::open_greeting(number, to, hello, self.tls(way)).await?))
    }

    fn tls(&self, way: Way) -> Option<&TlsConnector> {
        (way == Way::Wss).then_some(&self.wss)
    }
}

fn without_tickets(alpn: &[u8]) -> anyhow::Result<rustls::ClientConfig> {
    let mut tls = tls(&[alpn])?;
    tls.resumption = Resumption::disabled();
    Ok(tls)
}

fn config(tls: rustls::ClientConfig) -> anyhow::Result<quinn::ClientConfig> {
    let mut transport = quinn::TransportConfig::default();
    transport.max_idle_timeout(Some(IDLE.try_into()?));
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport));
    Ok(config)
}
