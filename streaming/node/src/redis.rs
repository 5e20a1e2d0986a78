//! The broker that nodes share: a task with one connection to a Redis server, version 7 or newer.
//!
//! Publications of topics that are followed come as pushes (RESP3) on the connection that the calls go over, so both end
//! together. What a new connection may have missed, the hub reads again.

mod script;
mod task;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_wire::limits::BROKER_EVENTS_MAX;
use amphi_shared_wire::{Micros, Seed};
use amphi_streaming_core::{BrokerEvent, BrokerRequest};
use redis::IntoConnectionInfo;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::broker::Broker;
use task::Task;

const PEM_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Why there is no Redis broker.
#[derive(Debug, Error)]
#[error(
    "`{url}` is no address of a Redis server: {reason}; write redis://[user:password@]host[:port][/database], or rediss://… for TLS"
)]
pub struct RedisError {
    url: String,
    reason: String,
}

/// The broker that nodes share. Its task ends with the shutdown it was given, or when this is dropped.
pub struct RedisBroker {
    /// A hub asks for what it has room for: its pending publications, and one read per topic.
    requests: mpsc::UnboundedSender<Asked>,
    events: mpsc::UnboundedReceiver<BrokerEvent>,
    heard: Arc<Heard>,
    front: VecDeque<BrokerEvent>,
}

/// A request and when it was made.
type Asked = (Micros, BrokerRequest);

/// What the connection and the hub's owner share.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Publications, and what nodes tell, that wait for the hub.
    waiting: AtomicUsize,
    /// One was dropped because too many waited.
    dropped: AtomicBool,
    /// Topics that are followed.
    followed: AtomicUsize,
}

impl Heard {
    /// Room for one more publication; without it, all topics are read again.
    fn claim(&self) -> bool {
        let fits = self.waiting.fetch_add(1, Ordering::Relaxed) < BROKER_EVENTS_MAX;
        if !fits {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.dropped.store(true, Ordering::Relaxed);
        }
        fits
    }
}

impl RedisBroker {
    /// Starts the task; it connects, and connects again, by itself. With `rediss://` it speaks TLS; the server is vouched for
    /// by `ca` (PEM), else by a CA that the system trusts. Fresh epochs come from `seed`, which differs between processes.
    /// Needs a tokio runtime.
    ///
    /// # Errors
    /// `url` is no address of a Redis server, or `ca` is no certificate, or not wanted.
    pub fn start((url, ca): (&str, Option<Vec<u8>>), seed: Seed, shutdown: Shutdown) -> Result<Self, RedisError> {
        let wrong = |error: redis::RedisError| RedisError { url: hide_password(url), reason: error.to_string() };
        let info = url.into_connection_info().map_err(wrong)?;
        let settings = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP3);
        let info = info.set_redis_settings(settings);
        let client = match ca {
            // An empty list of CAs would be taken, and refuse every server.
            Some(ca) if !ca.windows(PEM_CERTIFICATE.len()).any(|window| window == PEM_CERTIFICATE) => {
                let reason = "the file of the CA holds no certificate in PEM".to_owned();
                return Err(RedisError { url: hide_password(url), reason });
            }
            Some(ca) => {
                let certificates = redis::TlsCertificates { client_tls: None, root_cert: Some(ca) };
                redis::Client::build_with_tls(info, certificates)
            }
            None => redis::Client::open(info),
        };
        let client = client.map_err(wrong)?;
        let (requests, asked) = mpsc::unbounded_channel();
        let (said, events) = mpsc::unbounded_channel();
        let heard = Arc::new(Heard::default());
        tokio::spawn(Task::new(client, said, (Arc::clone(&heard), seed)).run(asked, shutdown));
        Ok(Self { requests, events, heard, front: VecDeque::new() })
    }

    fn take(&mut self, event: BrokerEvent) {
        if matches!(event, BrokerEvent::Publication { .. } | BrokerEvent::Told { .. }) {
            self.heard.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        self.front.push_back(event);
    }
}

impl Broker for RedisBroker {
    fn submit(&mut self, now: Micros, request: BrokerRequest) {
        // The task ends with the process; then nobody waits for its answers.
        let _ = self.requests.send((now, request));
    }

    fn poll_event(&mut self) -> Option<BrokerEvent> {
        if self.front.is_empty() {
            match self.events.try_recv() {
                Ok(event) => self.take(event),
                Err(_) if self.heard.dropped.swap(false, Ordering::Relaxed) => {
                    self.front.push_back(BrokerEvent::Unsure)
                }
                Err(_) => {}
            }
        }
        self.front.pop_front()
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.front.is_empty() {
            match self.events.poll_recv(context) {
                Poll::Ready(Some(event)) => self.take(event),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    fn handle_timeout(&mut self, _: Micros) {}

    fn poll_timeout(&self) -> Option<Micros> {
        None
    }

    fn topics(&self) -> usize {
        self.heard.followed.load(Ordering::Relaxed)
    }
}

/// The address as a log may show it.
fn hide_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        (Some(_) | None, _) => url.to_owned(),
    }
}
