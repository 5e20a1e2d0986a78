//! The shard: one thread that owns the hub and every home session.

mod calls;
mod fanout;
mod presence;
mod stock;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use amphi_shared_auth::{Revoked, UserToken, Verifier, random_bytes};
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::http::Events;
use amphi_shared_edge::session::{Incoming, PipeEvent, PipeEventKind, Transport};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_session::{
    Event, Output, PipeId, PipeInfo, RateTable, Refusal, SendError, ServerParams, Session, TopicPosition,
};
use amphi_shared_wire::limits::REFRESH_EVERY_MS_MIN;
use amphi_shared_wire::proto::{
    Control, HoldMembers, ListPresence, Position, PresencePage, Refresh, Refreshed, ServicePublication, Subscribe,
    TopicRequest, control, topic_request,
};
use amphi_shared_wire::{
    AppId, Code, LANE_CONTROL, LANE_TOPICS, Lane, Micros, Rng, Seed, SessionId, TopicGrants, UserId,
};
use amphi_streaming_core::{Denied, Hub, HubConfig, HubOutput, MemoryBroker, NodeId, Person, SessionKey};
use bytes::Bytes;
use prost::Message;
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use self::calls::{Author, Look, Looks, Whose};
pub(crate) use self::stock::{EventsWish, person};
use crate::LiveConfig;
use crate::broker::{Batches, Broker, Brokers, Receipts};
use crate::gather::Gathering;
use crate::home::{Home, HomeToken, Homes, Pipe};
use crate::lag::{Lagging, Lateness};
use crate::metrics::{self, ShardCounters};
use crate::overview::LiveOverview;
use crate::stock::Stocks;

/// Events taken from the mailbox before other things get their turn.
const BATCH: usize = 256;
/// How often numbers are exported.
const EXPORT_EVERY: Micros = Micros::from_secs(1);

/// What the HTTP side asks of the shard.
pub(crate) enum Command {
    /// Publishes each, and answers with what became of them.
    Publish { author: Author, publications: Vec<ServicePublication>, reply: oneshot::Sender<Receipts> },
    /// Tells what a topic holds.
    Look(Look),
    /// Ends sessions, and answers with their number.
    Disconnect { app: AppId, whose: Whose, code: Code, reply: oneshot::Sender<usize> },
    /// Lists members of a topic.
    Presence { app: AppId, ask: ListPresence, reply: oneshot::Sender<Result<PresencePage, Denied>> },
    /// Takes a service's word that people are in a topic.
    Hold { app: AppId, hold: HoldMembers, reply: oneshot::Sender<Result<(), Denied>> },
    /// Ends the sessions of revoked tokens.
    Revoke(Revoked),
    /// Begins server-sent events, and answers whether they did.
    Events { wish: EventsWish, events: Events, reply: oneshot::Sender<Result<(), Refusal>> },
}

/// Where a shard's work comes from.
pub(crate) struct Sources {
    pub(crate) incoming: mpsc::Receiver<Incoming>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) shutdown: Shutdown,
}

/// What a shard is made with.
pub(crate) struct ShardConfig {
    pub(crate) live: LiveConfig,
    pub(crate) verifier: Verifier,
    pub(crate) clock: Clock,
    pub(crate) overview: watch::Sender<LiveOverview>,
    /// Room for events of all connections.
    pub(crate) mailbox_events_max: usize,
}

/// Owner of the hub and every home session.
pub(crate) struct Shard {
    config: ShardConfig,
    /// Shared by every home session.
    sessions: Arc<amphi_shared_session::Config>,
    hub: Hub,
    brokers: Brokers,
    /// Publications over HTTP that are not answered yet.
    batches: Batches,
    looks: Looks,
    /// Lists of members that are not there yet.
    lists: BTreeMap<u64, oneshot::Sender<Result<PresencePage, Denied>>>,
    list_last: u64,
    homes: Homes,
    /// Readers without a session.
    stocks: Stocks,
    lagging: Lagging,
    gathering: Gathering,
    ids: Rng,
    mailbox: mpsc::Sender<PipeEvent>,
    events: mpsc::Receiver<PipeEvent>,
    /// Sessions whose engine may have output.
    dirty: VecDeque<SessionKey>,
    /// Sessions still to be closed, and when, while draining; newest time first.
    leaving: Option<Vec<(Micros, SessionKey)>>,
    /// Time over which those who leave a draining node come back elsewhere.
    returning: Micros,
    hellos_by_address: RateTable<IpAddr>,
    hellos_by_person: RateTable<UserId>,
    publishes_by_address: RateTable<IpAddr>,
    counters: ShardCounters,
    exported: (Micros, u64, u64),
}

