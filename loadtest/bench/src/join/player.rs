//! A player: session and snapshot reader, as a client has them.

use std::sync::Arc;

use amphi_shared_replica::{Schema, SnapshotDecoder, encode_inputs};
use amphi_shared_session::{Config, ConnectRequest, Event, PipeInfo, Session};
use amphi_shared_wire::proto::{PartRead, PlayerMessage, WorldPart, player_message};
use amphi_shared_wire::{LANE_BULK, LANE_INPUT, LANE_ROOM, LANE_SNAPSHOT, Micros, Tick};
use anyhow::{bail, ensure};
use bytes::Bytes;
use prost::Message as _;

use super::plane::{self, Plane, Walk};

/// How far ahead of the room a player is.
const LEAD_TICKS: u32 = 4;

/// How somebody joined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joined {
    pub(super) seconds: f64,
    pub(super) bytes: usize,
    pub(super) parts: usize,
    pub(super) part_bytes: usize,
}

/// One player.
pub(super) struct Player {
    pub(super) session: Session,
    plane: Plane,
    decoder: SnapshotDecoder,
    welcomed: Option<Micros>,
    /// What came since the Welcome.
    bytes: usize,
    parts: usize,
    part_bytes: usize,
    /// When it held everything for the first time.
    joined: Option<Joined>,
    /// When the newest snapshot came, and the longest time without one.
    heard: Option<Micros>,
    gap: Micros,
}

impl Player {
    /// A player who says Hello.
    pub(super) fn new(now: Micros, plane: Plane, schema: &Arc<Schema>, pipe: PipeInfo) -> Self {
        let mut session = Session::connect(Config::default(), ConnectRequest::default());
        session.dial(now, pipe);
        Self {
            session,
            plane,
            decoder: SnapshotDecoder::new(Arc::clone(schema)),
            welcomed: None,
            bytes: 0,
            parts: 0,
            part_bytes: 0,
            joined: None,
            heard: None,
            gap: Micros(0),
        }
    }

    pub(super) fn holds_everything(&self) -> bool {
        self.joined.is_some()
    }

    pub(super) fn joined(&self) -> Option<Joined> {
        self.joined
    }

    /// The longest time without a snapshot since the last call.
    pub(super) fn take_gap(&mut self) -> Micros {
        core::mem::replace(&mut self.gap, Micros(0))
    }

    /// Something has arrived.
    pub(super) fn count(&mut self, bytes: usize) {
        self.bytes += if self.welcomed.is_some() && self.joined.is_none() { bytes } else { 0 };
    }

    /// Sends the input for a tick to come.
    pub(super) fn walk(&mut self, now: Micros, tick: Tick) {
        let newest = tick.plus(LEAD_TICKS);
        let input = encode_inputs(newest, &[Walk::at(newest.0)]);
        // Without a connection there is nobody to hear it.
        let _ = self.session.send_datagram(now, LANE_INPUT, input.into());
    }

    /// Takes what the session says.
    pub(super) fn hear(&mut self, now: Micros, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Attached { .. } => self.welcomed = Some(now),
            Event::Datagram { lane: LANE_SNAPSHOT, payload } => {
                let before = self.heard.replace(now).unwrap_or(now);
                self.gap = self.gap.max(now.since(before));
                self.decoder.decode(&payload)?;
                self.look(now)?;
            }
            Event::Message { lane: LANE_BULK, payload } => {
                let part = WorldPart::decode(payload.clone())?;
                let dropped = self.decoder.decode_part(&part.snapshot).is_err();
                self.parts += 1;
                self.part_bytes += payload.len();
                let read = player_message::Kind::PartRead(PartRead { number: part.number, dropped });
                let message: Bytes = PlayerMessage { kind: Some(read) }.encode_to_vec().into();
                self.session.send(now, LANE_ROOM, message)?;
                self.look(now)?;
            }
            Event::Refused(refusal) => bail!("refused: {refusal:?}"),
            Event::Closed { code, message } => bail!("closed: {code}: {message}"),
            Event::Message { .. }
            | Event::Datagram { .. }
            | Event::Acked { .. }
            | Event::Lost { .. }
            | Event::Detached
            | Event::PathSilent
            | Event::LaneWritable { .. }
            | Event::LaneLost { .. } => {}
        }
        Ok(())
    }

    /// Notes when everything is there, and that it is right.
    fn look(&mut self, now: Micros) -> anyhow::Result<()> {
        let (None, Some(welcomed)) = (self.joined, self.welcomed) else { return Ok(()) };
        if self.decoder.entities().count() < self.plane.entities as usize {
            return Ok(());
        }
        let schema = self.decoder.schema();
        let wrong = self.decoder.entities().find(|(_, tick, row)| !plane::is_exact(self.plane, schema, tick.0, row));
        ensure!(wrong.is_none(), "an entity is known as {wrong:?}");
        self.joined = Some(Joined {
            seconds: now.since(welcomed).0 as f64 / 1e6,
            bytes: self.bytes,
            parts: self.parts,
            part_bytes: self.part_bytes,
        });
        Ok(())
    }
}
