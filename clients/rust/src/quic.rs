//! A driver of [`Client`] over QUIC, for native programs on tokio.

mod link;
mod pinned;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amphi_shared_replica::{Game, Input};
use amphi_shared_session::{PipeId, PipeInfo, PipeKind};
use amphi_shared_wire::limits::{HANDSHAKE_MS_MAX, RESUME_WINDOW_MS};
use amphi_shared_wire::{Code, Micros};
use thiserror::Error;

use crate::{Client, ClientConfig, ClientError, ClientEvent, ClientOutput};
use link::{Link, LinkEvent};

/// Connections of one player at a time: the one in use and one that may replace it.
const LINKS_MAX: usize = 2;
/// Dials under way at a time; beyond, the oldest is given up.
const DIALS_MAX: usize = 8;
/// Pause between dials. A packet lost on a dead path delays its own dial only: the next one finds the path as it is now.
const REDIAL: Micros = Micros::from_millis(300);
/// Time that the host gets to answer the hello of a new connection before another one is dialled.
const ANSWER: Micros = Micros::from_millis(1_000);
/// A match session that hears nothing for this long, or for `3·RTT + 4·var` where that is more, opens a second path.
const PATH_SILENT: Micros = Micros::from_millis(300);

const FIRST_PIPE: PipeId = PipeId(1);

/// Longest wait for the answer to a goodbye, ms.
const LEAVE_MS: u64 = 500;

/// Where a match host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its UDP address.
    pub address: SocketAddr,
    /// SHA-256 of the certificates to accept.
    pub cert_sha256: Vec<[u8; 32]>,
}

/// Why there is no connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No UDP socket.
    #[error("no UDP socket: {0}")]
    Socket(#[from] std::io::Error),
    /// The TLS settings are not accepted.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// Nobody answered in time, or with another certificate.
    #[error("no connection to {address}: {reason}")]
    Unreachable {
        /// Who was asked.
        address: SocketAddr,
        /// What went wrong.
        reason: String,
    },
    /// The client cannot go on.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Bytes of UDP payload, QUIC's own included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// To the host.
    pub sent_bytes: u64,
    /// From the host.
    pub received_bytes: u64,
}

/// A player over QUIC: a client, its connections, and the time. It dials again by itself while its seat waits.
pub struct Player<I: Input> {
    client: Client<I>,
    host: Host,
    endpoint: quinn::Endpoint,
    links: Vec<Link>,
    /// They run beside the connection in use: the first that succeeds wins.
    dials: VecDeque<Dial>,
    next_pipe: u32,
    clock: (Instant, Duration),
    /// When to dial again.
    redial: Option<Micros>,
    lost_at: Option<Micros>,
    /// Of connections that are gone.
    traffic: Traffic,
}

/// A connection that is being opened.
type Dial = Pin<Box<dyn Future<Output = Result<Link, String>> + Send>>;

impl Traffic {
    fn plus(self, other: Self) -> Self {
        Self {
            sent_bytes: self.sent_bytes + other.sent_bytes,
            received_bytes: self.received_bytes + other.received_bytes,
        }
    }
}

