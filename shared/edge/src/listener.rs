//! One port, TCP and UDP: HTTP and WebSocket on the one, QUIC and WebTransport on the other.

mod addresses;
mod admission;
mod bind;
mod stream;
mod tcp;
mod tls;
mod tls_stream;
mod ws;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amphi_shared_auth::Verifier;
use amphi_shared_wire::limits::HANDSHAKES_PENDING_MAX;
use amphi_shared_wire::proto;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::certificate::Certificate;
use crate::clock::Clock;
use crate::counters::Counters;
use crate::http::{self, Routes};
use crate::network::quic::{self, Certificates, QuicThread};
use crate::network::ws::WsThread;
use crate::session::{Incoming, Transport};
pub(crate) use addresses::Addresses;
pub(crate) use admission::{OVERLOADED_RETRY_MS, Place, Shared};
pub use bind::BindError;
use tcp::Tcp;
use tls::Tls;
pub use tls::{TlsError, TlsFiles};

/// Connections that may wait for the node's decision: all that are inside their handshake.
const INCOMING_MAX: usize = HANDSHAKES_PENDING_MAX;
/// The path of sessions over WebSocket and WebTransport.
pub(crate) const SESSION_PATH: &str = "/session";

/// Which browser pages may open sessions. Sessions prove themselves by token, never by cookie, so this keeps other
/// people's pages from using the service, not from stealing a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Every page.
    #[default]
    Any,
    /// Pages of these origins (`https://example.org`); clients that send none are no browsers and may connect.
    Only(Vec<String>),
}

/// What a listener needs to take sessions.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// The certificate for QUIC and WebTransport.
    pub certificate: Certificate,
    /// Pages that may connect.
    pub origins: Origins,
}

/// What to listen for.
#[derive(Debug)]
pub struct ListenConfig {
    /// Address and port; port 0 takes one that is free for both TCP and UDP.
    pub listen: SocketAddr,
    /// What answers HTTP.
    pub routes: Routes,
    /// Checks the tokens of HTTP calls.
    pub verifier: Verifier,
    /// The process's clock.
    pub clock: Clock,
    /// Certificate of the TCP port: its first byte then tells HTTPS and WSS from plain HTTP, which stays.
    pub tls: Option<TlsFiles>,
    /// Takes sessions too; without it there is only HTTP and no UDP socket.
    pub sessions: Option<Sessions>,
}

/// Binds ports.
#[derive(Debug)]
pub struct Listener;

impl Listener {
    /// Binds the port and starts to serve. Call it inside a tokio runtime, whose threads then do all network work.
    ///
    /// # Errors
    /// The port is taken or forbidden, or the certificate does not fit its key.
    pub fn bind(config: ListenConfig) -> Result<Listening, BindError> {
        install_crypto();
        let sockets = bind::bind(config.listen, config.sessions.is_some())?;
        let local_addr = sockets.local_addr;
        let (incoming, receiver) = mpsc::channel(INCOMING_MAX);
        let counters = Counters::new();
        let origins = config.sessions.as_ref().map(|sessions| sessions.origins.clone()).unwrap_or_default();
        let shared = Arc::new(Shared::new(config.clock, counters.clone(), origins, incoming));
        let tls =
            config.tls.map(Tls::new).transpose().map_err(|error| BindError::other(local_addr, error))?.map(Arc::new);
        let mut tasks = JoinSet::new();
        let (mut certificates, mut quic) = (None, None);
        if let (Some(sessions), Some(udp)) = (&config.sessions, sockets.udp) {
            let failed = |error: Box<dyn std::error::Error + Send + Sync>| BindError::other(local_addr, error);
            let served =
                Arc::new(Certificates::new(sessions.certificate.clone(), config.clock).map_err(|e| failed(e.into()))?);
            let server = quic::server_config(Arc::clone(&served)).map_err(failed)?;
            certificates = Some(served);
            let side = quic::Side::Server(Arc::clone(&shared), server);
            quic = Some(QuicThread::start(config.clock, udp, side).map_err(|e| failed(e.into()))?);
        }
        let context = Arc::new(http::Context::new(config.verifier, config.clock));
        let mut web_sockets = None;
        let mut upgrade = None;
        if config.sessions.is_some() {
            let thread = WsThread::start(Arc::clone(&shared)).map_err(|error| BindError::other(local_addr, error))?;
            upgrade = Some((SESSION_PATH, ws::route(Arc::clone(&shared), Arc::clone(&context), thread.mailbox())));
            web_sockets = Some(thread);
        }
        let router = http::build(config.routes, context, upgrade);
        let tcp = tokio::net::TcpListener::from_std(sockets.tcp).map_err(|e| BindError::other(local_addr, e))?;
        tasks.spawn(Tcp { router, clock: config.clock, counters: counters.clone(), tls: tls.clone() }.accept(tcp));
        if let Some(tls) = &tls {
            tasks.spawn(Arc::clone(tls).watch());
        }
        Ok(Listening { local_addr, certificates, incoming: receiver, counters, shared, quic, web_sockets, tls, tasks })
    }
}

