//! What HTTP asks of the shard beside streams of events: publish, read history, end sessions.

use std::collections::HashMap;
use std::net::IpAddr;

use amphi_shared_wire::proto::{Publish, ServicePublication, Subscribe};
use amphi_shared_wire::{AppId, Code, Micros, SessionId, UserId};
use amphi_streaming_core::{Denied, HistoryView, Person};
use tokio::sync::oneshot;

use super::Shard;

/// Who publishes.
pub(crate) enum Author {
    /// A service; the name tells its idempotency keys from those of others.
    Service(String),
    /// A person, from this address.
    Person(Box<Person>, IpAddr),
}

/// A question for history.
pub(crate) struct Look {
    pub(crate) app: AppId,
    /// `None`: a service.
    pub(crate) person: Option<Person>,
    pub(crate) ask: Subscribe,
    pub(crate) limit: usize,
    pub(crate) reply: oneshot::Sender<Result<HistoryView, Denied>>,
}

/// Whose sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// All of a person.
    User(UserId),
    /// One.
    Session(SessionId),
}

/// Questions for history that are not answered yet.
#[derive(Default)]
pub(crate) struct Looks {
    open: HashMap<u64, oneshot::Sender<Result<HistoryView, Denied>>>,
    last: u64,
}

impl Looks {
    pub(super) fn end(&mut self, ticket: u64, view: Result<HistoryView, Denied>) {
        if let Some(reply) = self.open.remove(&ticket) {
            // The caller may have gone.
            let _ = reply.send(view);
        }
    }
}

impl Shard {
    pub(super) fn publish(&mut self, now: Micros, ticket: u64, author: &Author, publication: ServicePublication) {
        let ServicePublication { topic, flags, payload, app, key } = publication;
        let ask = Publish { topic, payload, key };
        let done = match author {
            Author::Service(name) => app
                .parse::<AppId>()
                .map_err(|_| Denied::new(Code::RequestInvalid, "the app has no valid name"))
                .and_then(|app| self.hub.publish_service(now, ticket, (&app, name), (flags as u8, ask))),
            Author::Person(person, address) => self
                .publishes_by_address
                .check(now, *address)
                .map_err(|wait| {
                    let why = "too many publications from this address in a short time";
                    Denied::later(Code::RateLimited, why, wait)
                })
                .and_then(|()| self.hub.publish_person(now, ticket, person, ask)),
        };
        if let Err(denied) = done {
            self.batches.end(ticket, Err(denied));
        }
    }

    pub(super) fn look(&mut self, now: Micros, look: Look) {
        let Look { app, person, ask, limit, reply } = look;
        self.looks.last += 1;
        let ticket = self.looks.last;
        self.looks.open.insert(ticket, reply);
        if let Err(denied) = self.hub.look(now, ticket, (&app, person.as_ref()), (ask, limit)) {
            self.looks.end(ticket, Err(denied));
        }
        self.drain(now);
    }

    /// Ends sessions of an app at this node; their number.
    pub(super) fn disconnect(&mut self, now: Micros, (app, whose): (&AppId, Whose), code: Code) -> usize {
        let mut ended = 0;
        for key in self.homes.keys() {
            let Some(home) = self.homes.get(key) else { continue };
            let meant = match whose {
                Whose::User(user) => home.person.user == user,
                Whose::Session(session) => home.id == session,
            };
            if meant && home.person.app == *app {
                home.engine.close(now, code, code.help());
                self.dirty.push_back(key);
                ended += 1;
            }
        }
        for key in self.stocks.keys() {
            let Some(stock) = self.stocks.get(key) else { continue };
            if whose == Whose::User(stock.person.user) && stock.person.app == *app {
                self.let_stock_go(now, key, Some((code, 0)));
                ended += 1;
            }
        }
        self.drain(now);
        ended
    }
}
