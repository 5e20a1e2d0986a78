//! The members of one topic, and what was told of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use amphi_shared_wire::limits::{
    PRESENCE_LISTED_BYTES_MAX, PRESENCE_LISTED_MAX, PRESENCE_MEMBERS_MAX, PRESENCE_META_BYTES_MAX, PRESENCE_PAGE_MAX,
};
use amphi_shared_wire::proto::{Member, PresenceBatch, PresenceDiff, PresencePage, PresenceState};
use amphi_shared_wire::{Micros, Rng, Seed, UserId};

use super::{NodeId, Stand};
use crate::payload::check_json;
use crate::{Person, SessionKey};

/// When the first change after quiet is told.
const FIRST_AFTER: Micros = Micros::from_millis(25);
/// Time between two diffs of a topic that is listed.
const LISTED_EVERY: Micros = Micros::from_millis(250);
/// The same when only the number is told.
const COUNTED_EVERY: Micros = Micros::from_secs(1);
/// A topic is listed again below this many members, and below this part of the bytes.
const LISTED_AGAIN: usize = PRESENCE_LISTED_MAX * 4 / 5;
/// Members in a state that is not listed.
const SAMPLE: usize = 20;
/// Members of a page when the request does not say.
const PAGE: usize = 100;
/// Bytes of members in one batch to other nodes.
const BATCH_BYTES: usize = 32 * 1024;
/// How often all members are said to other nodes, however many ask.
const WHOLE_EVERY: Micros = Micros::from_secs(1);
/// How long another node has to confirm what it said before the connection broke.
const DOUBT: Micros = Micros::from_secs(2);
/// How long a node may leave the question unanswered what it said that is missing here. Then its members are dropped.
const UNANSWERED: Micros = Micros::from_secs(8);

/// What watchers hear.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    State(PresenceState),
    Diff(PresenceDiff),
}

/// A person, over all nodes.
#[derive(Debug, Default)]
struct Entry {
    /// What each node says of it.
    stands: Vec<(NodeId, Stand)>,
    /// What was told of it last; `None`: nothing, or that it left.
    told: Option<Shown>,
}

/// A person as watchers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    name: String,
    connections: u32,
    meta: String,
}

impl Entry {
    fn shown(&self) -> Option<Shown> {
        let (_, first) = self.stands.first()?;
        let metas = self.stands.iter().map(|(_, stand)| &stand.meta);
        Some(Shown {
            name: first.name.clone(),
            connections: self.stands.iter().map(|(_, stand)| stand.connections).sum(),
            meta: metas.rev().find(|meta| !meta.is_empty()).cloned().unwrap_or_default(),
        })
    }

    fn member(&self, user: UserId) -> Option<Member> {
        let Shown { name, connections, meta } = self.shown()?;
        Some(Member { user: user.to_string(), name, connections, meta })
    }

    /// Bytes of a list that are this person's, about.
    fn bytes(&self) -> usize {
        self.shown().map_or(0, |shown| 48 + shown.name.len() + shown.meta.len())
    }
}

/// A person who is connected here.
#[derive(Debug, Default)]
struct Own {
    connections: u32,
    /// Until when a service holds the person, connected or not.
    held_until: Micros,
    /// When the person is gone, unless a connection comes back.
    leaves_at: Option<Micros>,
}

/// What is known of another node.
#[derive(Debug, Default)]
struct Peer {
    version: u64,
    /// A list that has not come to its end.
    parts: Option<(u64, Vec<(UserId, Stand)>)>,
    /// Something that it said is missing.
    has_gap: bool,
    /// When its members go unless it says all of them.
    doubted_until: Option<Micros>,
}

impl Peer {
    /// Something is missing, so that what follows means nothing.
    fn misses(&mut self, now: Micros) {
        self.has_gap = true;
        self.doubted_until.get_or_insert(now + UNANSWERED);
    }
}

