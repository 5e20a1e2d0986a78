//! The stream for spectators: encoded once per match, whoever watches.

use amphi_shared_replica::{Mirror, ViewEncoder};
use amphi_shared_wire::Tick;
use amphi_shared_wire::limits::VIEW_KEYFRAME_MS;
use amphi_shared_wire::proto::{GameEvent, MatchResult, ViewFrame, ViewMatch};
use bytes::Bytes;
use prost::Message;

/// Frames per second.
const VIEW_HZ: u32 = 30;

/// The only view there is: the whole match.
pub(crate) struct View {
    encoder: ViewEncoder,
    every_ticks: u32,
    keyframe_ticks: u32,
    previous: Tick,
    keyframe: Option<Tick>,
    events: Vec<GameEvent>,
    told: Option<ViewMatch>,
    schema_json: String,
}

impl View {
    pub(crate) fn new(tick_hz: u32, schema_json: String) -> Self {
        Self {
            encoder: ViewEncoder::new(),
            every_ticks: (tick_hz / VIEW_HZ).max(1),
            keyframe_ticks: (tick_hz * VIEW_KEYFRAME_MS as u32 / 1_000).max(1),
            previous: Tick(0),
            keyframe: None,
            events: Vec::new(),
            told: None,
            schema_json,
        }
    }

    /// Keeps an event for the next frame.
    pub(crate) fn note(&mut self, event: &GameEvent) {
        self.events.push(event.clone());
    }

    /// The frame of this tick, if one is due; `result` makes it due. Says whether it is a keyframe.
    pub(crate) fn frame(
        &mut self,
        mirror: &Mirror,
        match_state: impl FnOnce() -> ViewMatch,
        result: Option<&MatchResult>,
    ) -> Option<(bool, Bytes)> {
        let tick = mirror.tick();
        if result.is_none() && !tick.0.is_multiple_of(self.every_ticks) {
            return None;
        }
        let keyframe = self.keyframe.is_none_or(|last| tick >= last.plus(self.keyframe_ticks));
        let state = match_state();
        let changed = self.told.as_ref() != Some(&state);
        let frame = ViewFrame {
            tick: tick.0,
            previous: if keyframe { 0 } else { self.previous.0 },
            keyframe,
            rows: self.encoder.encode(mirror, keyframe).into(),
            events: std::mem::take(&mut self.events),
            r#match: (keyframe || changed).then(|| state.clone()),
            schema_json: if keyframe { self.schema_json.clone() } else { String::new() },
            result: result.cloned(),
        };
        if keyframe {
            self.keyframe = Some(tick);
        }
        self.previous = tick;
        self.told = Some(state);
        Some((keyframe, frame.encode_to_vec().into()))
    }
}
