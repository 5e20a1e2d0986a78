//! The shard's readers of text: how they come, what they get, and how they go.

use std::net::IpAddr;

use amphi_shared_auth::{Revoked, Role, UserToken};
use amphi_shared_edge::http::Events;
use amphi_shared_edge::session::Incoming;
use amphi_shared_session::{PipeId, Refusal};
use amphi_shared_wire::limits::SUBSCRIPTIONS_MAX;
use amphi_shared_wire::proto::{Position, Subscribe};
use amphi_shared_wire::{AppId, Code, Micros, UserId};
use amphi_streaming_core::{Denied, Person, Place, SessionKey, parse_request};
use bytes::Bytes;

use super::{Shard, grants, role};
use crate::home::HomeToken;
use crate::lag::Lateness;
use crate::stock::{Places, Stock, Way, parse_places};

/// Name of a reader without a token; nobody sees it.
const NAMELESS: &str = "Guest";

/// A wish for server-sent events.
pub(crate) struct EventsWish {
    /// Whose; a guest without one.
    pub(crate) token: Option<String>,
    /// The app of a guest.
    pub(crate) app: AppId,
    /// What to read; empty means what the token says.
    pub(crate) topics: Vec<String>,
    /// Where the reader stood: `epoch:offset` per topic.
    pub(crate) since: Option<String>,
    pub(crate) address: IpAddr,
}

impl Shard {
    /// Takes a WebSocket with text messages, or refuses it.
    pub(super) fn handle_text_incoming(&mut self, now: Micros, incoming: Incoming) {
        let key = self.stocks.next_key();
        match self.admit_text(now, key, &incoming) {
            Ok((person, token)) => {
                let (pipe, address) = (self.next_pipe(), incoming.peer.ip());
                let handle = incoming.accept(pipe, self.mailbox.clone());
                let way = Way::Text { pipe, handle };
                self.begin(
                    now,
                    key,
                    Stock { person, token: Some(HomeToken::of(&token)), address, way, lateness: Lateness::default() },
                );
            }
            Err(refusal) => {
                self.refuse_text(now, key, &refusal);
                incoming.refuse(refusal);
            }
        }
    }

    /// Begins server-sent events, or says why not.
    pub(super) fn handle_events(&mut self, now: Micros, wish: &EventsWish, events: Events) -> Result<(), Refusal> {
        let key = self.stocks.next_key();
        let admitted = self.admit_events(now, key, wish);
        let (person, token, places) = admitted.inspect_err(|refusal| self.refuse_text(now, key, refusal))?;
        let (way, lateness) = (Way::Events { events, places }, Lateness::default());
        let stock = Stock { person, token, address: wish.address, way, lateness };
        self.begin(now, key, stock);
        Ok(())
    }

    pub(super) fn handle_text(&mut self, now: Micros, key: SessionKey, text: &Bytes) {
        let Some(stock) = self.stocks.get(key) else { return };
        match parse_request(text) {
            Ok(request) => {
                let (person, address) = (stock.person.clone(), stock.address);
                self.handle_request(now, (key, address), &person, request);
            }
            Err(denied) => self.hub.refuse(key, 0, denied),
        }
        self.drain(now);
    }

    pub(super) fn send_text(&mut self, now: Micros, key: SessionKey, place: Option<Place>, text: &Bytes) {
        let Some(stock) = self.stocks.get(key) else { return };
        if !stock.send(place, text) {
            self.let_stock_go(now, key, Some((Code::SlowReader, 0)));
        }
    }

    /// Ends the readers of tokens that are over or revoked, and of connections that went away.
    pub(super) fn end_stocks(&mut self, now: Micros) {
        while let Some(key) = self.stocks.poll_ended(now) {
            self.let_stock_go(now, key, Some((Code::TokenExpired, 0)));
        }
    }

    pub(super) fn sweep_stocks(&mut self, now: Micros) {
        for key in self.stocks.gone() {
            self.let_stock_go(now, key, None);
        }
    }

    pub(super) fn revoke_stocks(&mut self, now: Micros, revoked: &Revoked) {
        for key in self.stocks.keys() {
            let Some(Stock { person, token: Some(token), .. }) = self.stocks.get(key) else { continue };
            if revoked.covers(token.id, person.user, token.issued) {
                self.counters.revoked += 1;
                self.let_stock_go(now, key, Some((Code::TokenRevoked, 0)));
            }
        }
    }

    /// Ends a reader: what it hears, and when it may come back, ms.
    pub(super) fn let_stock_go(&mut self, now: Micros, key: SessionKey, why: Option<(Code, u32)>) {
        self.counters.slow_readers += u64::from(matches!(why, Some((Code::SlowReader, _))));
        self.stocks.remove(key, why);
        self.hub.session_closed(now, key);
    }

