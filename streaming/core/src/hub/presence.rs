//! Who reads a topic: members as they come and go, those who watch them, and what nodes say to each other.

use amphi_shared_wire::limits::{NAME_CHARS_MAX, PRESENCE_META_BYTES_MAX, TOPIC_OPEN_MS_MAX};
use amphi_shared_wire::proto::{
    AskPresence, Beat, Done, ListPresence, Member, NodeMessage, PresenceBatch, SetPresence, TopicReply, node_message,
    topic_reply,
};
use amphi_shared_wire::{AppId, Code, Micros, Topic, UserId};
use bytes::Bytes;
use prost::Message;

use super::{Hub, HubOutput, ReplyTo, encode_reply};
use crate::payload::check_json;
use crate::presence::{NodeId, Nodes, Roster, Sender, Told};
use crate::{BrokerRequest, Denied, Pace, Person, Reach, SessionKey, TopicKey, text};

/// How long a node that begins to follow a topic waits for what others say, before it tells anybody.
const SETTLES_AFTER: Micros = Micros::from_millis(300);
/// How often a node asks the others about one topic.
const ASK_EVERY: Micros = Micros::from_millis(500);
/// Requests about presence of one session: each may cost a list.
const PRESENCE_PACE: Pace = Pace { interval: Micros::from_millis(250), burst: 20 };

/// Somebody who is about to become a member.
#[derive(Clone, Debug)]
pub(crate) struct NewMember {
    person: Person,
    meta: String,
    /// Hears of the others without having asked.
    watches: bool,
}

/// Presence in one topic.
#[derive(Debug)]
pub(crate) struct TopicPresence {
    roster: Roster,
    /// Other nodes may have members.
    is_shared: bool,
    /// Something may have been missed: the next read asks the other nodes.
    is_unsure: bool,
    /// From when on what is known is told; `None`: the topic is not read yet.
    settles_at: Option<Micros>,
    asks_at: Micros,
    awaiting: Vec<Awaiting>,
    pub(super) planned: Option<Micros>,
}

/// A question that waits for other nodes.
#[derive(Debug)]
struct Awaiting {
    asker: Asker,
    until: Micros,
}

/// Who asks, and for what.
#[derive(Debug)]
enum Asker {
    Watcher(ReplyTo),
    Reader(ReplyTo, PageWish),
    /// With its ticket.
    Service(u64, PageWish),
}

#[derive(Clone, Copy, Debug)]
struct PageWish {
    after: Option<UserId>,
    limit: u32,
}

impl TopicPresence {
    /// True while somebody is there, or waits for those who are, without reading the topic.
    pub(crate) fn is_used(&self) -> bool {
        !self.awaiting.is_empty() || self.roster.has_own()
    }
}

impl Hub {
    /// Asks for members of a topic, for a service. They come as a [`HubOutput::PresenceListed`] with this `ticket`.
    ///
    /// # Errors
    /// The reason for which nothing comes.
    pub fn list_for_service(
        &mut self,
        now: Micros,
        ticket: u64,
        app: &AppId,
        ask: &ListPresence,
    ) -> Result<(), Denied> {
        let (name, class) = self.classify(&ask.topic)?;
        if self.config.classes[class].presence.is_none() {
            return Err(forbidden());
        }
        let wish = page_wish(ask)?;
        self.list(now, (TopicKey { app: app.clone(), name }, class), Asker::Service(ticket, wish))
    }

    /// Takes a service's word that people are in a topic for a time, or (`Micros(0)`) not any more.
    ///
    /// # Errors
    /// Nobody is, as the topic has no presence, or a member breaks a rule.
    pub fn hold_members(
        &mut self,
        now: Micros,
        (app, topic): (&AppId, &str),
        members: Vec<Member>,
        time: Micros,
    ) -> Result<(), Denied> {
        let (name, class) = self.classify(topic)?;
        if self.config.classes[class].presence.is_none() {
            return Err(forbidden());
        }
        let held = members.into_iter().map(|Member { user, name, meta, .. }| {
            check_meta(&meta)?;
            let user =
                user.parse::<UserId>().map_err(|_| Denied::new(Code::RequestInvalid, "a member has no user id"))?;
            if name.chars().count() > NAME_CHARS_MAX {
                return Err(Denied::new(Code::NameInvalid, "a name has at most 24 characters"));
            }
            Ok((user, (name, meta)))
        });
        let held = held.collect::<Result<Vec<_>, Denied>>()?;
        let alias = self.open(now, TopicKey { app: app.clone(), name }, class)?;
        if let Some(presence) = self.presence_mut(alias) {
            for (user, words) in held {
                presence.roster.hold(now, user, words, if time == Micros(0) { Micros(0) } else { now + time });
            }
        }
        self.plan_presence(alias);
        Ok(())
    }