/// The members of one topic.
#[derive(Debug)]
pub(crate) struct Roster {
    me: NodeId,
    entries: BTreeMap<UserId, Entry>,
    /// Entries that at least one node speaks of.
    present: usize,
    bytes: usize,
    own: BTreeMap<UserId, Own>,
    sessions: BTreeMap<SessionKey, UserId>,
    leaving: BTreeSet<(Micros, UserId)>,
    /// Of what other nodes were told.
    version: u64,
    /// Own members of whom they were not told yet.
    unsaid: BTreeSet<UserId>,
    whole_at: Option<Micros>,
    whole_said: Micros,
    peers: BTreeMap<NodeId, Peer>,
    changed: BTreeSet<UserId>,
    listed: bool,
    count_told: usize,
    flush_at: Option<Micros>,
    flushed: Micros,
    samples: Rng,
    pub(crate) watchers: BTreeSet<SessionKey>,
    pub(crate) text_watchers: BTreeSet<SessionKey>,
}

impl Roster {
    /// Nobody, as the node `me` sees it.
    pub(crate) fn new(me: NodeId) -> Self {
        Self {
            me,
            entries: BTreeMap::new(),
            present: 0,
            bytes: 0,
            own: BTreeMap::new(),
            sessions: BTreeMap::new(),
            leaving: BTreeSet::new(),
            version: 0,
            unsaid: BTreeSet::new(),
            whole_at: None,
            whole_said: Micros(0),
            peers: BTreeMap::new(),
            changed: BTreeSet::new(),
            listed: true,
            count_told: 0,
            flush_at: None,
            flushed: Micros(0),
            samples: Seed(me.0).split("samples").rng(),
            watchers: BTreeSet::new(),
            text_watchers: BTreeSet::new(),
        }
    }

    /// A connection of a person reads the topic.
    pub(crate) fn join(&mut self, now: Micros, session: SessionKey, person: &Person, meta: &str) {
        let user = person.user;
        if self.sessions.insert(session, user).is_some() {
            return;
        }
        let own = self.own.entry(user).or_default();
        own.connections += 1;
        if let Some(at) = own.leaves_at.take() {
            self.leaving.remove(&(at, user));
        }
        let meta = if meta.is_empty() { self.own_meta(user) } else { meta.to_owned() };
        self.stand(now, user, (person.name.clone(), meta));
    }

    /// Changes what others see beside the person; false when the session is no member's.
    pub(crate) fn set_meta(&mut self, now: Micros, session: SessionKey, meta: String) -> bool {
        let Some(user) = self.sessions.get(&session).copied() else { return false };
        let Some(name) = self.own_stand(user).map(|stand| stand.name.clone()) else { return false };
        self.stand(now, user, (name, meta));
        true
    }

    /// A connection reads no more. Its person stays for `grace`, unless it has others.
    pub(crate) fn leave(&mut self, now: Micros, session: SessionKey, grace: Micros) {
        self.watchers.remove(&session);
        self.text_watchers.remove(&session);
        let Some(user) = self.sessions.remove(&session) else { return };
        let Some(own) = self.own.get_mut(&user) else { return };
        own.connections -= 1;
        if own.connections > 0 {
            if let Some(stand) = self.own_stand(user).cloned() {
                self.stand(now, user, (stand.name, stand.meta));
            }
        } else {
            let at = own.held_until.max(now + grace);
            self.plan_leave(now, user, at);
        }
    }

    /// A service says that a person is there until then, or (a time that is past) no longer.
    pub(crate) fn hold(&mut self, now: Micros, user: UserId, (name, meta): (String, String), until: Micros) {
        let is_new = !self.own.contains_key(&user);
        if is_new && until <= now {
            return;
        }
        let own = self.own.entry(user).or_default();
        own.held_until = until;
        let is_connected = own.connections > 0;
        if !is_connected && until > now {
            self.stand(now, user, (name, meta));
        }
        if !is_connected {
            self.plan_leave(now, user, until);
        }
    }

    /// True while somebody is here who may leave.
    pub(crate) fn has_own(&self) -> bool {
        !self.own.is_empty()
    }

