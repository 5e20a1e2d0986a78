//! What a game says to people: events, effects and answers to their requests.

use std::any::{TypeId, type_name};
use std::sync::Arc;

use amphi_shared_wire::limits::{EVENT_BYTES_MAX, EVENTS_PER_TICK_MAX};
use bevy_ecs::prelude::Resource;

use crate::request::Asked;
use crate::{Replicate, Request, Seat, encode_message};

/// Something a game says, ready for the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GameEvent {
    /// An event or effect, for everyone or for one seat.
    Event {
        /// Kind in the schema, from 1.
        kind: u32,
        /// See [`encode_message`].
        body: Vec<u8>,
        /// The only seat that hears it.
        to: Option<Seat>,
    },
    /// The answer to a request.
    Answer {
        /// Who asked.
        to: Seat,
        /// [`Asked::id`].
        request: u32,
        /// See [`encode_message`].
        body: Vec<u8>,
    },
}

/// What is said in this tick. The engine takes it after each step and sends it on the room lane and in views.
#[derive(Debug, Default, Resource)]
pub struct GameEvents {
    /// By kind, from 1.
    kinds: Arc<[TypeId]>,
    said: Vec<GameEvent>,
    dropped: u64,
    /// Type that was said without being registered.
    unknown: Option<&'static str>,
}

impl GameEvents {
    pub(crate) fn new(kinds: Arc<[TypeId]>) -> Self {
        Self { kinds, ..Self::default() }
    }

    /// Tells everyone, spectators too. Beyond `EVENTS_PER_TICK_MAX` events it is dropped and counted.
    ///
    /// An event type that the game has not registered is an error of the step.
    pub fn send<E: Replicate + 'static>(&mut self, event: &E) {
        self.event(event, None);
    }

    /// Tells the person on one seat, and no spectator.
    pub fn send_to<E: Replicate + 'static>(&mut self, seat: Seat, event: &E) {
        self.event(event, Some(seat));
    }

    /// Answers a request, in this tick or a later one. A second answer is ignored by the client.
    pub fn answer<R: Request>(&mut self, asked: &Asked<R>, answer: &R::Answer) {
        let body = encode_message(answer);
        self.push(GameEvent::Answer { to: asked.seat, request: asked.id, body });
    }

    /// Takes what was said, oldest first.
    pub fn take(&mut self) -> Vec<GameEvent> {
        core::mem::take(&mut self.said)
    }

    /// What was dropped since the world began.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Name of a type that was said without being registered.
    pub(crate) fn unknown(&self) -> Option<&'static str> {
        self.unknown
    }

    fn event<E: Replicate + 'static>(&mut self, event: &E, to: Option<Seat>) {
        match self.kinds.iter().position(|kind| *kind == TypeId::of::<E>()) {
            Some(i) => self.push(GameEvent::Event { kind: i as u32 + 1, body: encode_message(event), to }),
            None => self.unknown = Some(type_name::<E>()),
        }
    }

    fn push(&mut self, said: GameEvent) {
        let (GameEvent::Event { body, .. } | GameEvent::Answer { body, .. }) = &said;
        if self.said.len() < EVENTS_PER_TICK_MAX && body.len() <= EVENT_BYTES_MAX {
            self.said.push(said);
        } else {
            self.dropped += 1;
        }
    }
}