/// One thing that happened.
enum Happening {
    Events,
    Broker,
    Incoming(Box<Incoming>),
    Command(Command),
    Timer,
    Draining,
    Stopping,
}

impl Shard {
    pub(crate) fn new(config: ShardConfig, shared: Option<Box<dyn Broker>>) -> Self {
        let (mailbox, events) = mpsc::channel(config.mailbox_events_max);
        let seed = Seed(u64::from_le_bytes(random_bytes()));
        let node = shared.is_some().then(|| NodeId(u64::from_le_bytes(random_bytes())));
        Self {
            hub: Hub::new(HubConfig { node, ..config.live.hub.clone() }),
            brokers: Brokers::new(MemoryBroker::new(config.live.hub.topics_max, seed.split("broker")), shared),
            batches: Batches::default(),
            looks: Looks::default(),
            lists: BTreeMap::new(),
            list_last: 0,
            sessions: Arc::new(amphi_shared_session::Config::home()),
            homes: Homes::default(),
            stocks: Stocks::default(),
            lagging: Lagging::default(),
            gathering: Gathering::default(),
            ids: seed.split("ids").rng(),
            mailbox,
            events,
            dirty: VecDeque::new(),
            leaving: None,
            returning: Micros(0),
            hellos_by_address: config.live.hellos.table(),
            hellos_by_person: config.live.hellos.table(),
            publishes_by_address: config.live.publishes.table(),
            counters: ShardCounters::default(),
            exported: (config.clock.now(), 0, 0),
            config,
        }
    }

    /// Works until the node stops, or has drained.
    pub(crate) async fn run(mut self, mut sources: Sources) {
        let mut batch = Vec::with_capacity(BATCH);
        while !self.is_done() {
            let happening = self.next(&mut batch, &mut sources).await;
            let now = self.config.clock.now();
            self.brokers.begin_turn();
            match happening {
                Happening::Events => batch.drain(..).for_each(|event| self.handle_event(now, event)),
                Happening::Incoming(incoming) => self.handle_incoming(now, *incoming),
                Happening::Command(command) => self.handle_command(now, command),
                Happening::Broker => self.drain(now),
                Happening::Timer => {}
                Happening::Draining => self.start_drain(now),
                Happening::Stopping => break,
            }
            self.handle_timeout(now);
        }
        self.export(self.config.clock.now());
    }

    async fn next(&mut self, batch: &mut Vec<PipeEvent>, sources: &mut Sources) -> Happening {
        let wait = self.config.clock.until(self.next_timeout());
        let draining = self.leaving.is_some();
        tokio::select! {
            _ = self.events.recv_many(batch, BATCH) => Happening::Events,
            Some(incoming) = sources.incoming.recv() => Happening::Incoming(Box::new(incoming)),
            Some(command) = sources.commands.recv() => Happening::Command(command),
            () = self.brokers.ready() => Happening::Broker,
            () = tokio::time::sleep(wait.min(Duration::from_secs(1))) => Happening::Timer,
            () = sources.shutdown.wait(), if !draining => Happening::Draining,
            () = sources.shutdown.wait_stop() => Happening::Stopping,
        }
    }

    /// A draining node is done when nobody is left.
    fn is_done(&self) -> bool {
        self.leaving.is_some() && self.homes.len() + self.stocks.len() == 0
    }

