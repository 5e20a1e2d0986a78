//! What one receiver has seen of one sender's messages.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};

use super::{LANES, PAYLOAD_BYTES};

/// Missed numbers that are remembered per lane; one that comes after it was forgotten counts as doubled.
const MISSED_MAX: usize = 65_536;

/// Faults, and messages that were none.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Faults {
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) reordered: u64,
}

impl Faults {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            reordered: self.reordered + other.reordered,
        }
    }

    /// As a message; see [`Faults::decode`].
    pub(super) fn encode(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(4 * 8);
        [self.received, self.lost, self.doubled, self.reordered].into_iter().for_each(|n| bytes.put_u64_le(n));
        bytes.freeze()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(bytes.get(8 * at..8 * at + 8)?.try_into().ok()?));
        Some(Self { received: number(0)?, lost: number(1)?, doubled: number(2)?, reordered: number(3)? })
    }
}

/// Numbers each lane's messages.
#[derive(Default)]
pub(super) struct Numbers {
    sent: u64,
    lanes: [u64; 8],
}

impl Numbers {
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Lane and payload of the next message; it counts when [`Numbers::took`] says so.
    pub(super) fn next(&self) -> (u8, Bytes) {
        let lane = LANES.start() + (self.sent % LANES.count() as u64) as u8;
        let mut payload = BytesMut::with_capacity(PAYLOAD_BYTES);
        payload.put_u64_le(self.lanes[usize::from(lane)]);
        payload.put_bytes(lane, PAYLOAD_BYTES - 8);
        (lane, payload.freeze())
    }

    pub(super) fn took(&mut self, lane: u8) {
        self.lanes[usize::from(lane)] += 1;
        self.sent += 1;
    }
}

/// Checks the numbers of each lane.
#[derive(Default)]
pub(super) struct Tally {
    faults: Faults,
    expected: [u64; 8],
    missed: [BTreeSet<u64>; 8],
}

impl Tally {
    pub(super) fn take(&mut self, lane: u8, payload: &[u8]) {
        let number = payload.get(..8).and_then(|bytes| bytes.try_into().ok()).map_or(u64::MAX, u64::from_le_bytes);
        let (expected, missed) = (&mut self.expected[usize::from(lane)], &mut self.missed[usize::from(lane)]);
        self.faults.received += 1;
        if number >= *expected {
            missed.extend((*expected..number).take(MISSED_MAX - missed.len().min(MISSED_MAX)));
            *expected = number.saturating_add(1);
        } else if missed.remove(&number) {
            self.faults.reordered += 1;
        } else {
            self.faults.doubled += 1;
        }
    }

    pub(super) fn received(&self) -> u64 {
        self.faults.received
    }

    /// What is known when `sent` messages were sent.
    pub(super) fn faults(&self, sent: u64) -> Faults {
        let whole = self.faults.received - self.faults.doubled;
        Faults { lost: sent.saturating_sub(whole), ..self.faults }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(numbers: &[u64], sent: u64, expected: (u64, u64, u64)) {
        let mut tally = Tally::default();
        numbers.iter().for_each(|number| tally.take(2, &number.to_le_bytes()));
        let Faults { lost, doubled, reordered, .. } = tally.faults(sent);
        assert_eq!((lost, doubled, reordered), expected, "{numbers:?}");
    }

    #[test]
    fn every_fault_is_seen() {
        check(&[0, 1, 2], 3, (0, 0, 0));
        check(&[0, 2], 3, (1, 0, 0));
        check(&[0, 1], 3, (1, 0, 0));
        check(&[0, 2, 1], 3, (0, 0, 1));
        check(&[0, 1, 1, 2], 3, (0, 1, 0));
        check(&[0, 2, 2, 0], 3, (1, 2, 0));
    }

    #[test]
    fn numbers_go_round_the_lanes_and_faults_travel() {
        let (mut numbers, mut tally) = (Numbers::default(), Tally::default());
        for _ in 0..20 {
            let (lane, payload) = numbers.next();
            numbers.took(lane);
            tally.take(lane, &payload);
        }
        let faults = tally.faults(numbers.sent());
        assert_eq!(faults, Faults { received: 20, ..Faults::default() });
        assert_eq!(Faults::decode(&faults.encode()), Some(faults));
    }
}
