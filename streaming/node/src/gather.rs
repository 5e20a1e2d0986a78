//! Publications of one topic that leave together: one job for the network thread, and one write per reader.
//!
//! What is published in one turn leaves at its end. Where a topic is busy, so that turns follow each other within
//! milliseconds, a publication waits a little for the next. A topic that is quiet never waits.

use std::collections::BTreeMap;

use amphi_shared_wire::Micros;
use bytes::Bytes;

/// How long publications of a busy topic wait for the next.
const WAIT: Micros = Micros::from_millis(2);
/// A topic is busy when what leaves follows what left within this time …
const BUSY_GAP: Micros = Micros::from_millis(5);
/// … and then for so long.
const BUSY_TIME: Micros = Micros::from_secs(1);
/// A group that has so many messages, or bytes, leaves at once.
const MESSAGES_MAX: usize = 32;
const BYTES_MAX: usize = 64 * 1024;

/// Consecutive publications of one topic.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) alias: u32,
    /// Offsets, rising, and whole messages.
    pub(crate) messages: Vec<(u64, Bytes)>,
    bytes: usize,
    due: Micros,
}

impl Group {
    pub(crate) fn of(alias: u32, offset: u64, payload: Bytes) -> Self {
        Self { alias, bytes: payload.len(), messages: vec![(offset, payload)], due: Micros(0) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn payloads(&self) -> Vec<Bytes> {
        self.messages.iter().map(|(_, payload)| payload.clone()).collect()
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= MESSAGES_MAX || self.bytes >= BYTES_MAX
    }
}

/// How often a topic has something to send.
#[derive(Clone, Copy, Debug)]
struct Pace {
    left_at: Micros,
    busy_until: Micros,
}

/// Groups that are open. A topic has one at most, and those that wait are as many as topics are busy.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    open: Vec<Group>,
    paces: BTreeMap<u32, Pace>,
}

impl Gathering {
    /// Adds a publication; a group that is full then has to leave.
    pub(crate) fn add(&mut self, now: Micros, alias: u32, (offset, payload): (u64, Bytes)) -> Option<Group> {
        let Some(at) = self.open.iter().position(|group| group.alias == alias) else {
            let due = if self.is_busy(now, alias) { now + WAIT } else { now };
            self.open.push(Group { due, ..Group::of(alias, offset, payload) });
            return None;
        };
        let group = &mut self.open[at];
        group.bytes += payload.len();
        group.messages.push((offset, payload));
        group.is_full().then(|| self.leave(now, at))
    }

    /// A group that need not wait any longer.
    pub(crate) fn poll_due(&mut self, now: Micros) -> Option<Group> {
        let at = self.open.iter().position(|group| group.due <= now)?;
        Some(self.leave(now, at))
    }

    /// The first open group of a topic for which `of` is true.
    pub(crate) fn take(&mut self, now: Micros, of: impl Fn(u32) -> bool) -> Option<Group> {
        let at = self.open.iter().position(|group| of(group.alias))?;
        Some(self.leave(now, at))
    }

    pub(crate) fn next_due(&self) -> Option<Micros> {
        self.open.iter().map(|group| group.due).min()
    }

    /// Forgets the pace of topics that are quiet.
    pub(crate) fn sweep(&mut self, now: Micros) {
        self.paces.retain(|_, pace| pace.busy_until > now || now.since(pace.left_at) < BUSY_GAP);
    }

    fn is_busy(&self, now: Micros, alias: u32) -> bool {
        self.paces.get(&alias).is_some_and(|pace| pace.busy_until > now)
    }

    fn leave(&mut self, now: Micros, at: usize) -> Group {
        let group = self.open.swap_remove(at);
        let pace = self.paces.entry(group.alias).or_insert(Pace { left_at: Micros(0), busy_until: Micros(0) });
        if now.since(pace.left_at) < BUSY_GAP {
            pace.busy_until = now + BUSY_TIME;
        }
        pace.left_at = now;
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(bytes: usize) -> Bytes {
        vec![0; bytes].into()
    }

    fn offsets(group: &Group) -> Vec<u64> {
        group.messages.iter().map(|(offset, _)| *offset).collect()
    }

    fn at(ms: u64) -> Micros {
        Micros::from_millis(10_000 + ms)
    }

    #[test]
    fn what_is_published_in_one_turn_leaves_at_its_end() {
        let mut gathering = Gathering::default();
        for offset in 1..=5 {
            assert_eq!(gathering.add(at(0), 7, (offset, payload(10))), None);
            assert_eq!(gathering.add(at(0), 8, (offset, payload(10))), None);
        }
        let first = gathering.poll_due(at(0)).unwrap();
        assert_eq!((first.alias, offsets(&first), first.bytes()), (7, vec![1, 2, 3, 4, 5], 50));
        assert_eq!(gathering.poll_due(at(0)).unwrap().alias, 8);
        assert_eq!((gathering.poll_due(at(0)), gathering.next_due()), (None, None));
    }

    #[test]
    fn only_a_busy_topic_waits() {
        let mut gathering = Gathering::default();
        for ms in [0, 50, 100, 150, 153] {
            assert_eq!(gathering.add(at(ms), 7, (ms + 1, payload(10))), None);
            assert!(gathering.poll_due(at(ms)).is_some(), "quiet at {ms} ms");
        }
        // 153 followed 150.
        assert_eq!(gathering.add(at(154), 7, (200, payload(10))), None);
        assert_eq!(gathering.add(at(155), 7, (201, payload(10))), None);
        assert_eq!((gathering.poll_due(at(155)), gathering.next_due()), (None, Some(at(156))));
        assert_eq!(gathering.add(at(155), 8, (1, payload(10))), None);
        assert_eq!(gathering.poll_due(at(155)).unwrap().alias, 8, "another topic does not wait");
        assert_eq!(offsets(&gathering.poll_due(at(156)).unwrap()), [200, 201]);
        gathering.sweep(at(3_000));
        assert_eq!(gathering.add(at(3_000), 7, (202, payload(10))), None);
        assert!(gathering.poll_due(at(3_000)).is_some(), "quiet again");
    }

    #[test]
    fn a_full_group_leaves_at_once() {
        let mut gathering = Gathering::default();
        let full: Vec<_> = (1..=70).filter_map(|offset| gathering.add(at(0), 7, (offset, payload(1)))).collect();
        assert_eq!(full.iter().map(|group| group.messages.len()).collect::<Vec<_>>(), [MESSAGES_MAX; 2]);
        assert_eq!(gathering.take(at(0), |alias| alias == 7).map(|group| offsets(&group)[0]), Some(65));
        let large = [(71, BYTES_MAX - 1), (72, 1)];
        let full = large.map(|(offset, bytes)| gathering.add(at(0), 7, (offset, payload(bytes))).is_some());
        assert_eq!(full, [false, true]);
    }
}
