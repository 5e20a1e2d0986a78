//! The match host: binds, admits, creates rooms, drains.

mod task;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use amphi_shared_auth::{JwksError, Verifier};
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::host::{HostReady, HostStart, HostTls};
use amphi_shared_edge::http::Problem;
use amphi_shared_edge::keys::{self, KeyOwner, KeySource};
use amphi_shared_edge::service::{ServiceClient, ServiceFailure};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_edge::{BindError, Counters, ListenConfig, Listener, Origins, Sessions};
use amphi_shared_replica::Game;
use amphi_shared_wire::limits::ROOMS_PER_HOST_MAX;
use amphi_shared_wire::proto::{CreateRoom, CreateRoomReply};
use amphi_shared_wire::{MatchId, SessionId, TokenId};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::admission::Admission;
use crate::metrics::Metrics;
use crate::reporter::{self, Identity, Reporter, Update};
use crate::worker::{HostedRoom, Links, WorkerHandle};
use crate::{profile, publisher, routes};
use task::{Host, Names, Parts};

/// Events that wait for the host's task.
const EVENTS_MAX: usize = 4_096;

/// Why a host did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The port could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The public keys in the start line cannot be read.
    #[error("the public keys cannot be read: {0}")]
    Keys(#[from] JwksError),
    /// No client for the fleet or the live role.
    #[error("no service client: {0}")]
    Service(#[from] ServiceFailure),
    /// A room worker's thread did not start.
    #[error("a thread did not start: {0}")]
    Thread(#[from] io::Error),
}

/// What the host's task hears of.
#[derive(Debug)]
pub(crate) enum Event {
    /// The fleet wants a room.
    Create { request: CreateRoom, reply: Reply },
    /// A room was built, or not.
    Built { match_id: MatchId, room: Result<Box<HostedRoom>, Problem> },
    /// No new rooms; running ones end at the deadline, if there is one.
    Drain { deadline_ms: Option<u32> },
    /// The fleet does not know this host any more.
    LeaseEnded,
    /// The process that started this one is gone.
    Orphaned,
    /// A room and its sessions are gone.
    RoomEnded(MatchId),
    /// A session has ended.
    SessionEnded(SessionId),
    /// A token found no seat.
    TokenUnused(TokenId),
    /// The certificate that follows the one in use.
    Renew(Certificate),
}

pub(crate) type Reply = oneshot::Sender<Result<CreateRoomReply, Problem>>;

/// A running match host.
#[derive(Debug)]
pub struct GameHost {
    ready: HostReady,
    counters: Counters,
    events: mpsc::Sender<Event>,
    task: JoinHandle<()>,
}

impl GameHost {
    /// Binds the port and takes rooms of `game` from then on. Call it inside a tokio runtime.
    ///
    /// It drains when `shutdown` does, when its fleet says so, or when its lease has ended, and stops at once when
    /// `shutdown` stops.
    ///
    /// # Errors
    /// The port is taken, or the start line is wrong.
    pub fn start(game: Game, start: HostStart, clock: Clock, shutdown: Shutdown) -> Result<Self, StartError> {
        profile::start();
        if let Err(error) = game.tables() {
            tracing::warn!(%error, "snapshots go out in the plain codes; `amphi tables train` makes tables that fit");
        }
        let verifier = Verifier::from_jwks(&start.jwks)?;
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let draining = Arc::new(AtomicBool::new(false));
        // The keys of the deployment change while a host runs.
        let jwks = KeySource::Url(format!("{}/.well-known/jwks.json", start.live_url.trim_end_matches('/')));
        let keys = vec![(KeyOwner::Deployment, jwks)];
        tokio::spawn(keys::follow(verifier.clone(), keys, clock, shutdown.clone()));
        let listening = Listener::bind(ListenConfig {
            listen: start.listen,
            routes: routes::routes(&events, Arc::clone(&draining)),
            verifier: verifier.clone(),
            clock,
            tls: None,
            sessions: Some(Sessions { certificate: start.tls.clone().into(), origins: Origins::Any }),
        })?;
        let names = Names { public_host: start.public_host.clone(), region: start.region.clone() };
        let endpoints = names.endpoints(&listening);
        let ready = HostReady {
            endpoints: endpoints.iter().map(Into::into).collect(),
            internal_url: format!("http://{}", reachable(listening.local_addr)),
        };
        let counters = listening.counters.clone();
        let rooms_max = start.rooms_max.min(ROOMS_PER_HOST_MAX as u32);
        let identity = Identity { host_id: start.host_id, lease_id: start.lease_id, rooms_max, endpoints };
        let fleet_token = start.tokens.fleet_report.clone();
        let fleet = ServiceClient::new(&start.fleet_url, move |_| fleet_token.clone())?;
        let (reports, updates) = reporter::channel();
        tokio::spawn(Reporter::new(fleet, identity, events.clone()).run(updates));
        let host = Host::new(Parts {
            clock,
            workers: start_workers(&start, clock, (&events, &reports))?,
            admission: Admission::new(start.app.clone(), game.clone(), verifier),
            game,
            data_dir: start.data_dir,
            journals: start.journals,
            rooms_max: rooms_max as usize,
            names,
            reports,
            events: events.clone(),
            draining,
        });
        let task = tokio::spawn(host.run(listening, receiver, shutdown));
        Ok(Self { ready, counters, events, task })
    }

    /// What to tell the fleet.
    pub fn ready(&self) -> HostReady {
        self.ready.clone()
    }

    /// What the listener took and refused.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Says that the process that started this one is gone: no new rooms, running matches finish.
    pub async fn orphaned(&self) {
        // A host that has ended needs not know.
        let _ = self.events.send(Event::Orphaned).await;
    }

    /// Takes the certificate that follows the one in use. Its fleet hears of it with the endpoints, in the next report.
    pub async fn renew(&self, tls: HostTls) {
        // A host that has ended needs no certificate.
        let _ = self.events.send(Event::Renew(tls.into())).await;
    }

    /// Waits until the host has ended: all rooms are over and reported, or it was stopped.
    pub async fn wait(&mut self) {
        if (&mut self.task).await.is_err() {
            tracing::error!("the host's task panicked");
        }
    }
}

fn start_workers(
    start: &HostStart,
    clock: Clock,
    (events, reports): (&mpsc::Sender<Event>, &mpsc::Sender<Update>),
) -> Result<Vec<WorkerHandle>, StartError> {
    let live_token = start.tokens.live_publish.clone();
    let live = ServiceClient::new(&start.live_url, move |_| live_token.clone())?;
    let (views, frames) = publisher::channel();
    tokio::spawn(publisher::run(live, start.app.clone(), frames));
    let metrics = Arc::new(Metrics::new());
    let count = std::thread::available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(1);
    let links = || Links {
        clock,
        host: events.clone(),
        reports: reports.clone(),
        views: views.feed(),
        metrics: Arc::clone(&metrics),
    };
    Ok((0..count).map(|number| WorkerHandle::start(number, links())).collect::<io::Result<_>>()?)
}

/// An address that this machine can call: a listener on every address is called over loopback.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, addr.port())
}
