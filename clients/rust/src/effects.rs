//! Effects of the own player: shown when predicted, and not again when the server says them.

use std::collections::VecDeque;

use amphi_shared_replica::{GameEvent, Schema, Seat};
use amphi_shared_wire::Tick;

/// Ticks between a predicted effect and the server's word for it.
const WINDOW_TICKS: i64 = 32;
/// Effects that wait for the server's word. Beyond: the oldest is forgotten, and shown twice if it was true.
const PENDING_MAX: usize = 256;

/// Effects that were shown and not said by the server yet, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pending: VecDeque<(Tick, u32)>,
}

impl Effects {
    /// What of the things said in a tick, simulated for the first time, is to be shown: kinds and bodies.
    pub(crate) fn predicted(
        &mut self,
        schema: &Schema,
        own: Seat,
        tick: Tick,
        said: Vec<GameEvent>,
    ) -> Vec<(u32, Vec<u8>)> {
        let mut shown = Vec::new();
        for event in said {
            let GameEvent::Event { kind, body, to: None } = event else { continue };
            if is_own(schema, own, kind, &body) {
                if self.pending.len() == PENDING_MAX {
                    self.pending.pop_front();
                }
                self.pending.push_back((tick, kind));
                shown.push((kind, body));
            }
        }
        shown
    }

    /// The server says an event: true when it was shown before. However late that is, as after a stall; the server says
    /// events in order, so what is older than a window by then was wrong.
    pub(crate) fn confirmed(&mut self, schema: &Schema, own: Option<Seat>, tick: Tick, kind: u32, body: &[u8]) -> bool {
        if !own.is_some_and(|own| is_own(schema, own, kind, body)) {
            return false;
        }
        self.pending.retain(|(shown, _)| tick.diff(*shown) <= WINDOW_TICKS);
        let near = |(shown, of): &(Tick, u32)| *of == kind && tick.diff(*shown).abs() <= WINDOW_TICKS;
        self.pending.iter().position(near).and_then(|at| self.pending.remove(at)).is_some()
    }
}

/// An effect that the own player causes.
fn is_own(schema: &Schema, own: Seat, kind: u32, body: &[u8]) -> bool {
    schema.event(kind).is_some_and(|event| event.predict) && schema.caused_by(kind, body) == Some(own)
}

#[cfg(test)]
mod tests;