    /// What another node says. When something before it is missing, [`Self::is_missing`] is true afterwards.
    pub(crate) fn hear(&mut self, now: Micros, node: NodeId, batch: PresenceBatch) {
        let members: Option<Vec<_>> = batch.members.into_iter().map(parse_member).collect();
        let left: Option<Vec<UserId>> = batch.left.iter().map(|user| user.parse().ok()).collect();
        let (Some(members), Some(left)) = (members, left) else { return };
        let peer = self.peers.entry(node).or_default();
        if batch.whole {
            let (number, mut parts) = match peer.parts.take() {
                Some((number, parts)) if number == batch.from => (number, parts),
                Some(_) | None if batch.from == 0 => (0, Vec::new()),
                Some(_) | None => return peer.misses(now),
            };
            parts.extend(members);
            if batch.last {
                peer.version = batch.version;
                (peer.has_gap, peer.doubted_until) = (false, None);
                self.replace(now, node, parts);
            } else {
                peer.parts = Some((number + 1, parts));
                peer.doubted_until = peer.doubted_until.map(|until| until.max(now + DOUBT));
            }
            return;
        }
        if batch.from != peer.version {
            // What it says again of itself, an older one has said already.
            if batch.version > peer.version {
                peer.misses(now);
            }
            return;
        }
        peer.version = batch.version;
        for (user, stand) in members {
            self.put(now, node, user, Some(stand));
        }
        for user in left {
            self.put(now, node, user, None);
        }
    }

    /// True while something that another node said is missing, and no list arrives that would hold it.
    pub(crate) fn is_missing(&self) -> bool {
        self.peers.values().any(|peer| peer.has_gap && peer.parts.is_none())
    }

    /// A node is gone, and its members with it.
    pub(crate) fn forget(&mut self, now: Micros, node: NodeId) {
        if self.peers.remove(&node).is_some() {
            self.replace(now, node, Vec::new());
        }
    }

    /// Batches may have been missed in both directions.
    pub(crate) fn doubt(&mut self, now: Micros) {
        self.peers.values_mut().for_each(|peer| peer.doubted_until = Some(now + DOUBT));
        self.asked(now);
    }

    /// Another node wants to know all members of this one. One that never had any has nothing to say.
    pub(crate) fn asked(&mut self, now: Micros) {
        if self.version > 0 || !self.unsaid.is_empty() {
            self.whole_at = self.whole_at.or(Some(now.max(self.whole_said + WHOLE_EVERY)));
        }
    }

    /// When something is due.
    pub(crate) fn poll_timeout(&self) -> Option<Micros> {
        let doubt = self.peers.values().filter_map(|peer| peer.doubted_until).min();
        let leaving = self.leaving.first().map(|(at, _)| *at);
        [self.flush_at, self.whole_at, doubt, leaving].into_iter().flatten().min()
    }

    /// Lets those go whose time is over.
    pub(crate) fn handle_timeout(&mut self, now: Micros) {
        while let Some((at, user)) = self.leaving.first().copied().filter(|(at, _)| *at <= now) {
            self.plan_leave(now, user, at);
        }
        let doubted = |(node, peer): (&NodeId, &Peer)| peer.doubted_until.is_some_and(|at| at <= now).then_some(*node);
        let doubted: Vec<NodeId> = self.peers.iter().filter_map(doubted).collect();
        doubted.into_iter().for_each(|node| self.forget(now, node));
    }

    /// What other nodes are to hear of this node's members, if that is due. Called before [`Self::tell`].
    pub(crate) fn say(&mut self, now: Micros) -> Vec<PresenceBatch> {
        if self.whole_at.is_some_and(|at| at <= now) {
            (self.whole_at, self.whole_said) = (None, now);
            self.version += u64::from(!self.unsaid.is_empty());
            self.unsaid.clear();
            return self.whole();
        }
        if self.flush_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut batches = Vec::new();
        while !self.unsaid.is_empty() {
            let (mut members, mut left, mut bytes) = (Vec::new(), Vec::new(), 0);
            while bytes < BATCH_BYTES
                && let Some(user) = self.unsaid.pop_first()
            {
                match self.own_stand(user) {
                    Some(stand) => members.push(stand.member(user)),
                    None => left.push(user.to_string()),
                }
                bytes += 48 + members.last().map_or(0, |member| member.name.len() + member.meta.len());
            }
            let from = self.version;
            self.version += 1;
            batches.push(PresenceBatch { from, version: self.version, members, left, whole: false, last: false });
        }
        batches
    }