    fn handle_event(&mut self, now: Micros, event: PipeEvent) {
        let Some(key) = self.homes.pipe(event.pipe).map(|pipe| pipe.session) else {
            return self.handle_stock_event(now, event);
        };
        let Some(home) = self.homes.get(key) else { return };
        match event.kind {
            PipeEventKind::Frame { lane, payload } => home.engine.handle_frame(now, event.pipe, lane, payload),
            PipeEventKind::Datagram(bytes) => home.engine.handle_datagram(now, event.pipe, bytes),
            PipeEventKind::Confirmed => home.engine.handle_pipe_confirmed(now, event.pipe),
            PipeEventKind::Closed(code) => {
                home.engine.handle_pipe_closed(now, event.pipe, code);
                self.homes.remove_pipe(event.pipe);
            }
        }
        self.dirty.push_back(key);
        self.drain(now);
    }

    fn handle_stock_event(&mut self, now: Micros, event: PipeEvent) {
        let Some(key) = self.stocks.find(event.pipe) else { return };
        match event.kind {
            PipeEventKind::Frame { payload, .. } => self.handle_text(now, key, &payload),
            PipeEventKind::Closed(_) => self.let_stock_go(now, key, None),
            // A WebSocket has neither.
            PipeEventKind::Datagram(_) | PipeEventKind::Confirmed => {}
        }
    }

    fn handle_command(&mut self, now: Micros, command: Command) {
        match command {
            Command::Publish { author, publications, reply } => {
                for (ticket, publication) in self.batches.begin(publications, reply) {
                    self.publish(now, ticket, &author, publication);
                }
                self.drain(now);
            }
            Command::Look(look) => self.look(now, look),
            Command::Disconnect { app, whose, code, reply } => {
                // The caller may have gone; the sessions have ended.
                let _ = reply.send(self.disconnect(now, (&app, whose), code));
            }
            Command::Presence { app, ask, reply } => self.list(now, (&app, &ask), reply),
            Command::Hold { app, hold, reply } => {
                let HoldMembers { topic, members, time_ms, .. } = hold;
                let time = Micros::from_millis(time_ms.into());
                // The caller may have gone.
                let _ = reply.send(self.hub.hold_members(now, (&app, &topic), members, time));
                self.drain(now);
            }
            Command::Revoke(revoked) => self.revoke(now, &revoked),
            Command::Events { wish, events, reply } => {
                // The caller may have gone; then its events are gone too.
                let _ = reply.send(self.handle_events(now, &wish, events));
            }
        }
    }

    /// Ends the sessions whose newest token is revoked.
    fn revoke(&mut self, now: Micros, revoked: &Revoked) {
        for key in self.homes.keys() {
            let Some(home) = self.homes.get(key) else { continue };
            if revoked.covers(home.token.id, home.person.user, home.token.issued) {
                self.counters.revoked += 1;
                home.engine.close(now, Code::TokenRevoked, Code::TokenRevoked.help());
                self.dirty.push_back(key);
            }
        }
        self.revoke_stocks(now, revoked);
        self.drain(now);
    }

    fn handle_incoming(&mut self, now: Micros, incoming: Incoming) {
        if incoming.transport == Transport::WebSocketJson {
            return self.handle_text_incoming(now, incoming);
        }
        let pipe = self.next_pipe();
        match self.admit(now, &incoming, pipe) {
            Ok(session) => {
                let handle = incoming.accept_resting(pipe, self.mailbox.clone());
                self.homes.insert_pipe(pipe, Pipe { session, handle, lateness: Lateness::default() });
                self.dirty.push_back(session);
                self.drain(now);
            }
            Err(refusal) => {
                self.counters.refused += 1;
                tracing::debug!(code = %refusal.code, "a home session was refused");
                incoming.refuse(refusal);
            }
        }
    }

