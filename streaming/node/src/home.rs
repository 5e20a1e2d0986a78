//! Home sessions of one shard: engine, person and connection of each, found by key, id and pipe.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use amphi_shared_auth::UserToken;
use amphi_shared_edge::session::PipeHandle;
use amphi_shared_session::{PipeId, Session};
use amphi_shared_wire::{Micros, SessionId, TokenId};
use amphi_streaming_core::{Person, SessionKey};

use crate::lag::Lateness;

/// A plan this far ahead needs no precision …
const FAR: Micros = Micros::from_secs(5);
/// … and moves up to a multiple of this, so that sessions share the wake-ups.
const COARSE: Micros = Micros::from_millis(500);

/// One home session.
pub(crate) struct Home {
    pub(crate) id: SessionId,
    pub(crate) person: Person,
    pub(crate) engine: Session,
    /// The newest token: the session ends with it.
    pub(crate) token: HomeToken,
    /// When it may be prolonged again.
    pub(crate) refresh_at: Micros,
    /// Where its newest connection comes from.
    pub(crate) address: IpAddr,
    /// When the shard has planned to look at it.
    planned: Option<Micros>,
}

/// What remains of a verified token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HomeToken {
    pub(crate) id: TokenId,
    pub(crate) issued: Micros,
    pub(crate) expires: Micros,
}

impl HomeToken {
    pub(crate) fn of(token: &UserToken) -> Self {
        Self { id: token.id, issued: token.issued, expires: token.expires }
    }
}

/// A connection and the session it carries.
pub(crate) struct Pipe {
    pub(crate) session: SessionKey,
    pub(crate) handle: PipeHandle,
    pub(crate) lateness: Lateness,
}

/// Home sessions of one shard.
#[derive(Default)]
pub(crate) struct Homes {
    slots: Vec<Slot>,
    free: Vec<u32>,
    keys: HashMap<SessionId, SessionKey>,
    pipes: HashMap<PipeId, Pipe>,
    pipe_last: u32,
    plans: BTreeSet<(Micros, SessionKey)>,
}

#[derive(Default)]
struct Slot {
    /// Rises with each session in this slot, so that a key never names a later one.
    generation: u32,
    home: Option<Home>,
}

impl Homes {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn pipes(&self) -> usize {
        self.pipes.len()
    }

    pub(crate) fn insert(
        &mut self,
        id: SessionId,
        (person, engine): (Person, Session),
        (token, address): (HomeToken, IpAddr),
    ) -> SessionKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("the number of sessions is bounded far below 2³²")
        });
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        let key = SessionKey(u64::from(slot.generation) << 32 | u64::from(index));
        slot.home = Some(Home { id, person, engine, token, refresh_at: Micros(0), address, planned: None });
        self.keys.insert(id, key);
        key
    }

    pub(crate) fn remove(&mut self, key: SessionKey) {
        let Some(home) = self.slot(key).and_then(|slot| slot.home.take()) else { return };
        self.free.push(key.0 as u32);
        self.keys.remove(&home.id);
        if let Some(at) = home.planned {
            self.plans.remove(&(at, key));
        }
    }

    pub(crate) fn get(&mut self, key: SessionKey) -> Option<&mut Home> {
        self.slot(key)?.home.as_mut()
    }

    pub(crate) fn find(&self, id: SessionId) -> Option<SessionKey> {
        self.keys.get(&id).copied()
    }

    pub(crate) fn keys(&self) -> Vec<SessionKey> {
        self.keys.values().copied().collect()
    }

    /// The id of the next connection.
    pub(crate) fn next_pipe(&mut self) -> PipeId {
        loop {
            self.pipe_last = self.pipe_last.wrapping_add(1);
            let pipe = PipeId(self.pipe_last);
            if !self.pipes.contains_key(&pipe) {
                return pipe;
            }
        }
    }

    pub(crate) fn insert_pipe(&mut self, id: PipeId, pipe: Pipe) {
        self.pipes.insert(id, pipe);
    }

    pub(crate) fn pipe(&self, id: PipeId) -> Option<&Pipe> {
        self.pipes.get(&id)
    }

    pub(crate) fn pipe_mut(&mut self, id: PipeId) -> Option<&mut Pipe> {
        self.pipes.get_mut(&id)
    }

    pub(crate) fn remove_pipe(&mut self, id: PipeId) -> Option<Pipe> {
        self.pipes.remove(&id)
    }

    /// Tells a session's engine which probes were answered without it.
    pub(crate) fn hear(&mut self, key: SessionKey) {
        let Some(home) = self.slots.get_mut(key.0 as u32 as usize).and_then(|slot| slot.home.as_mut()) else { return };
        if let Some(info) = home.engine.pipe()
            && let Some(pipe) = self.pipes.get(&info.id)
        {
            home.engine.handle_heard(pipe.handle.heard(), info.id);
        }
    }

    /// Plans to look at a session when its engine wants it or its token ends, and gives back what a busy moment took. An
    /// earlier plan stays.
    pub(crate) fn plan(&mut self, now: Micros, key: SessionKey) {
        let Some(home) = self.slots.get_mut(key.0 as u32 as usize).and_then(|slot| slot.home.as_mut()) else { return };
        home.engine.rest();
        let wanted = home.engine.poll_timeout().map_or(Micros(u64::MAX), |(at, _)| coarse(now, at));
        let wanted = wanted.min(home.token.expires);
        if home.planned.is_some_and(|planned| planned <= wanted) {
            return;
        }
        if let Some(planned) = home.planned.replace(wanted) {
            self.plans.remove(&(planned, key));
        }
        self.plans.insert((wanted, key));
    }

    /// The next session to look at, when its time has come.
    pub(crate) fn poll_due(&mut self, now: Micros) -> Option<SessionKey> {
        let (at, key) = *self.plans.first()?;
        if at > now {
            return None;
        }
        self.plans.pop_first();
        if let Some(home) = self.get(key) {
            home.planned = None;
        }
        Some(key)
    }

    pub(crate) fn next_due(&self) -> Option<Micros> {
        self.plans.first().map(|(at, _)| *at)
    }

    fn slot(&mut self, key: SessionKey) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(key.0 as u32 as usize)?;
        (u64::from(slot.generation) == key.0 >> 32).then_some(slot)
    }
}

fn coarse(now: Micros, at: Micros) -> Micros {
    if at < now + FAR { at } else { Micros(at.0.next_multiple_of(COARSE.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_that_lie_ahead_share_moments_and_others_are_exact() {
        let now = Micros::from_secs(1_763_000_000);
        for near_us in [0, 1, 200_000, 4_999_999] {
            assert_eq!(coarse(now, now + Micros(near_us)), now + Micros(near_us));
        }
        for far_us in [5_000_000, 5_000_001, 50_123_456] {
            let planned = coarse(now, now + Micros(far_us));
            assert!(planned.0.is_multiple_of(COARSE.0), "{planned:?}");
            assert!((0..COARSE.0).contains(&(planned.0 - now.0 - far_us)), "{planned:?} for {far_us}");
        }
    }
}