impl<I: Input> Player<I> {
    /// Connects to a host and says hello. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// There is no socket, or the host does not answer.
    pub async fn connect(game: &Game, mut config: ClientConfig, host: Host) -> Result<Self, ConnectError> {
        config.session.path_silent_after.get_or_insert(PATH_SILENT);
        let mut player = Self {
            client: Client::new(game, config),
            endpoint: link::endpoint(&host)?,
            host,
            links: Vec::new(),
            dials: VecDeque::new(),
            next_pipe: FIRST_PIPE.0,
            clock: (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            redial: None,
            lost_at: None,
            traffic: Traffic::default(),
        };
        let reason = match player.dial().await {
            Ok(link) => {
                player.adopt(link);
                return Ok(player);
            }
            Err(reason) => reason,
        };
        Err(player.unreachable(reason))
    }

    /// The client: what to show, and what to press.
    pub fn client(&mut self) -> &mut Client<I> {
        &mut self.client
    }

    /// Unix time, µs; never steps.
    pub fn now(&self) -> Micros {
        Micros((self.clock.1 + self.clock.0.elapsed()).as_micros() as u64)
    }

    /// Bytes so far, over all connections.
    pub fn traffic(&self) -> Traffic {
        self.links.iter().fold(self.traffic, |sum, link| sum.plus(link.traffic()))
    }

    /// Runs until something happens or `until` is reached (`None`).
    ///
    /// # Errors
    /// The client cannot go on, or its seat cannot be reached again in time.
    pub async fn run(&mut self, until: Micros) -> Result<Option<ClientEvent>, ConnectError> {
        loop {
            let now = self.now();
            self.client.advance(now)?;
            if let Some(event) = self.flush() {
                self.note(now, &event);
                return Ok(Some(event));
            }
            if now >= until {
                return Ok(None);
            }
            if self.redial.is_some_and(|at| at <= now) {
                self.redial(now)?;
            }
            let wake = self.client.poll_timeout(now).into_iter().chain(self.redial).chain([until]);
            let wake = wake.min().unwrap_or(until).since(now);
            tokio::select! {
                (pipe, event) = link::next(&mut self.links) => self.handle(pipe, event),
                dialled = next_dial(&mut self.dials) => self.dialled(dialled),
                () = tokio::time::sleep(Duration::from_micros(wake.0)) => {}
            }
        }
    }

    /// Leaves the match and waits, shortly, until the host knows: the seat goes back to a bot.
    pub async fn leave(mut self) {
        let now = self.now();
        self.client.close(now);
        let until = now + Micros::from_millis(LEAVE_MS);
        while !self.client.session().is_closed() && self.now() < until {
            // Whatever is wrong with it now does not matter any more.
            if self.run(until).await.is_err() {
                return;
            }
        }
    }

    /// Cuts every connection without a word, as a network would. The seat waits.
    pub fn cut(&mut self) {
        let now = self.now();
        for link in self.links.drain(..) {
            self.traffic = self.traffic.plus(link.traffic());
            link.close(Code::Silent);
            self.client.handle_pipe_closed(now, link.pipe(), None);
        }
    }

    /// Opens a connection; nothing is said on it yet. The first one is a join, which has to wait for the handshake at
    /// the host anyway; what comes after it is a resume and may go out as early data.
    fn dial(&mut self) -> Dial {
        let pipe = PipeId(self.next_pipe);
        self.next_pipe += 1;
        let (endpoint, address, early) = (self.endpoint.clone(), self.host.address, pipe != FIRST_PIPE);
        Box::pin(async move {
            let patience = Duration::from_millis(HANDSHAKE_MS_MAX);
            let open = tokio::time::timeout(patience, Link::open(&endpoint, address, pipe, early)).await;
            open.unwrap_or_else(|_| Err("no answer".to_owned()))
        })
    }

    /// Says hello on a new connection.
    fn adopt(&mut self, link: Link) {
        let info =
            PipeInfo { id: link.pipe(), kind: PipeKind::Streams, max_datagram: link.max_datagram(), early: false };
        self.links.push(link);
        if self.links.len() > LINKS_MAX {
            let oldest = self.links.remove(0);
            self.traffic = self.traffic.plus(oldest.traffic());
            oldest.close(Code::GenerationStale);
            self.client.handle_pipe_closed(self.now(), oldest.pipe(), Some(Code::GenerationStale));
        }
        self.client.dial(self.now(), info);
    }

    /// Dials once more, up to the moment the host has given the seat away.
    fn redial(&mut self, now: Micros) -> Result<(), ConnectError> {
        if self.lost_at.is_some_and(|lost| now.since(lost) > Micros::from_millis(RESUME_WINDOW_MS)) {
            return Err(self.unreachable("the seat was not reached again in time".to_owned()));
        }
        self.redial = Some(now + REDIAL);
        let dial = self.dial();
        self.dials.push_back(dial);
        if self.dials.len() > DIALS_MAX {
            self.dials.pop_front();
        }
        Ok(())
    }

    /// A dial has succeeded, or failed: then the next one is due anyway.
    fn dialled(&mut self, dialled: Result<Link, String>) {
        if let Ok(link) = dialled {
            self.dials.clear();
            self.redial = Some(self.now() + ANSWER);
            self.adopt(link);
        }
    }

    fn unreachable(&self, reason: String) -> ConnectError {
        ConnectError::Unreachable { address: self.host.address, reason }
    }

    fn handle(&mut self, pipe: PipeId, event: LinkEvent) {
        let now = self.now();
        if self.lost_at.is_none() && self.dials.is_empty() && !matches!(event, LinkEvent::Closed(_)) {
            // Not silent any more.
            self.redial = None;
        }
        match event {
            LinkEvent::Frame { lane, payload } => self.client.handle_frame(now, pipe, lane, payload),
            LinkEvent::Datagram(bytes) => self.client.handle_datagram(now, pipe, bytes),
            LinkEvent::Closed(code) => {
                if let Some(at) = self.links.iter().position(|link| link.pipe() == pipe) {
                    self.traffic = self.traffic.plus(self.links.remove(at).traffic());
                }
                self.client.handle_pipe_closed(now, pipe, code);
            }
        }
    }

    /// Hands outputs to the connections, up to the next event.
    fn flush(&mut self) -> Option<ClientEvent> {
        while let Some(output) = self.client.poll_output() {
            let link = |pipe: PipeId| self.links.iter().find(|link| link.pipe() == pipe);
            match output {
                ClientOutput::Frame { pipe, lane, payload } => {
                    if let Some(link) = link(pipe) {
                        link.frame(lane, payload);
                    }
                }
                ClientOutput::Datagram { pipe, bytes } => {
                    if let Some(link) = link(pipe) {
                        link.datagram(bytes);
                    }
                }
                ClientOutput::ClosePipe { pipe, code, .. } => {
                    if let Some(link) = link(pipe) {
                        link.close(code);
                    }
                }
                ClientOutput::Event(event) => return Some(event),
            }
        }
        None
    }

    /// Dials again when the seat waits for it.
    fn note(&mut self, now: Micros, event: &ClientEvent) {
        match event {
            ClientEvent::Attached { .. } => {
                self.lost_at = None;
                self.stop_dialling();
            }
            ClientEvent::Detached => {
                self.lost_at.get_or_insert(now);
                // A host that answers on a new connection lets go of the old one first.
                self.redial.get_or_insert(now);
            }
            ClientEvent::PathSilent => {
                self.redial.get_or_insert(now);
            }
            ClientEvent::Closed { .. } => self.stop_dialling(),
            ClientEvent::Joined(_)
            | ClientEvent::Roster(_)
            | ClientEvent::Game(_)
            | ClientEvent::Answer { .. }
            | ClientEvent::Ended(_)
            | ClientEvent::Refused(_) => {}
        }
    }

    fn stop_dialling(&mut self) {
        self.redial = None;
        self.dials.clear();
    }
}

/// The first dial that ends; waits for ever when none is under way.
async fn next_dial(dials: &mut VecDeque<Dial>) -> Result<Link, String> {
    std::future::poll_fn(|context| {
        for at in 0..dials.len() {
            if let Poll::Ready(dialled) = dials[at].as_mut().poll(context) {
                drop(dials.remove(at));
                return Poll::Ready(dialled);
            }
        }
        Poll::Pending
    })
    .await
}