    /// The session that this connection will carry: a new one, or the one it resumes.
    fn admit(&mut self, now: Micros, incoming: &Incoming, pipe: PipeId) -> Result<SessionKey, Refusal> {
        if self.leaving.is_some() {
            return Err(self.later(Code::Draining, self.returning));
        }
        let (hello, address) = (&incoming.hello, incoming.peer.ip());
        self.hellos_by_address.check(now, address).map_err(|wait| self.too_fast(wait))?;
        let token = self.verify(now, &hello.token)?;
        if token.app != hello.app {
            return Err(Code::TokenWrongApp.into());
        }
        let info =
            PipeInfo { id: pipe, kind: incoming.kind, max_datagram: incoming.max_datagram, early: incoming.early };
        // A session that is not known here goes on as a new one: topics have their positions, and nothing else is lost.
        if let Some(key) = hello.resume.as_ref().and_then(|resume| self.homes.find(resume.session)) {
            let home = self.homes.get(key).ok_or(Code::SessionUnknown)?;
            if home.person.user != token.user || home.person.app != token.app {
                return Err(Code::SessionSecret.into());
            }
            home.engine.attach(now, hello, info)?;
            home.token = HomeToken::of(&token);
            home.address = address;
            home.person.name = token.name;
            home.person.role = role(token.role);
            home.person.grants = grants(token.grants);
            self.counters.sessions_resumed += 1;
            return Ok(key);
        }
        if self.homes.len() + self.stocks.len() >= self.config.live.sessions_max {
            return Err(self.later(Code::Overloaded, Micros::from_secs(10)));
        }
        let id = SessionId::generate(now, &mut self.ids);
        let params = ServerParams {
            session: id,
            secret: random_bytes(),
            clock_id: self.config.clock.id(),
            tick: None,
            capabilities: Vec::new(),
        };
        let engine = Session::accept(now, self.sessions.clone(), params, hello, info);
        let proof = HomeToken::of(&token);
        let grants = grants(token.grants);
        let person = Person { user: token.user, app: token.app, name: token.name, role: role(token.role), grants };
        self.counters.sessions_started += 1;
        tracing::debug!(session = %id, user = %person.user, "a home session began");
        Ok(self.homes.insert(id, (person, engine), (proof, address)))
    }

    /// The person's token, unless they come too often.
    fn verify(&mut self, now: Micros, token: &str) -> Result<UserToken, Refusal> {
        let token = self.config.verifier.user(now, token).map_err(|code| {
            // Whoever follows the keys looks for it at once, and once per second at most.
            let retry_after_ms = if code == Code::TokenKeyUnknown { 2_000 } else { 0 };
            Refusal { retry_after_ms, ..Refusal::from(code) }
        })?;
        self.hellos_by_person.check(now, token.user).map_err(|wait| self.too_fast(wait))?;
        Ok(token)
    }

    fn too_fast(&mut self, wait: Micros) -> Refusal {
        self.counters.rate_limited += 1;
        let retry_after_ms = u32::try_from(wait.0.div_ceil(1_000)).unwrap_or(u32::MAX);
        Refusal { retry_after_ms, ..Refusal::from(Code::RateLimited) }
    }

    /// A refusal whose time to try again is spread over `within`, so that not everyone comes back at once.
    fn later(&mut self, code: Code, within: Micros) -> Refusal {
        let retry_after_ms = 500 + self.ids.below(within.as_millis().max(1)) as u32;
        Refusal { code, message: code.help().to_owned(), retry_after_ms }
    }

    fn handle_timeout(&mut self, now: Micros) {
        self.close_leaving(now);
        while let Some(key) = self.homes.poll_due(now) {
            self.homes.hear(key);
            let Some(home) = self.homes.get(key) else { continue };
            if home.token.expires <= now {
                home.token.expires = Micros(u64::MAX);
                home.engine.close(now, Code::TokenExpired, Code::TokenExpired.help());
            }
            home.engine.handle_timeout(now);
            self.dirty.push_back(key);
            self.drain(now);
        }
        self.end_stocks(now);
        self.flush_lagging(now);
        self.hub.handle_timeout(now);
        self.brokers.handle_timeout(now);
        self.drain(now);
        if now >= self.exported.0 + EXPORT_EVERY {
            self.sweep_stocks(now);
            self.gathering.sweep(now);
            self.export(now);
        }
    }

    fn next_timeout(&self) -> Micros {
        let leaving = self.leaving.as_ref().and_then(|leaving| leaving.last()).map(|(at, _)| *at);
        let hub = self.hub.poll_timeout().map(|(at, _)| at);
        let others = [
            self.homes.next_due(),
            self.stocks.next_end(),
            hub,
            self.brokers.poll_timeout(),
            leaving,
            self.lagging.next_look(),
            self.gathering.next_due(),
        ];
        others.into_iter().flatten().fold(self.exported.0 + EXPORT_EVERY, Micros::min)
    }

