//! One-shot effects of a game: a shot, a goal.

use amphi_shared_wire::limits::{EVENT_BYTES_MAX, EVENTS_PER_TICK_MAX};
use bevy_ecs::prelude::Resource;

/// A one-shot effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GameEvent {
    /// What happened; numbers belong to the game.
    pub kind: u32,
    /// Details, in the game's own layout.
    pub body: Vec<u8>,
}

/// The one-shot effects of this tick. The engine takes them after each step and sends them on the room lane and in views.
#[derive(Clone, Debug, Default, Resource)]
pub struct GameEvents {
    events: Vec<GameEvent>,
    dropped: u64,
}

impl GameEvents {
    /// Adds an effect. Beyond `EVENTS_PER_TICK_MAX` events or `EVENT_BYTES_MAX` bytes it is dropped and counted.
    pub fn push(&mut self, kind: u32, body: Vec<u8>) {
        if self.events.len() < EVENTS_PER_TICK_MAX && body.len() <= EVENT_BYTES_MAX {
            self.events.push(GameEvent { kind, body });
        } else {
            self.dropped += 1;
        }
    }

    /// Takes the effects, oldest first.
    pub fn take(&mut self) -> Vec<GameEvent> {
        core::mem::take(&mut self.events)
    }

    /// Effects that were dropped since the world began.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
