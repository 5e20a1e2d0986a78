//! A player who breaks the rules: what they send, and what must come of it.

use std::collections::VecDeque;
use std::fmt;

use amphi_server_core::RoomStats;
use amphi_shared_session::DatagramStats;
use amphi_shared_wire::proto::{self, PlayerMessage, player_message};
use amphi_shared_wire::{Code, Datagram, DatagramHeader, LANE_CONTROL, LANE_INPUT, LANE_ROOM, Lane, Rng};
use bytes::Bytes;
use prost::Message;

use crate::net::Arrival;

/// Datagrams of a flood.
const FLOOD: u16 = 400;
/// The input of a flood: a tick far ahead, one input of zeros.
const FAR_INPUT: [u8; 24] = {
    let mut bytes = [0; 24];
    bytes[2] = 0x7f;
    bytes
};

/// Something that a peer must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Acknowledges datagrams that have no number yet.
    AckFuture,
    /// Says to have read a part of the world that was never sent.
    PartUnsent,
    /// Acknowledges messages that were never sent.
    LaneUnsent,
    /// Sends inputs for ticks far ahead, a lot of them.
    Flood,
    /// Says to have read tables that it was not given.
    Tables,
    /// Sends its own last datagrams again.
    ReplayOwn,
    /// Sends the last datagrams of others as its own.
    ReplayOthers,
    /// Sends bytes that mean nothing.
    Garbage(u64),
}

/// What is counted about a player at the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) datagrams: DatagramStats,
    pub(crate) room: RoomStats,
    /// The session is there and open.
    pub(crate) open: bool,
}

impl Attack {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        match rng.below(8) {
            0 => Self::AckFuture,
            1 => Self::PartUnsent,
            2 => Self::LaneUnsent,
            3 => Self::Flood,
            4 => Self::Tables,
            5 => Self::ReplayOwn,
            6 => Self::ReplayOthers,
            _ => Self::Garbage(rng.next_u64()),
        }
    }

    /// What is sent: `own` and `others` are the datagrams of the last moments.
    pub(crate) fn messages(self, own: &VecDeque<Bytes>, others: &[Bytes]) -> Vec<Arrival> {
        let datagram = |header: DatagramHeader, lane: Lane, payload: &'static [u8]| {
            Arrival::Datagram(Datagram { header, lane, payload: Bytes::from_static(payload) }.encode())
        };
        let said = |kind| Arrival::Frame(LANE_ROOM, PlayerMessage { kind: Some(kind) }.encode_to_vec().into());
        match self {
            Self::AckFuture => {
                let header = DatagramHeader { seq: 0, ack: 0x6fff, ack_bits: u32::MAX };
                vec![datagram(header, LANE_CONTROL, &[])]
            }
            Self::PartUnsent => {
                vec![said(player_message::Kind::PartRead(proto::PartRead { number: 1 << 30, dropped: false }))]
            }
            Self::LaneUnsent => {
                let position = proto::LanePosition { lane: u32::from(LANE_ROOM), next_seq: 1 << 40 };
                let ack = proto::link::Kind::Ack(proto::Ack { received: vec![position] });
                let mut bytes = vec![0];
                bytes.extend(proto::Link { kind: Some(ack) }.encode_to_vec());
                vec![Arrival::Frame(LANE_CONTROL, bytes.into())]
            }
            Self::Flood => {
                let header = |n| DatagramHeader { seq: 0x5000 + n, ack: 0, ack_bits: 0 };
                (0..FLOOD).map(|n| datagram(header(n), LANE_INPUT, &FAR_INPUT)).collect()
            }
            Self::Tables => {
                vec![said(player_message::Kind::TablesReady(proto::TablesReady { hash: 7 }))]
            }
            // Twice, since they may not have arrived before.
            Self::ReplayOwn => own.iter().chain(own).cloned().map(Arrival::Datagram).collect(),
            Self::ReplayOthers => others.iter().cloned().map(Arrival::Datagram).collect(),
            Self::Garbage(seed) => {
                let bytes: Bytes = seed.to_le_bytes().to_vec().into();
                vec![Arrival::Datagram(bytes.clone()), Arrival::Frame(LANE_ROOM, bytes)]
            }
        }
    }

    /// All of the `sent` messages were taken: it was counted, or has ended the session with the right code.
    pub(crate) fn check(self, sent: usize, before: Counts, after: Counts, end: Option<Code>) -> Result<(), String> {
        if let Some(code) = end {
            return match (self, code) {
                (Self::AckFuture | Self::ReplayOthers | Self::Garbage(_), Code::AckInvalid)
                | (Self::LaneUnsent | Self::Garbage(_), Code::MessageInvalid) => Ok(()),
                (_, code) => Err(format!("{self} ends a session with {code}")),
            };
        }
        let dropped = after.datagrams.dropped - before.datagrams.dropped;
        let (refused, wanted) = match self {
            Self::AckFuture | Self::LaneUnsent => return Err(format!("{self} ends no session")),
            Self::PartUnsent => (after.room.parts_refused - before.room.parts_refused, sent),
            Self::Flood => (after.room.inputs_early - before.room.inputs_early + dropped, sent),
            Self::Tables => (after.room.tables_refused - before.room.tables_refused, sent),
            Self::ReplayOwn => (dropped, sent / 2),
            // They may be good inputs: its own, and nobody else's.
            Self::ReplayOthers | Self::Garbage(_) => (0, 0),
        };
        if refused < wanted as u64 {
            return Err(format!("{self} was counted {refused} times of {wanted}"));
        }
        Ok(())
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AckFuture => "acknowledges what has no number yet",
            Self::PartUnsent => "has read a part that was never sent",
            Self::LaneUnsent => "acknowledges messages that were never sent",
            Self::Flood => "floods inputs",
            Self::Tables => "has read tables that it was not given",
            Self::ReplayOwn => "sends its last datagrams again",
            Self::ReplayOthers => "sends the last datagrams of others",
            Self::Garbage(_) => "sends bytes that mean nothing",
        })
    }
}