    pub(super) fn next_pipe(&mut self) -> PipeId {
        loop {
            let pipe = self.homes.next_pipe();
            if self.stocks.find(pipe).is_none() {
                return pipe;
            }
        }
    }

    fn begin(&mut self, now: Micros, key: SessionKey, stock: Stock) {
        self.counters.stock_started += 1;
        self.stocks.insert(key, stock);
        self.drain(now);
    }

    fn refuse_text(&mut self, now: Micros, key: SessionKey, refusal: &Refusal) {
        self.counters.refused += 1;
        tracing::debug!(code = %refusal.code, "a reader of text was refused");
        self.hub.session_closed(now, key);
        self.drain(now);
    }

    fn admit_text(
        &mut self,
        now: Micros,
        key: SessionKey,
        incoming: &Incoming,
    ) -> Result<(Person, UserToken), Refusal> {
        self.check_room(now, incoming.peer.ip())?;
        if incoming.hello.token.is_empty() {
            return Err(Code::TokenMissing.into());
        }
        let token = self.verify(now, &incoming.hello.token)?;
        let person = person(&token);
        let since = places(incoming.query("since"), token.subscribe.len())?;
        self.hub.open_text(key);
        for (topic, since) in token.subscribe.iter().zip(since) {
            let ask = Subscribe { topic: topic.to_string(), since };
            self.hub.read(now, key, &person, ask).map_err(refusal)?;
        }
        Ok((person, token))
    }

    fn admit_events(
        &mut self,
        now: Micros,
        key: SessionKey,
        wish: &EventsWish,
    ) -> Result<(Person, Option<HomeToken>, Places), Refusal> {
        self.check_room(now, wish.address)?;
        let token = wish.token.as_ref().map(|token| self.verify(now, token)).transpose()?;
        let person = match &token {
            Some(token) => person(token),
            None => Person {
                user: UserId::generate(now, &mut self.ids),
                app: wish.app.clone(),
                name: NAMELESS.to_owned(),
                role: role(Role::Guest),
                grants: None,
            },
        };
        let of_token = || token.iter().flat_map(|token| token.subscribe.iter().map(ToString::to_string)).collect();
        let topics: Vec<String> = if wish.topics.is_empty() { of_token() } else { wish.topics.clone() };
        if topics.is_empty() {
            return Err(Refusal::new(Code::RequestInvalid, "name a topic: ?topic=NAME, more than once for more"));
        }
        if topics.len() > SUBSCRIPTIONS_MAX {
            return Err(Code::TooManySubscriptions.into());
        }
        let since = places(wish.since.as_deref(), topics.len())?;
        self.hub.open_text(key);
        let mut places = Vec::with_capacity(topics.len());
        for (topic, since) in topics.into_iter().zip(since) {
            let alias = self.hub.read(now, key, &person, Subscribe { topic, since }).map_err(refusal)?;
            places.push((alias, since));
        }
        Ok((person, token.as_ref().map(HomeToken::of), places))
    }

    /// Whether one more may come, from this address.
    pub(super) fn check_room(&mut self, now: Micros, address: IpAddr) -> Result<(), Refusal> {
        if self.leaving.is_some() {
            return Err(self.later(Code::Draining, self.returning));
        }
        self.hellos_by_address.check(now, address).map_err(|wait| self.too_fast(wait))?;
        if self.homes.len() + self.stocks.len() >= self.config.live.sessions_max {
            return Err(self.later(Code::Overloaded, Micros::from_secs(10)));
        }
        Ok(())
    }
}

/// The person that a token names.
pub(crate) fn person(token: &UserToken) -> Person {
    let role = role(token.role);
    let grants = grants(token.grants.clone());
    Person { user: token.user, app: token.app.clone(), name: token.name.clone(), role, grants }
}

/// One place per topic; those that are not named were never read.
fn places(since: Option<&str>, topics: usize) -> Result<Vec<Option<Position>>, Refusal> {
    let wrong =
        |code| Refusal::new(code, "`since` or `last-event-id` is not `epoch:offset` per topic, joined by commas");
    let mut places = since.map_or(Ok(Vec::new()), parse_places).map_err(wrong)?;
    if places.len() > topics {
        return Err(Refusal::new(Code::RequestInvalid, "there are more places than topics"));
    }
    places.resize(topics, None);
    Ok(places)
}

fn refusal(denied: Denied) -> Refusal {
    Refusal { code: denied.code, message: denied.message.to_owned(), retry_after_ms: denied.retry_after_ms }
}
