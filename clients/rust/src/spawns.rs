//! What the own player's input spawns: predicted at once, and the same entity when the server's comes.
//!
//! Both sides find the key of a spawn alike. Until the server has told the key, an entity has a provisional id, made of the key,
//! so that a tick which is simulated again spawns it under the same one. What shows it goes by a number that stays with it.

use std::collections::BTreeMap;

use amphi_shared_replica::{NetId, Sim, SpawnedFor};
use amphi_shared_wire::Tick;
use amphi_shared_wire::limits::{SPAWN_SLACK_TICKS, SPAWNS_PREDICTED_MAX};

use crate::watch::Watch;

/// Spawns of the own player.
#[derive(Debug, Default)]
pub(crate) struct Spawns {
    /// Those that the server has not named, by key.
    open: Vec<Open>,
    named: BTreeMap<NetId, Body>,
    /// Those of the last snapshot that nothing was predicted for.
    adopted: Vec<Born>,
    /// Named ones below it are too many to be predicted.
    oldest: Option<NetId>,
    /// Ids that are to leave the predicted world.
    dropped: Vec<NetId>,
    counts: SpawnCounts,
}

/// Plain counters. What was predicted is confirmed, dropped, or not decided yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpawnCounts {
    pub(crate) predicted: u64,
    pub(crate) confirmed: u64,
    pub(crate) dropped: u64,
}

/// An entity that the prediction spawned in a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Born {
    pub(crate) id: NetId,
    pub(crate) key: SpawnedFor,
    /// Its predicted components, as a bit set.
    pub(crate) kind: u64,
}

/// A predicted spawn that the server has not named. It may be despawned again already: the server's comes nevertheless.
#[derive(Debug)]
struct Open {
    born: Born,
    body: Body,
}

/// What stays with a spawn under whatever id it has.
#[derive(Debug)]
pub(crate) struct Body {
    /// What shows it goes by this.
    pub(crate) shown_as: NetId,
    pub(crate) watch: Watch,
}

/// What became of the spawns that a snapshot told of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Naming {
    /// Provisional ids and those of the server.
    pub(crate) renamed: Vec<(NetId, NetId)>,
    /// Ids of the server that it does not tell of any more.
    pub(crate) left: Vec<NetId>,
}

impl Born {
    /// What was spawned in the tick that was simulated last.
    pub(crate) fn in_last_tick(sim: &Sim) -> Vec<Self> {
        let now = sim.unconfirmed().filter(|(_, key)| key.tick == sim.tick().0);
        let predicted = sim.schema().predicted();
        now.filter_map(|(id, key)| Some(Self { id, key, kind: sim.row_of(id)?.mask & predicted })).collect()
    }

    /// One that may be the same spawn, in another tick.
    fn is_like(&self, key: SpawnedFor, kind: u64) -> bool {
        self.kind == kind && self.key.tick.abs_diff(key.tick) <= SPAWN_SLACK_TICKS
    }
}

impl Body {
    fn new(shown_as: NetId) -> Self {
        Self { shown_as, watch: Watch::default() }
    }
}

