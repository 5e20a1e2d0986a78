//! What every payload says about itself, so that whoever receives it knows whether it belongs there.

use amphi_shared_wire::Lane;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::net::End;

/// Bytes of a stamp, and so of the shortest payload.
pub(super) const STAMP_BYTES: usize = 19;

/// The first bytes of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The session at the node that sends it or is to receive it; 0 where the client cannot know yet.
    pub(super) life: u32,
    pub(super) who: u8,
    pub(super) to: End,
    pub(super) lane: Lane,
    pub(super) number: u64,
}

impl Stamp {
    /// A payload of at least [`STAMP_BYTES`].
    pub(super) fn payload(self, bytes: usize) -> Bytes {
        let bytes = bytes.max(STAMP_BYTES);
        let mut out = BytesMut::with_capacity(bytes);
        out.put_u32_le(self.life);
        out.put_u8(self.who);
        out.put_u8(self.to as u8);
        out.put_u8(self.lane);
        out.put_u64_le(self.number);
        out.put_u32_le(bytes as u32);
        out.resize(bytes, self.number as u8);
        out.freeze()
    }

    /// Reads a payload; an error when a byte of it changed.
    pub(super) fn read(payload: &Bytes) -> Result<Self, String> {
        let changed = || "a payload changed on its way".to_owned();
        let mut bytes = &payload[..];
        if bytes.len() < STAMP_BYTES {
            return Err(changed());
        }
        let (life, who, to) = (bytes.get_u32_le(), bytes.get_u8(), bytes.get_u8());
        let to = if to == End::Client as u8 { End::Client } else { End::Server };
        let (lane, number, length) = (bytes.get_u8(), bytes.get_u64_le(), bytes.get_u32_le());
        let filled = bytes.iter().all(|byte| *byte == number as u8);
        if length as usize == payload.len() && filled {
            Ok(Self { life, who, to, lane, number })
        } else {
            Err(changed())
        }
    }
}