    /// Moves everything that is waiting to where it goes, until nothing is.
    fn drain(&mut self, now: Micros) {
        loop {
            if let Some(key) = self.dirty.pop_front() {
                self.drain_engine(now, key);
            } else if let Some(request) = self.hub.poll_request() {
                self.brokers.submit(now, request);
            } else if let Some(event) = self.brokers.poll_event() {
                self.hub.handle_broker(now, event);
            } else if let Some(output) = self.hub.poll_output() {
                match output {
                    HubOutput::Send { session, payload } => self.send(now, session, payload),
                    HubOutput::Broadcast { alias, offset, lag, payload } => {
                        self.publication(now, (alias, offset), &lag, payload);
                    }
                    HubOutput::SendText { session, place, text } => self.send_text(now, session, place, &text),
                    HubOutput::BroadcastText { place, lag, text } => self.broadcast_text(now, place, &lag, &text),
                    HubOutput::Published { ticket, receipt } => self.batches.end(ticket, receipt),
                    HubOutput::History { ticket, view } => self.looks.end(ticket, view),
                    HubOutput::Presence { alias, payload } => self.tell_watchers(now, alias, &payload),
                    HubOutput::PresenceText { alias, text } => self.tell_text_watchers(now, alias, &text),
                    HubOutput::PresenceListed { ticket, page } => self.listed(ticket, page),
                }
            } else {
                break;
            }
        }
        self.flush_gathered(now);
    }

    fn send(&mut self, now: Micros, key: SessionKey, payload: Bytes) {
        self.flush_gathered_for(now, key);
        self.send_now(now, key, payload);
    }

    fn send_now(&mut self, now: Micros, key: SessionKey, payload: Bytes) {
        let Some(home) = self.homes.get(key) else { return };
        match home.engine.send(now, LANE_TOPICS, payload) {
            Ok(_) | Err(SendError::Closed) => {}
            // Lane 1 keeps nothing, so it is never full, and the hub's messages fit into a frame.
            Err(error @ (SendError::Full | SendError::Lane | SendError::TooLarge)) => {
                tracing::error!(%error, session = %home.id, "a topic message was not taken");
            }
        }
        self.drain_engine(now, key);
    }

    fn drain_engine(&mut self, now: Micros, key: SessionKey) {
        while let Some(output) = self.homes.get(key).and_then(|home| home.engine.poll_output()) {
            match output {
                Output::Frame { pipe, lane, payload } => self.write(now, (key, pipe), lane, payload),
                Output::Datagram { pipe, bytes } => {
                    if let Some(pipe) = self.homes.pipe(pipe) {
                        pipe.handle.datagram(bytes);
                    }
                }
                Output::ClosePipe { pipe, code, message } => {
                    self.counters.slow_readers += u64::from(code == Code::SlowReader);
                    if let Some(pipe) = self.homes.remove_pipe(pipe) {
                        pipe.handle.close(code, &message);
                    }
                }
                Output::Event(event) => self.handle_session_event(now, key, event),
            }
        }
        self.homes.plan(now, key);
    }

    fn write(&mut self, now: Micros, (key, pipe_id): (SessionKey, PipeId), lane: Lane, payload: Bytes) {
        let Some(pipe) = self.homes.pipe(pipe_id) else { return };
        if pipe.handle.frame(lane, payload).is_err() {
            self.let_go(now, (key, pipe_id));
        }
    }

    /// A reader whose queue is full loses its connection, not its session: it can resume and recover.
    fn let_go(&mut self, now: Micros, (key, pipe_id): (SessionKey, PipeId)) {
        let Some(pipe) = self.homes.remove_pipe(pipe_id) else { return };
        pipe.handle.close(Code::SlowReader, Code::SlowReader.help());
        self.counters.slow_readers += 1;
        if let Some(home) = self.homes.get(key) {
            tracing::debug!(session = %home.id, "a reader was too slow");
            home.engine.handle_pipe_closed(now, pipe_id, Some(Code::SlowReader));
        }
    }