impl Spawns {
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.named.is_empty()
    }

    pub(crate) fn counts(&self) -> SpawnCounts {
        self.counts
    }

    /// All spawns with their present ids; not all of them are in the predicted world now.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = (NetId, &Body)> {
        let open = self.open.iter().map(|open| (open.born.id, &open.body));
        self.named.iter().map(|(id, body)| (*id, body)).chain(open)
    }

    pub(crate) fn bodies_mut(&mut self) -> impl Iterator<Item = (NetId, &mut Body)> {
        let open = self.open.iter_mut().map(|open| (open.born.id, &mut open.body));
        self.named.iter_mut().map(|(id, body)| (*id, body)).chain(open)
    }

    /// How the server's rows judge a named one.
    pub(crate) fn watch(&mut self, id: NetId) -> Option<&mut Watch> {
        self.named.get_mut(&id).map(|body| &mut body.watch)
    }

    /// What shows an entity goes by this.
    pub(crate) fn shown_as(&self, id: NetId) -> NetId {
        self.named.get(&id).map_or(id, |body| body.shown_as)
    }

    /// The server has named it.
    pub(crate) fn is_named(&self, id: NetId) -> bool {
        self.named.contains_key(&id)
    }

    /// The last snapshot was the first to tell of it, and nothing was predicted.
    pub(crate) fn is_adopted(&self, id: NetId) -> bool {
        self.adopted.iter().any(|born| born.id == id)
    }

    /// It belongs into the predicted world of `tick`.
    pub(crate) fn is_there(&self, id: NetId, tick: Tick) -> bool {
        let open = |open: &Open| open.born.id == id && open.born.key.tick <= tick.0;
        self.is_named(id) || self.open.iter().any(open)
    }

    /// An own spawn with this id is shown as it is predicted; otherwise there are too many.
    pub(crate) fn is_predicted(&self, id: NetId) -> bool {
        self.oldest.is_none_or(|oldest| id >= oldest)
    }

    /// Takes the ids that are to leave the predicted world.
    pub(crate) fn take_dropped(&mut self) -> Vec<NetId> {
        core::mem::take(&mut self.dropped)
    }

    /// A tick was simulated for the first time.
    pub(crate) fn add(&mut self, born: Vec<Born>) {
        for born in born {
            // Not its id: a spawn that has moved to another tick keeps its number, and the tick may spawn a new one.
            let shown_as = NetId::provisional(self.counts.predicted as u32);
            self.counts.predicted += 1;
            self.insert(Open { born, body: Body::new(shown_as) });
        }
    }

    /// The ticks after `tick`, which the server has told of, were simulated again. A spawn that is now in another tick keeps its
    /// body; one that is not there any more is dropped, unless it is what the server has spawned earlier.
    pub(crate) fn again(&mut self, tick: Tick, born: Vec<Born>) {
        let (overdue, mut before): (Vec<Open>, Vec<Open>) =
            core::mem::take(&mut self.open).into_iter().partition(|open| open.born.key.tick <= tick.0);
        self.open = overdue;
        let mut fresh = Vec::new();
        for born in born {
            match before.iter().position(|open| open.born.key == born.key) {
                Some(at) => {
                    let body = before.remove(at).body;
                    self.insert(Open { born, body });
                }
                None => fresh.push(born),
            }
        }
        for born in fresh {
            // First what is not spawned any more, then what the server should have told of by now.
            let like = |open: &Open| open.born.is_like(born.key, born.kind);
            let moved = before.iter().position(like).map(|at| before.remove(at));
            let moved = moved.or_else(|| {
                let due = |open: &Open| open.born.key.tick <= tick.0 && like(open);
                let open = self.open.iter().position(due).map(|at| self.open.remove(at))?;
                self.dropped.push(open.born.id);
                Some(open)
            });
            match moved {
                Some(Open { body, .. }) => self.insert(Open { born, body }),
                None => self.add(vec![born]),
            }
        }
        before.into_iter().for_each(|open| self.hand_over(open));
    }

    /// The state of `tick` tells of these spawns of the own player, by ascending id: all that there are, with their keys and
    /// predicted components. Each new one is matched with what was predicted: by its key, else by what it is and about when.
    pub(crate) fn name(&mut self, tick: Tick, told: &[Born]) -> Naming {
        let too_many = told.len().saturating_sub(SPAWNS_PREDICTED_MAX);
        let told = told.get(too_many..).unwrap_or(told);
        self.oldest = told.first().filter(|_| too_many > 0).map(|born| born.id);
        self.adopted.clear();
        let mut naming = Naming::default();
        let gone = |id: &NetId| told.binary_search_by_key(id, |born| born.id).is_err();
        naming.left.extend(self.named.keys().copied().filter(gone));
        naming.left.iter().for_each(|id| drop(self.named.remove(id)));
        let fresh: Vec<Born> = told.iter().filter(|born| !self.named.contains_key(&born.id)).copied().collect();
        let (exact, others): (Vec<Born>, Vec<Born>) = fresh.into_iter().partition(|born| self.find(born).is_some());
        for born in exact {
            self.confirm(&born, Self::find, &mut naming);
        }
        for born in others {
            self.confirm(&born, |spawns, born| spawns.find_like(born, tick), &mut naming);
        }
        naming
    }

    /// Drops what the state of `tick` should have told of long ago.
    pub(crate) fn expire(&mut self, tick: Tick) {
        while self.open.first().is_some_and(|open| open.born.key.tick.saturating_add(SPAWN_SLACK_TICKS) < tick.0) {
            self.drop_oldest();
        }
    }

    /// What is not spawned any more becomes what the server has spawned instead.
    fn hand_over(&mut self, open: Open) {
        let at = self.adopted.iter().position(|told| open.born.is_like(told.key, told.kind));
        let named = at.map(|at| self.adopted.remove(at)).and_then(|told| self.named.get_mut(&told.id));
        match named {
            Some(body) => {
                *body = open.body;
                self.counts.confirmed += 1;
            }
            None => self.counts.dropped += 1,
        }
    }

    fn confirm(&mut self, born: &Born, find: impl FnOnce(&Self, &Born) -> Option<usize>, naming: &mut Naming) {
        let body = match find(self, born) {
            Some(at) => {
                let open = self.open.remove(at);
                naming.renamed.push((open.born.id, born.id));
                self.counts.confirmed += 1;
                open.body
            }
            None => {
                self.adopted.push(*born);
                Body::new(born.id)
            }
        };
        self.named.insert(born.id, body);
    }

    fn find(&self, born: &Born) -> Option<usize> {
        self.open.binary_search_by_key(&born.key, |open| open.born.key).ok()
    }

    /// The nearest in time that the server had to decide on by `tick`.
    fn find_like(&self, born: &Born, tick: Tick) -> Option<usize> {
        let like = |open: &Open| open.born.key.tick <= tick.0 && open.born.is_like(born.key, born.kind);
        let like = self.open.iter().enumerate().filter(|(_, open)| like(open));
        like.min_by_key(|(_, open)| open.born.key.tick.abs_diff(born.key.tick)).map(|(at, _)| at)
    }

    fn insert(&mut self, open: Open) {
        if self.open.len() == SPAWNS_PREDICTED_MAX {
            self.drop_oldest();
        }
        let at = self.open.partition_point(|other| other.born.key < open.born.key);
        self.open.insert(at, open);
    }

    fn drop_oldest(&mut self) {
        self.dropped.push(self.open.remove(0).born.id);
        self.counts.dropped += 1;
    }
}

#[cfg(test)]
mod tests;
