//! Readers that do not keep up: what becomes of a publication for them, by the policy of its class.

use std::collections::BTreeMap;

use amphi_shared_edge::session::PipeHandle;
use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::LATEST_WAITING_MAX;
use amphi_streaming_core::{Place, SessionKey, SlowReader};
use bytes::Bytes;

/// How often it is looked whether there is room again for those for whom something is kept.
const LOOK_EVERY: Micros = Micros::from_millis(20);

/// What becomes of a publication for one reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Send,
    /// It is kept until there is room, or a newer one takes its place.
    Keep,
    LeaveOut,
    /// The reader's connection is closed with `SlowReader`.
    Close,
}

/// Since when what waited for a reader has waited: a moment, and all bytes that were queued until then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lateness {
    at: Micros,
    entered: u64,
}

impl Lateness {
    /// Whether something that was queued longer than `age_max` ago still waits. It is seen one call later at the earliest.
    fn exceeds(&mut self, now: Micros, age_max: Micros, (entered, waiting): (u64, usize)) -> bool {
        let left = entered - (waiting as u64).min(entered);
        if left >= self.entered {
            *self = Self { at: now, entered };
            return false;
        }
        now.since(self.at) > age_max
    }

    /// What becomes of a publication for the reader behind `pipe`.
    pub(crate) fn fate(&mut self, now: Micros, slow: SlowReader, pipe: &PipeHandle, bytes: usize) -> Fate {
        self.judge(now, slow, (pipe.entered_bytes(), pipe.queued_bytes()), bytes)
    }

    fn judge(&mut self, now: Micros, slow: SlowReader, (entered, waiting): (u64, usize), bytes: usize) -> Fate {
        match slow {
            SlowReader::Reliable { bytes_max, age_max } => {
                let late = self.exceeds(now, age_max, (entered, waiting));
                // One that is larger than the budget goes to a reader for whom nothing waits.
                if late || (waiting > 0 && waiting + bytes > bytes_max) { Fate::Close } else { Fate::Send }
            }
            SlowReader::Latest { bytes_max } if waiting > bytes_max => Fate::Keep,
            SlowReader::Lossy { bytes_max } if waiting > bytes_max => Fate::LeaveOut,
            SlowReader::Latest { .. } | SlowReader::Lossy { .. } => Fate::Send,
        }
    }
}

/// A publication that is kept for a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) offset: u64,
    /// It goes when no more than this waits for the reader.
    pub(crate) bytes_max: usize,
    /// As text, with its place; else as a message of lane 1.
    pub(crate) place: Option<Place>,
    pub(crate) payload: Bytes,
}

/// What is kept for readers of `latest` topics: per reader and topic the newest publication of each key.
#[derive(Debug, Default)]
pub(crate) struct Lagging {
    kept: BTreeMap<(SessionKey, u32), BTreeMap<String, Kept>>,
    look_at: Option<Micros>,
}

impl Lagging {
    /// Keeps a publication in place of an older one of its key; the number of those that are left out for it.
    pub(crate) fn keep(&mut self, now: Micros, reader: (SessionKey, u32), (key, kept): (String, Kept)) -> u64 {
        self.look_at.get_or_insert(now + LOOK_EVERY);
        let keys = self.kept.entry(reader).or_default();
        let mut left_out = u64::from(keys.insert(key, kept).is_some());
        while keys.len() > LATEST_WAITING_MAX {
            let oldest = keys.iter().min_by_key(|(_, kept)| kept.offset).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { break };
            keys.remove(&oldest);
            left_out += 1;
        }
        left_out
    }

    /// Whether something is kept: then what follows is kept too, or it would come first.
    pub(crate) fn holds(&self, reader: (SessionKey, u32)) -> bool {
        self.kept.contains_key(&reader)
    }

    /// Takes what is kept for a reader, in its order.
    pub(crate) fn take(&mut self, reader: (SessionKey, u32)) -> Vec<Kept> {
        let mut kept: Vec<_> = self.kept.remove(&reader).into_iter().flatten().map(|(_, kept)| kept).collect();
        kept.sort_unstable_by_key(|kept| kept.offset);
        kept
    }

    /// Those for whom something is kept, with the bytes that may wait for them, when it is time to look.
    pub(crate) fn poll_look(&mut self, now: Micros) -> Vec<((SessionKey, u32), usize)> {
        if self.look_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.look_at = (!self.kept.is_empty()).then_some(now + LOOK_EVERY);
        let budget = |keys: &BTreeMap<String, Kept>| keys.values().next().map_or(0, |kept| kept.bytes_max);
        self.kept.iter().map(|(reader, keys)| (*reader, budget(keys))).collect()
    }

    pub(crate) fn next_look(&self) -> Option<Micros> {
        self.look_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = Micros::from_secs(1);

    #[test]
    fn a_reliable_reader_has_bytes_and_time() {
        let slow = SlowReader::Reliable { bytes_max: 100, age_max: SECOND };
        let mut lateness = Lateness::default();
        let mut at = |ms: u64, entered, waiting, bytes| {
            lateness.judge(Micros::from_millis(10_000 + ms), slow, (entered, waiting), bytes)
        };
        assert_eq!(at(0, 0, 0, 500), Fate::Send, "nothing waits");
        assert_eq!(at(1, 50, 50, 50), Fate::Send);
        assert_eq!(at(1, 50, 50, 51), Fate::Close);
        assert_eq!(at(900, 80, 40, 10), Fate::Send, "the first 40 have left");
        assert_eq!(at(1_000, 90, 50, 1), Fate::Send);
        assert_eq!(at(1_900, 90, 9, 1), Fate::Send, "what waited 900 ms ago has left");
        assert_eq!(at(2_900, 99, 18, 1), Fate::Send);
        assert_eq!(at(2_901, 99, 18, 1), Fate::Close, "bytes of 1.9 s still wait after 1 s");
    }

    #[test]
    fn the_newest_of_each_key_is_kept_in_order() {
        let (mut lagging, reader) = (Lagging::default(), (SessionKey(1), 7));
        let kept = |offset| Kept { offset, bytes_max: 9, place: None, payload: Bytes::new() };
        let keeps = [("a", 1), ("b", 2), ("a", 3)];
        let left_out: u64 = keeps.map(|(key, n)| lagging.keep(SECOND, reader, (key.to_owned(), kept(n)))).iter().sum();
        assert_eq!(left_out, 1);
        assert!(lagging.holds(reader) && lagging.poll_look(SECOND).is_empty());
        let due = lagging.next_look().unwrap();
        assert_eq!(lagging.poll_look(due), [(reader, 9)]);
        assert_eq!(lagging.take(reader).iter().map(|kept| kept.offset).collect::<Vec<_>>(), [2, 3]);
        assert!(!lagging.holds(reader) && lagging.poll_look(due + LOOK_EVERY).is_empty());
        assert_eq!(lagging.next_look(), None);
        for n in 0..LATEST_WAITING_MAX as u64 + 5 {
            lagging.keep(SECOND, reader, (n.to_string(), kept(n)));
        }
        let kept = lagging.take(reader);
        assert_eq!((kept.len(), kept[0].offset), (LATEST_WAITING_MAX, 5), "the oldest went");
    }
}