    fn handle_session_event(&mut self, now: Micros, key: SessionKey, event: Event) {
        match event {
            // Subscriptions end with the connection; the client makes them again, with its positions.
            Event::Attached { topics, .. } => {
                self.hub.session_closed(now, key);
                self.restore(now, key, topics);
            }
            Event::Detached => self.hub.session_closed(now, key),
            Event::Message { lane: LANE_TOPICS, payload } => self.handle_topic_message(now, key, payload),
            Event::Message { lane: LANE_CONTROL, payload } => self.handle_control(now, key, payload),
            Event::Message { .. } | Event::Datagram { .. } => self.close(now, key, Code::LaneInvalid),
            Event::Closed { code, .. } => {
                self.hub.session_closed(now, key);
                if let Some(home) = self.homes.get(key) {
                    tracing::debug!(session = %home.id, %code, "a home session ended");
                }
                self.homes.remove(key);
            }
            Event::Acked { .. }
            | Event::Lost { .. }
            | Event::LaneWritable { .. }
            | Event::LaneLost { .. }
            | Event::PathSilent
            | Event::Refused(_) => {}
        }
    }

    fn handle_topic_message(&mut self, now: Micros, key: SessionKey, payload: Bytes) {
        let Some(Home { person, address, .. }) = self.homes.get(key) else { return };
        let (person, address) = (person.clone(), *address);
        match TopicRequest::decode(payload) {
            Ok(request) => self.handle_request(now, (key, address), &person, request),
            Err(_) => self.close(now, key, Code::MessageInvalid),
        }
    }

    /// Lets a request through to the hub, unless its address publishes too often.
    fn handle_request(&mut self, now: Micros, from: (SessionKey, IpAddr), person: &Person, request: TopicRequest) {
        let (key, address) = from;
        if matches!(request.kind, Some(topic_request::Kind::Publish(_)))
            && let Err(wait) = self.publishes_by_address.check(now, address)
        {
            let why = "too many publications from this address in a short time";
            return self.hub.refuse(key, request.id, Denied::later(Code::RateLimited, why, wait));
        }
        self.hub.handle_request(now, key, person, request);
    }

    /// Subscribes what the client read before.
    fn restore(&mut self, now: Micros, key: SessionKey, topics: Vec<TopicPosition>) {
        let Some(Home { person, .. }) = self.homes.get(key) else { return };
        for TopicPosition { topic, since } in topics {
            let since = since.map(|(epoch, offset)| Position { epoch, offset });
            self.hub.restore(now, key, person, Subscribe { topic, since, ..Subscribe::default() });
        }
    }

    fn handle_control(&mut self, now: Micros, key: SessionKey, payload: Bytes) {
        match Control::decode(payload).map(|control| control.kind) {
            Ok(Some(control::Kind::Refresh(Refresh { token }))) => self.refresh(now, key, &token),
            // What only a server says, and what a later protocol may bring.
            Ok(Some(control::Kind::Refreshed(_) | control::Kind::MatchMoved(_) | control::Kind::Notice(_)) | None) => {}
            Err(_) => self.close(now, key, Code::MessageInvalid),
        }
    }

    /// Prolongs a session by a newer token of its person; says until when, or why not.
    fn refresh(&mut self, now: Micros, key: SessionKey, token: &str) {
        let Some(home) = self.homes.get(key) else { return };
        let refreshed = match renew(now, home, &self.config.verifier, token) {
            Ok(()) => Refreshed { expires_us: home.token.expires.0, ..Refreshed::default() },
            Err(Refusal { code, message, retry_after_ms }) => {
                let code = code.number();
                Refreshed { expires_us: home.token.expires.0, code, message, retry_after_ms }
            }
        };
        let control = Control { kind: Some(control::Kind::Refreshed(refreshed)) };
        if let Err(error) = home.engine.send(now, LANE_CONTROL, control.encode_to_vec().into()) {
            tracing::debug!(%error, session = %home.id, "the answer to a refresh was not taken");
        }
    }

