//! The view of a room: frames that are encoded once for everyone who watches.

use amphi_shared_replica::{Sim, ViewEncoder};
use amphi_shared_wire::limits::VIEW_KEYFRAME_MS;
use amphi_shared_wire::{Tick, proto};
use bytes::Bytes;
use prost::Message as _;

/// Frames per second, at most.
const VIEW_HZ: u32 = 20;

/// Makes the frames of a room's view.
#[derive(Debug)]
pub(crate) struct Spectators {
    encoder: ViewEncoder,
    every_ticks: u32,
    keyframe_ticks: u32,
    /// Tick of the last frame and of the last keyframe.
    last: Option<(Tick, Tick)>,
    events: Vec<proto::GameEvent>,
    told: Option<proto::ViewMatch>,
}

impl Spectators {
    pub(crate) fn new(tick_hz: u32) -> Self {
        Self {
            encoder: ViewEncoder::new(),
            every_ticks: tick_hz.div_ceil(VIEW_HZ),
            keyframe_ticks: (u64::from(tick_hz) * VIEW_KEYFRAME_MS / 1_000) as u32,
            last: None,
            events: Vec::new(),
            told: None,
        }
    }

    /// Keeps an event for the next frame.
    pub(crate) fn note(&mut self, event: proto::GameEvent) {
        self.events.push(event);
    }

    /// A frame is due at this tick.
    pub(crate) fn is_due(&self, tick: Tick) -> bool {
        self.last.is_none_or(|(frame, _)| tick.0 - frame.0 >= self.every_ticks)
    }

    /// The frame of the simulation's tick, and whether it is a keyframe.
    pub(crate) fn frame(
        &mut self,
        sim: &Sim,
        about: proto::ViewMatch,
        result: Option<proto::MatchResult>,
    ) -> (bool, Bytes) {
        let tick = sim.tick();
        let keyframe = self.last.is_none_or(|(_, keyframe)| tick.0 - keyframe.0 >= self.keyframe_ticks);
        let previous = if keyframe { tick } else { self.last.map_or(tick, |(frame, _)| frame) };
        let news = keyframe || self.told.as_ref() != Some(&about);
        let frame = proto::ViewFrame {
            tick: tick.0,
            previous: previous.0,
            keyframe,
            rows: self.encoder.encode(sim.mirror(), keyframe).into(),
            events: std::mem::take(&mut self.events),
            r#match: news.then(|| about.clone()),
            schema_json: if keyframe { sim.schema().to_json().to_owned() } else { String::new() },
            result,
        };
        self.told = Some(about);
        self.last = Some((tick, if keyframe { tick } else { self.last.map_or(tick, |(_, at)| at) }));
        (keyframe, frame.encode_to_vec().into())
    }
}
