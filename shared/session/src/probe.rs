//! Clock probes that are answered without their session.

use amphi_shared_wire::Micros;
use amphi_shared_wire::proto::{self, link};
use bytes::Bytes;
use prost::Message;

use crate::handshake::{KIND_LINK, encode_link};

/// First byte of a `Link` that holds a `Ping`: field 5, length-delimited.
const PING_FIELD: u8 = 5 << 3 | 2;

/// The answer to a message of lane 0 that arrived at `now` and is a clock probe; `None`: it is for the session.
///
/// For whoever carries a home session and knows the moment better than its owner, who would only be woken up for it.
/// The owner then learns by [`Session::handle_heard`](crate::Session::handle_heard) that the peer is there.
pub fn answer_probe(now: Micros, message: &[u8]) -> Option<Bytes> {
    let [KIND_LINK, link @ ..] = message else {
        return None;
    };
    if link.first() != Some(&PING_FIELD) {
        return None;
    }
    match proto::Link::decode(link).ok()?.kind? {
        link::Kind::Ping(ping) => Some(pong((now, now), ping, 0)),
        link::Kind::Hello(_)
        | link::Kind::Welcome(_)
        | link::Kind::Refused(_)
        | link::Kind::Ack(_)
        | link::Kind::Pong(_)
        | link::Kind::Close(_) => None,
    }
}

/// The answer to a probe: when that arrived, and when the answer leaves; `tick0_us` is 0 on a home session.
pub(crate) fn pong((came, leaves): (Micros, Micros), ping: proto::Ping, tick0_us: u64) -> Bytes {
    encode_link(link::Kind::Pong(proto::Pong { t0_us: ping.t0_us, t1_us: came.0, t2_us: leaves.0, tick0_us }))
}

#[cfg(test)]
mod tests;