    fn close(&mut self, now: Micros, key: SessionKey, code: Code) {
        self.counters.invalid += 1;
        if let Some(home) = self.homes.get(key) {
            home.engine.close(now, code, code.help());
        }
    }

    /// Plans to close every session, evenly over the drain time, so that they do not all come back at once.
    fn start_drain(&mut self, now: Micros) {
        let mut keys = self.homes.keys();
        keys.extend(self.stocks.keys());
        let step = self.config.live.drain.0 / keys.len().max(1) as u64;
        let seconds = keys.len() as f64 / f64::from(self.config.live.returns_per_s.max(1));
        self.returning = Micros((seconds * 1e6) as u64);
        tracing::info!(sessions = keys.len(), returning_s = seconds, "the live role drains");
        let mut leaving: Vec<_> = keys.into_iter().zip(0_u64..).map(|(key, n)| (now + Micros(n * step), key)).collect();
        leaving.reverse();
        self.leaving = Some(leaving);
    }

    fn close_leaving(&mut self, now: Micros) {
        let Some(mut leaving) = self.leaving.take() else { return };
        while let Some((_, key)) = leaving.pop_if(|(at, _)| *at <= now) {
            // A place in the queue of those who come back: even over the time in which the others can take them all.
            let retry_after_ms = 1 + self.ids.below(self.returning.as_millis().max(1)) as u32;
            if let Some(home) = self.homes.get(key) {
                home.engine.close_later(now, Code::Draining, Code::Draining.help(), retry_after_ms);
                self.dirty.push_back(key);
            } else {
                self.let_stock_go(now, key, Some((Code::Draining, retry_after_ms)));
            }
        }
        self.leaving = Some(leaving);
        self.drain(now);
    }

    fn export(&mut self, now: Micros) {
        let hub = self.hub.counters();
        let (at, publications, deliveries) = self.exported;
        let seconds = (now.since(at).0 as f64 / 1e6).max(1e-3);
        let overview = LiveOverview {
            sessions: self.homes.len() as u64,
            attached: (self.homes.pipes() + self.stocks.len()) as u64,
            topics: self.hub.topics().max(self.brokers.topics()) as u64,
            viewers: self.hub.viewers(),
            publications_per_s: (hub.publications - publications) as f64 / seconds,
            deliveries_per_s: (self.counters.deliveries - deliveries) as f64 / seconds,
            slow_readers: self.counters.slow_readers,
        };
        self.exported = (now, hub.publications, self.counters.deliveries);
        metrics::export(&overview, hub, self.counters);
        self.config.overview.send_replace(overview);
    }
}

/// Takes a newer token of the same person.
fn renew(now: Micros, home: &mut Home, verifier: &Verifier, token: &str) -> Result<(), Refusal> {
    if now < home.refresh_at {
        let retry_after_ms = home.refresh_at.since(now).as_millis() as u32 + 1;
        return Err(Refusal { retry_after_ms, ..Refusal::from(Code::RateLimited) });
    }
    home.refresh_at = now + Micros::from_millis(REFRESH_EVERY_MS_MIN);
    let token = verifier.user(now, token)?;
    if token.app != home.person.app {
        return Err(Code::TokenWrongApp.into());
    }
    if token.user != home.person.user {
        return Err(Code::TokenInvalid.into());
    }
    home.token = HomeToken::of(&token);
    home.person.name = token.name;
    home.person.role = role(token.role);
    home.person.grants = grants(token.grants);
    Ok(())
}

/// What a token grants; most grant nothing, and take no memory for it.
fn grants(grants: TopicGrants) -> Option<Arc<TopicGrants>> {
    (!grants.is_empty()).then(|| Arc::new(grants))
}

/// A token's role in the hub's terms.
fn role(role: amphi_shared_auth::Role) -> amphi_streaming_core::Role {
    use amphi_shared_auth::Role as Token;
    use amphi_streaming_core::Role as Hub;
    match role {
        Token::Guest => Hub::Guest,
        Token::User => Hub::User,
        Token::Editor => Hub::Editor,
        Token::Moderator => Hub::Moderator,
        Token::Operator => Hub::Operator,
    }
}