/// A bound port. Dropping it closes the port and every connection.
pub struct Listening {
    /// Address and port, the same number for TCP and UDP.
    pub local_addr: SocketAddr,
    /// Connections to decide on.
    pub incoming: mpsc::Receiver<Incoming>,
    /// What was taken and refused.
    pub counters: Counters,
    shared: Arc<Shared>,
    /// When there are sessions.
    certificates: Option<Arc<Certificates>>,
    quic: Option<QuicThread>,
    web_sockets: Option<WsThread>,
    tls: Option<Arc<Tls>>,
    tasks: JoinSet<()>,
}

impl Listening {
    /// The ways to open a session here for clients that know this machine as `host`, best first. `wss` takes the place of
    /// `ws` when there is a certificate that a CA has signed; it must hold that name.
    pub fn endpoints(&self, host: &str, region: &str) -> Vec<proto::Endpoint> {
        let Some(certificates) = &self.certificates else {
            return Vec::new();
        };
        let hashes: Vec<_> =
            certificates.sha256(self.shared.clock.now()).iter().map(|hash| hash.to_vec().into()).collect();
        let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        let port = self.local_addr.port();
        let ws = if self.tls.is_some() { "wss" } else { "ws" };
        let endpoint = |transport: Transport, url: String, hashed: bool| proto::Endpoint {
            transport: transport.as_str().to_owned(),
            url,
            cert_sha256: if hashed { hashes.clone() } else { Vec::new() },
            region: region.to_owned(),
        };
        vec![
            endpoint(Transport::Quic, format!("quic://{host}:{port}"), true),
            endpoint(Transport::WebTransport, format!("https://{host}:{port}{SESSION_PATH}"), true),
            endpoint(Transport::WebSocket, format!("{ws}://{host}:{port}{SESSION_PATH}"), false),
        ]
    }

    /// Brings the next certificate of QUIC and WebTransport. From now on [`Listening::endpoints`] names both, until the
    /// one before ends; handshakes get that one for another day, so that clients with an older list can come back.
    ///
    /// # Errors
    /// The key does not fit the certificate.
    pub fn renew(&self, certificate: Certificate) -> Result<(), BindError> {
        let Some(certificates) = &self.certificates else {
            return Ok(());
        };
        certificates
            .renew(self.shared.clock.now(), certificate)
            .map_err(|error| BindError::other(self.local_addr, error))
    }

    /// Reads the certificate files of the TCP port again, as happens within 10 s after they changed.
    ///
    /// # Errors
    /// They are not right, or there are none; the old certificate stays in use.
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        self.tls.as_ref().ok_or(TlsError::Absent)?.reload()
    }

    /// Closes the port. Connections that are still open are closed with `Draining`; their packets get up to `grace`
    /// to leave.
    pub async fn shutdown(mut self, grace: Duration) {
        self.close();
        let (quic, web_sockets) = (self.quic.take(), self.web_sockets.take());
        let left = async {
            if let Some(mut thread) = web_sockets {
                thread.shutdown();
                thread.ended().await;
            }
            if let Some(mut thread) = quic {
                thread.shutdown();
                thread.ended().await;
            }
        };
        let _ = tokio::time::timeout(grace, left).await;
    }

    fn close(&mut self) {
        self.tasks.abort_all();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listening({})", self.local_addr)
    }
}

/// Makes ring the TLS provider of this process; the first call counts.
pub(crate) fn install_crypto() {
    // An error says that there is one already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