    /// What watchers are to hear, if that is due and there is news.
    pub(crate) fn tell(&mut self, now: Micros, (topic, alias): (&str, u32)) -> Option<Told> {
        if self.flush_at.is_none_or(|at| at > now) {
            return None;
        }
        (self.flush_at, self.flushed) = (None, now);
        let was_listed = self.listed;
        self.listed = if was_listed {
            self.present <= PRESENCE_LISTED_MAX && self.bytes <= PRESENCE_LISTED_BYTES_MAX
        } else {
            self.present <= LISTED_AGAIN && self.bytes <= PRESENCE_LISTED_BYTES_MAX / 5 * 4
        };
        let mut diff = PresenceDiff { alias, count: self.count(), listed: self.listed, ..PresenceDiff::default() };
        for user in std::mem::take(&mut self.changed) {
            let Some(entry) = self.entries.get_mut(&user) else { continue };
            // What is not listed is told anew when it is.
            let shown = entry.shown().filter(|_| self.listed);
            match (&entry.told, &shown) {
                (None, Some(_)) => diff.joined.extend(entry.member(user)),
                (Some(told), Some(shown)) if told != shown => diff.changed.extend(entry.member(user)),
                (Some(_), None) if self.listed => diff.left.push(user.to_string()),
                (Some(_), Some(_) | None) | (None, None) => {}
            }
            entry.told = shown;
            if entry.stands.is_empty() {
                self.entries.remove(&user);
            }
        }
        let is_news = self.count_told != self.present || was_listed != self.listed;
        self.count_told = self.present;
        match (was_listed, self.listed) {
            (false, true) => {
                self.entries.values_mut().for_each(|entry| entry.told = entry.shown());
                Some(Told::State(self.state((topic, alias))))
            }
            (true, true) => {
                let is_empty = diff.joined.is_empty() && diff.changed.is_empty() && diff.left.is_empty();
                (!is_empty).then_some(Told::Diff(diff))
            }
            (true | false, false) => is_news.then_some(Told::Diff(diff)),
        }
    }

    /// True while a list is about to change for those who have it.
    pub(crate) fn is_changing(&self) -> bool {
        self.listed && self.flush_at.is_some()
    }

    /// What a new watcher hears first.
    pub(crate) fn state(&mut self, (topic, alias): (&str, u32)) -> PresenceState {
        let members = if self.listed { self.all().collect() } else { self.sample() };
        PresenceState { topic: topic.to_owned(), alias, count: self.count(), listed: self.listed, members }
    }