    /// Who hears of the members of a topic.
    pub fn watchers(&self, alias: u32) -> impl Iterator<Item = SessionKey> + '_ {
        self.roster(alias).into_iter().flat_map(|roster| roster.watchers.iter().copied())
    }

    /// Who hears of them as text.
    pub fn text_watchers(&self, alias: u32) -> impl Iterator<Item = SessionKey> + '_ {
        self.roster(alias).into_iter().flat_map(|roster| roster.text_watchers.iter().copied())
    }

    pub(super) fn watch_presence(
        &mut self,
        now: Micros,
        to: ReplyTo,
        person: &Person,
        topic: &str,
    ) -> Result<(), Denied> {
        let (_, alias) = self.see(now, to, person, topic)?;
        self.answer(now, alias, Asker::Watcher(to));
        Ok(())
    }

    pub(super) fn unwatch_presence(&mut self, to: ReplyTo, person: &Person, topic: &str) -> Result<(), Denied> {
        let alias = self.subscribed(to.0, person, topic)?;
        if let Some(presence) = self.presence_mut(alias) {
            presence.roster.watchers.remove(&to.0);
            presence.roster.text_watchers.remove(&to.0);
        }
        self.reply(to, topic_reply::Kind::Done(Done {}));
        Ok(())
    }

    pub(super) fn list_presence(
        &mut self,
        now: Micros,
        to: ReplyTo,
        person: &Person,
        ask: &ListPresence,
    ) -> Result<(), Denied> {
        let (key, class) = self.may_see(person, &ask.topic)?;
        self.take_turn(now, to.0)?;
        let wish = page_wish(ask)?;
        self.list(now, (key, class), Asker::Reader(to, wish))
    }

    pub(super) fn set_presence(
        &mut self,
        now: Micros,
        to: ReplyTo,
        person: &Person,
        ask: SetPresence,
    ) -> Result<(), Denied> {
        let alias = self.subscribed(to.0, person, &ask.topic)?;
        check_meta(&ask.meta)?;
        self.take_turn(now, to.0)?;
        let is_member = self.presence_mut(alias).is_some_and(|presence| presence.roster.set_meta(now, to.0, ask.meta));
        if !is_member {
            return Err(Denied::new(Code::PresenceForbidden, "this topic does not say who reads it"));
        }
        self.plan_presence(alias);
        self.reply(to, topic_reply::Kind::Done(Done {}));
        Ok(())
    }

    /// Presence of a topic that is about to be followed.
    pub(super) fn new_presence(&self, class: usize) -> Option<Box<TopicPresence>> {
        let class = &self.config.classes[class];
        class.presence?;
        let is_shared = self.nodes.is_some() && class.reach == Reach::Deployment;
        let me = self.nodes.as_ref().map_or(NodeId(0), Nodes::me);
        Some(Box::new(TopicPresence {
            roster: Roster::new(me),
            is_shared,
            is_unsure: is_shared,
            settles_at: None,
            asks_at: Micros(0),
            awaiting: Vec::new(),
            planned: None,
        }))
    }

    /// What a subscriber brings, in a class that has presence.
    pub(super) fn new_member(
        &self,
        (class, topic): (usize, &Topic),
        person: &Person,
        meta: &str,
    ) -> Result<Option<Box<NewMember>>, Denied> {
        let Some(rules) = self.config.classes[class].presence else { return Ok(None) };
        check_meta(meta)?;
        let watches = rules.joins && rules.see.allows(person, topic, |grants| &grants.read);
        Ok(Some(Box::new(NewMember { person: person.clone(), meta: meta.to_owned(), watches })))
    }

    pub(super) fn member_joined(&mut self, now: Micros, (session, alias): (SessionKey, u32), member: &NewMember) {
        let NewMember { person, meta, watches } = member;
        let Some(presence) = self.presence_mut(alias) else { return };
        presence.roster.join(now, session, person, meta);
        self.plan_presence(alias);
        if *watches {
            self.answer(now, alias, Asker::Watcher((session, 0)));
        }
    }

    pub(super) fn member_left(&mut self, now: Micros, (session, alias): (SessionKey, u32), grace: Micros) {
        let Some(presence) = self.presence_mut(alias) else { return };
        presence.roster.leave(now, session, grace);
        presence.awaiting.retain(|awaiting| match awaiting.asker {
            Asker::Watcher(to) | Asker::Reader(to, _) => to.0 != session,
            Asker::Service(..) => true,
        });
        self.plan_presence(alias);
    }

    /// Takes a message of a node.
    pub(super) fn told(&mut self, now: Micros, topic: Option<&TopicKey>, message: &Bytes) {
        let Some(nodes) = &mut self.nodes else { return };
        let Ok(NodeMessage { node, kind: Some(kind) }) = NodeMessage::decode(&message[..]) else {
            self.counters.nodes_unheard += 1;
            return;
        };
        let node = NodeId(node);
        match nodes.hear(now, node) {
            Sender::Myself => return,
            Sender::TooMany => {
                self.counters.nodes_unheard += 1;
                return;
            }
            // What it said was dropped.
            Sender::Returned => {
                self.doubt_all();
                self.read_all();
            }
            Sender::Other => {}
        }
        let Some(alias) = topic.and_then(|topic| self.names.get(topic)).copied() else { return };
        let Some(presence) = self.presence_mut(alias) else { return };
        match kind {
            node_message::Kind::Beat(Beat {}) => {}
            node_message::Kind::AskPresence(AskPresence {}) => presence.roster.asked(now),
            node_message::Kind::PresenceBatch(batch) => presence.roster.hear(now, node, batch),
        }
        self.plan_presence(alias);
    }

    /// Something that nodes said may have been missed, in both directions. The next read of each topic asks: what is asked
    /// before a channel is heard, nobody hears answered.
    pub(super) fn doubt_all(&mut self) {
        let presences = self.topics.values_mut().filter_map(|topic| topic.presence.as_mut());
        presences.filter(|presence| presence.is_shared).for_each(|presence| presence.is_unsure = true);
    }

    /// A topic was read, so its channel is heard: asks what other nodes know.
    pub(super) fn ask_nodes(&mut self, now: Micros, alias: u32) {
        let Some(presence) = self.presence_mut(alias) else { return };
        let is_first = presence.settles_at.is_none();
        if is_first {
            presence.settles_at = Some(now + if presence.is_shared { SETTLES_AFTER } else { Micros(0) });
        }
        if std::mem::take(&mut presence.is_unsure) {
            presence.roster.doubt(now);
            presence.asks_at = now + ASK_EVERY;
            self.say(Some(alias), node_message::Kind::AskPresence(AskPresence {}));
        }
        self.plan_presence(alias);
    }

    /// Does what is due for presence.
    pub(super) fn handle_presence_timeout(&mut self, now: Micros) {
        if let Some(nodes) = &mut self.nodes {
            let is_due = nodes.poll_beat(now);
            let gone: Vec<NodeId> = std::iter::from_fn(|| nodes.poll_gone(now)).collect();
            if is_due {
                self.say(None, node_message::Kind::Beat(Beat {}));
            }
            for node in gone {
                self.counters.nodes_gone += 1;
                self.forget_node(now, node);
            }
        }
        while let Some((at, alias)) = self.presences.first().copied().filter(|(at, _)| *at <= now) {
            self.presences.remove(&(at, alias));
            self.flush_presence(now, alias);
        }
    }

    pub(super) fn presence_timeout(&self) -> Option<Micros> {
        let nodes = self.nodes.as_ref().map(Nodes::poll_timeout);
        let presence = self.presences.first().map(|(at, _)| *at);
        [nodes, presence].into_iter().flatten().min()
    }

    fn forget_node(&mut self, now: Micros, node: NodeId) {
        let aliases: Vec<u32> = self.topics.keys().copied().collect();
        for alias in aliases {
            if let Some(presence) = self.presence_mut(alias) {
                presence.roster.forget(now, node);
                self.plan_presence(alias);
            }
        }
    }

    fn flush_presence(&mut self, now: Micros, alias: u32) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        let Some(presence) = &mut topic.presence else { return };
        presence.planned = None;
        presence.roster.handle_timeout(now);
        let batches = presence.roster.say(now);
        let told = presence.roster.tell(now, (topic.key.name.as_str(), alias));
        let has_settled = presence.settles_at.is_some_and(|at| at <= now);
        let is_ready = |awaiting: &Awaiting| has_settled || awaiting.until <= now;
        let (ready, awaiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut presence.awaiting).into_iter().partition(is_ready);
        presence.awaiting = awaiting;
        let asks = presence.roster.is_missing() && presence.asks_at <= now;
        if asks {
            presence.asks_at = now + ASK_EVERY;
        }
        if presence.is_shared {
            batches.into_iter().for_each(|batch| self.say_batch(alias, batch));
        }
        if asks {
            self.say(Some(alias), node_message::Kind::AskPresence(AskPresence {}));
        }
        if let Some(told) = told {
            self.tell(alias, told);
        }
        for Awaiting { asker, .. } in ready {
            if has_settled { self.answer(now, alias, asker) } else { self.refuse_presence(asker) }
        }
        self.plan_presence(alias);
        if self.presence_mut(alias).is_some_and(|presence| !presence.is_used()) {
            // Who was held here may have been the last one.
            self.plan_sweep(now, alias);
        }
    }

    fn tell(&mut self, alias: u32, told: Told) {
        let Some(roster) = self.roster(alias) else { return };
        let (has_watchers, has_text) = (!roster.watchers.is_empty(), !roster.text_watchers.is_empty());
        let kind = match told {
            Told::State(state) => topic_reply::Kind::PresenceState(state),
            Told::Diff(diff) => topic_reply::Kind::PresenceDiff(diff),
        };
        let reply = TopicReply { id: 0, kind: Some(kind) };
        if has_watchers {
            self.outputs.push_back(HubOutput::Presence { alias, payload: encode_reply(&reply) });
        }
        if has_text {
            self.outputs.push_back(HubOutput::PresenceText { alias, text: text::reply(&reply) });
        }
    }

    /// Lists members for somebody, once the topic is followed.
    fn list(&mut self, now: Micros, (key, class): (TopicKey, usize), asker: Asker) -> Result<(), Denied> {
        let alias = self.open(now, key, class)?;
        self.answer(now, alias, asker);
        Ok(())
    }

    /// Answers, or lets wait: until other nodes had their time to speak, and a watcher until what is changing was told to
    /// those before it, so that it hears nothing twice.
    fn answer(&mut self, now: Micros, alias: u32, asker: Asker) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        topic.used_at = now;
        let Some(presence) = &mut topic.presence else { return };
        let is_early = matches!(asker, Asker::Watcher(_)) && presence.roster.is_changing();
        if is_early || presence.settles_at.is_none_or(|at| at > now) {
            presence.awaiting.push(Awaiting { asker, until: now + Micros::from_millis(TOPIC_OPEN_MS_MAX) });
            return self.plan_presence(alias);
        }
        let name = topic.key.name.as_str();
        match asker {
            Asker::Watcher(to) => {
                let is_text = self.sessions.get(&to.0).is_some_and(|state| state.text);
                let roster = &mut presence.roster;
                if is_text {
                    roster.text_watchers.insert(to.0)
                } else {
                    roster.watchers.insert(to.0)
                };
                let state = roster.state((name, alias));
                self.reply(to, topic_reply::Kind::PresenceState(state));
            }
            Asker::Reader(to, PageWish { after, limit }) => {
                let page = presence.roster.page(name, after, limit);
                self.reply(to, topic_reply::Kind::PresencePage(page));
            }
            Asker::Service(ticket, PageWish { after, limit }) => {
                let page = presence.roster.page(name, after, limit);
                self.outputs.push_back(HubOutput::PresenceListed { ticket, page: Ok(page) });
            }
        }
        self.plan_sweep(now, alias);
    }

    fn refuse_presence(&mut self, asker: Asker) {
        let denied = Denied::later(Code::Unavailable, "the broker did not answer", Micros::from_millis(500));
        match asker {
            Asker::Watcher((session, id)) | Asker::Reader((session, id), _) => self.refuse(session, id, denied),
            Asker::Service(ticket, _) => {
                self.count(denied);
                self.outputs.push_back(HubOutput::PresenceListed { ticket, page: Err(denied) });
            }
        }
    }

    /// Looks at a topic's presence when something is due. One plan per topic at a time.
    fn plan_presence(&mut self, alias: u32) {
        let Some(presence) = self.topics.get_mut(&alias).and_then(|topic| topic.presence.as_mut()) else { return };
        // Before that, what is changing is told.
        let settles = presence.settles_at.filter(|_| !presence.awaiting.is_empty() && !presence.roster.is_changing());
        let until = presence.awaiting.iter().map(|awaiting| awaiting.until).min();
        let asks = presence.roster.is_missing().then_some(presence.asks_at);
        let at = [presence.roster.poll_timeout(), settles, until, asks].into_iter().flatten().min();
        if presence.planned == at {
            return;
        }
        if let Some(planned) = presence.planned {
            self.presences.remove(&(planned, alias));
        }
        presence.planned = at;
        self.presences.extend(at.map(|at| (at, alias)));
    }

    fn say_batch(&mut self, alias: u32, batch: PresenceBatch) {
        self.say(Some(alias), node_message::Kind::PresenceBatch(batch));
    }

    /// Says something to the other nodes, or to those that follow a topic.
    fn say(&mut self, alias: Option<u32>, kind: node_message::Kind) {
        let Some(nodes) = &self.nodes else { return };
        let message = NodeMessage { node: nodes.me().0, kind: Some(kind) }.encode_to_vec().into();
        let topic = alias.and_then(|alias| self.topics.get(&alias)).map(|topic| topic.key.clone());
        if alias.is_none() || topic.is_some() {
            self.requests.push_back(BrokerRequest::Tell { topic, message });
        }
    }

    /// The topic that a person may see the members of.
    fn may_see(&self, person: &Person, topic: &str) -> Result<(TopicKey, usize), Denied> {
        let (name, class) = self.classify(topic)?;
        let rules = self.config.classes[class].presence.ok_or(forbidden())?;
        if !rules.see.allows(person, &name, |grants| &grants.read) {
            return Err(forbidden());
        }
        Ok((TopicKey { app: person.app.clone(), name }, class))
    }

    /// The same for one that the session reads.
    fn see(&mut self, now: Micros, to: ReplyTo, person: &Person, topic: &str) -> Result<(TopicKey, u32), Denied> {
        let (key, _) = self.may_see(person, topic)?;
        let alias = self.subscribed(to.0, person, topic)?;
        self.take_turn(now, to.0)?;
        Ok((key, alias))
    }

    fn subscribed(&self, session: SessionKey, person: &Person, topic: &str) -> Result<u32, Denied> {
        let missing = Denied::new(Code::NotSubscribed, "the session does not read this topic");
        let (name, _) = self.classify(topic)?;
        let key = TopicKey { app: person.app.clone(), name };
        let alias = self.names.get(&key).copied().ok_or(missing)?;
        if self.reads(session, alias) { Ok(alias) } else { Err(missing) }
    }

    fn take_turn(&mut self, now: Micros, session: SessionKey) -> Result<(), Denied> {
        let state = self.sessions.entry(session).or_default();
        let turn = PRESENCE_PACE.take(now, &mut state.presence_due);
        turn.map_err(|wait| Denied::later(Code::RateLimited, "too many requests about presence in a short time", wait))
    }

    fn roster(&self, alias: u32) -> Option<&Roster> {
        self.topics.get(&alias)?.presence.as_ref().map(|presence| &presence.roster)
    }

    fn presence_mut(&mut self, alias: u32) -> Option<&mut TopicPresence> {
        self.topics.get_mut(&alias)?.presence.as_deref_mut()
    }
}

fn forbidden() -> Denied {
    Denied::new(Code::PresenceForbidden, "who reads this topic is not open to you")
}

fn check_meta(meta: &str) -> Result<(), Denied> {
    if meta.len() > PRESENCE_META_BYTES_MAX {
        return Err(Denied::new(Code::MessageTooLarge, "what others see beside a member has at most 256 bytes"));
    }
    if meta.is_empty() { Ok(()) } else { check_json(meta) }
}

fn page_wish(ask: &ListPresence) -> Result<PageWish, Denied> {
    let parse = |after: &str| after.parse().map_err(|_| Denied::new(Code::MessageInvalid, "`after` is no user's id"));
    let after = (!ask.after.is_empty()).then(|| parse(&ask.after)).transpose()?;
    Ok(PageWish { after, limit: ask.limit })
}
