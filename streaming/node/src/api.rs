//! The public API over HTTP: publish, history, sessions; for people with their tokens and services with API keys.

mod keys;
mod sessions;
mod topics;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use amphi_shared_auth::{KeyScope, Scope};
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::http::{Access, Method, Problem, Request, Response, Routes};
use amphi_shared_session::{RateLimit, RateTable};
use amphi_shared_wire::limits::{
    ADDRESSES_MAX, HISTORY_READS_BURST_MAX, HISTORY_READS_PER_S_MAX, PUBLISH_BODY_BYTES_MAX,
};
use amphi_shared_wire::{AppId, Code, UserId};
use amphi_streaming_core::{Denied, Person, Role};
use tokio::sync::{mpsc, oneshot};

use crate::keys::{Key, KeyDesk};
use crate::shard::{Command, person};

const MESSAGES: &str = "/api/v1/topics/messages";
const HISTORY: &str = "/api/v1/topics/history";
const DISCONNECT: &str = "/api/v1/sessions/disconnect";

/// The public API. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    shared: Arc<Shared>,
}

struct Shared {
    /// The app of guests.
    app: AppId,
    keys: KeyDesk,
    clock: Clock,
    shard: mpsc::Sender<Command>,
    reads: Mutex<RateTable<IpAddr>>,
}

/// Who calls.
enum Caller {
    Person(Box<Person>),
    Key(Arc<Key>),
}

impl Api {
    pub(crate) fn new(app: AppId, (keys, clock): (KeyDesk, Clock), shard: mpsc::Sender<Command>) -> Self {
        let rate = RateLimit::new(HISTORY_READS_PER_S_MAX, HISTORY_READS_BURST_MAX);
        let reads = Mutex::new(RateTable::new(rate, ADDRESSES_MAX));
        Self { shared: Arc::new(Shared { app, keys, clock, shard, reads }) }
    }

    pub(crate) fn routes(&self) -> Routes {
        let keys = Access::Service(Scope::LiveKeys);
        Routes::new()
            .post(MESSAGES, Access::Key { guests: false }, self.with(topics::publish))
            .body_bytes_max(Method::Post, MESSAGES, PUBLISH_BODY_BYTES_MAX)
            .describe(Method::Post, MESSAGES, topics::publish_operation())
            .get(HISTORY, Access::Key { guests: true }, self.with(topics::history))
            .describe(Method::Get, HISTORY, topics::history_operation())
            .post(DISCONNECT, Access::Key { guests: false }, self.with(sessions::disconnect))
            .describe(Method::Post, DISCONNECT, sessions::operation())
            .post("/internal/v1/keys", keys, self.with(keys::create))
            .post("/internal/v1/keys/list", keys, self.with(keys::list))
            .post("/internal/v1/keys/revoke", keys, self.with(keys::revoke))
    }

    fn with<F>(
        &self,
        handler: impl Fn(Self, Request) -> F + Clone + Send + Sync + 'static,
    ) -> impl Fn(Request) -> F + Clone + Send + Sync + 'static
    where
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let api = self.clone();
        move |request| handler(api.clone(), request)
    }

    /// Who calls a route of [`Access::Key`]. A key must have the scope; whoever brings nothing is a guest.
    fn caller(&self, request: &Request, scope: KeyScope) -> Result<Caller, Problem> {
        if let Some(token) = &request.caller {
            return Ok(Caller::Person(Box::new(person(token))));
        }
        match request.bearer() {
            Some(key) => self.shared.keys.admit(key, scope).map(Caller::Key),
            None => Ok(Caller::Person(Box::new(Person {
                user: UserId::from_bits(0),
                app: self.shared.app.clone(),
                name: String::new(),
                role: Role::Guest,
                grants: None,
            }))),
        }
    }

    /// Takes one call of what a key may make; people have other rates.
    fn pace(&self, caller: &Caller) -> Result<(), Problem> {
        match caller {
            Caller::Key(key) => self.shared.keys.pace(key),
            Caller::Person(_) => Ok(()),
        }
    }

    /// Takes one of the reads that an address may make.
    fn pace_read(&self, address: IpAddr) -> Result<(), Problem> {
        let mut reads = self.shared.reads.lock().unwrap_or_else(PoisonError::into_inner);
        reads.check(self.shared.clock.now(), address).map_err(|wait| {
            let ms = u32::try_from(wait.0.div_ceil(1_000)).unwrap_or(u32::MAX);
            Problem::from(Code::RateLimited).retry_after(ms)
        })
    }

    /// Asks the shard, and waits for its answer.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        self.shared.shard.try_send(command(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Problem::from(Code::Overloaded).retry_after(100),
            mpsc::error::TrySendError::Closed(_) => Problem::from(Code::Draining).retry_after(1_000),
        })?;
        answer.await.map_err(|_| Problem::from(Code::Draining).retry_after(1_000))
    }
}

fn problem(denied: Denied) -> Problem {
    Problem::new(denied.code, denied.message).retry_after(denied.retry_after_ms)
}