    /// Members behind `after`, in the order of ids.
    pub(crate) fn page(&self, topic: &str, after: Option<UserId>, limit: u32) -> PresencePage {
        let limit = if limit == 0 { PAGE } else { (limit as usize).min(PRESENCE_PAGE_MAX) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut members, mut bytes, mut next) = (Vec::new(), 0, String::new());
        for (user, entry) in self.entries.range((from, Bound::Unbounded)).filter(|(_, entry)| !entry.stands.is_empty())
        {
            bytes += entry.bytes();
            if members.len() == limit || bytes > PRESENCE_LISTED_BYTES_MAX {
                next = members.last().map_or_else(String::new, |member: &Member| member.user.clone());
                break;
            }
            members.extend(entry.member(*user));
        }
        PresencePage { topic: topic.to_owned(), count: self.count(), members, next }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.present).unwrap_or(u32::MAX)
    }

    fn all(&self) -> impl Iterator<Item = Member> {
        self.entries.iter().filter_map(|(user, entry)| entry.member(*user))
    }

    /// Members from everywhere: who comes next behind random points between the first and the last.
    fn sample(&mut self) -> Vec<Member> {
        let ends = self.entries.first_key_value().zip(self.entries.last_key_value());
        let Some(((first, _), (last, _))) = ends else { return Vec::new() };
        let (first, last) = (first.to_bits(), last.to_bits());
        let mut users = BTreeSet::new();
        for _ in 0..SAMPLE {
            let random = (u128::from(self.samples.next_u64()) << 64) | u128::from(self.samples.next_u64());
            let point = UserId::from_bits(first + random % (last - first).saturating_add(1));
            let mut next = self.entries.range(point..);
            users.extend(next.find(|(_, entry)| !entry.stands.is_empty()).map(|(user, _)| *user));
        }
        users.into_iter().filter_map(|user| self.entries.get(&user)?.member(user)).collect()
    }

    fn whole(&self) -> Vec<PresenceBatch> {
        let part = |from: usize| PresenceBatch {
            from: from as u64,
            version: self.version,
            whole: true,
            ..PresenceBatch::default()
        };
        let (mut parts, mut bytes) = (vec![part(0)], 0);
        for user in self.own.keys() {
            let Some(stand) = self.own_stand(*user) else { continue };
            if bytes >= BATCH_BYTES {
                parts.push(part(parts.len()));
                bytes = 0;
            }
            bytes += 48 + stand.name.len() + stand.meta.len();
            let open = parts.len() - 1;
            parts[open].members.push(stand.member(*user));
        }
        if let Some(part) = parts.last_mut() {
            part.last = true;
        }
        parts
    }

    fn plan_leave(&mut self, now: Micros, user: UserId, at: Micros) {
        let Some(own) = self.own.get_mut(&user) else { return };
        if let Some(before) = own.leaves_at.take() {
            self.leaving.remove(&(before, user));
        }
        if at > now {
            own.leaves_at = Some(at);
            self.leaving.insert((at, user));
        } else {
            self.own.remove(&user);
            self.put_own(now, user, None);
        }
    }

    fn own_stand(&self, user: UserId) -> Option<&Stand> {
        let stands = &self.entries.get(&user)?.stands;
        stands.iter().find(|(node, _)| *node == self.me).map(|(_, stand)| stand)
    }

    fn own_meta(&self, user: UserId) -> String {
        self.own_stand(user).map_or_else(String::new, |stand| stand.meta.clone())
    }

    fn stand(&mut self, now: Micros, user: UserId, (name, meta): (String, String)) {
        let connections = self.own.get(&user).map_or(1, |own| own.connections.max(1));
        self.put_own(now, user, Some(Stand { name, connections, meta }));
    }

    fn put_own(&mut self, now: Micros, user: UserId, stand: Option<Stand>) {
        if self.put(now, self.me, user, stand) {
            self.unsaid.insert(user);
        }
    }

    /// Everything that `node` says, in place of what it said.
    fn replace(&mut self, now: Micros, node: NodeId, stands: Vec<(UserId, Stand)>) {
        let kept: BTreeSet<UserId> = stands.iter().map(|(user, _)| *user).collect();
        let speaks = |entry: &Entry| entry.stands.iter().any(|(of, _)| *of == node);
        let known = self.entries.iter().filter(|(_, entry)| speaks(entry)).map(|(user, _)| *user);
        let lost: Vec<UserId> = known.filter(|user| !kept.contains(user)).collect();
        let lost = lost.into_iter().map(|user| (user, None));
        for (user, stand) in lost.chain(stands.into_iter().map(|(user, stand)| (user, Some(stand)))) {
            self.put(now, node, user, stand);
        }
    }

    /// What `node` says of a person; true when that is new.
    fn put(&mut self, now: Micros, node: NodeId, user: UserId, stand: Option<Stand>) -> bool {
        if !self.entries.contains_key(&user) && (stand.is_none() || self.entries.len() >= PRESENCE_MEMBERS_MAX) {
            return false;
        }
        let entry = self.entries.entry(user).or_default();
        let (bytes, was_present) = (entry.bytes(), !entry.stands.is_empty());
        let place = entry.stands.iter().position(|(of, _)| *of == node);
        let is_new = match (place, stand) {
            (Some(place), Some(stand)) => {
                let is_new = entry.stands[place].1 != stand;
                entry.stands[place].1 = stand;
                is_new
            }
            (None, Some(stand)) => {
                entry.stands.push((node, stand));
                true
            }
            (Some(place), None) => {
                entry.stands.remove(place);
                true
            }
            (None, None) => false,
        };
        if is_new {
            self.bytes = self.bytes + entry.bytes() - bytes;
            self.present = self.present + usize::from(!entry.stands.is_empty()) - usize::from(was_present);
            self.changed.insert(user);
            let every = if self.listed { LISTED_EVERY } else { COUNTED_EVERY };
            self.flush_at = self.flush_at.or(Some((now + FIRST_AFTER).max(self.flushed + every)));
        }
        is_new
    }
}

/// A member as another node says it; what no node would say makes none.
fn parse_member(member: Member) -> Option<(UserId, Stand)> {
    let Member { user, name, connections, meta } = member;
    let is_sound = meta.len() <= PRESENCE_META_BYTES_MAX && (meta.is_empty() || check_json(&meta).is_ok());
    is_sound.then_some((user.parse().ok()?, Stand { name, connections, meta }))
}
