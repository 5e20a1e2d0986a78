//! What a topic remembers: the newest publications, bounded by count, bytes and age, and the entries of its state.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::{HISTORY_BYTES_MAX, STATE_ENTRIES_MAX};
use bytes::Bytes;

use crate::payload::FLAG_KEYFRAME;
use crate::{EntryChange, HistoryKind, HistoryLimits, Record};

/// One remembered publication.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// As readers get it, once one of them needed it again.
    pub(crate) frame: OnceCell<Bytes>,
    /// The same as text.
    pub(crate) text: OnceCell<Bytes>,
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        Self { record, frame: OnceCell::new(), text: OnceCell::new() }
    }
}

/// The newest publications of one topic, with consecutive offsets, and the newest one of each entry.
#[derive(Debug)]
pub(crate) struct History {
    limits: HistoryLimits,
    entries: VecDeque<Entry>,
    bytes: usize,
    state: BTreeMap<String, Entry>,
    state_bytes: usize,
}

impl History {
    pub(crate) fn new(limits: HistoryLimits) -> Self {
        Self { limits, entries: VecDeque::new(), bytes: 0, state: BTreeMap::new(), state_bytes: 0 }
    }

    /// Whether a publication that changes this entry would still fit.
    pub(crate) fn has_room(&self, change: Option<&EntryChange>, bytes: usize) -> bool {
        let is_state = self.limits.kind == HistoryKind::State;
        let Some(change) = change.filter(|change| is_state && !change.removes) else { return true };
        let (count, freed) = match self.state.get(&change.key) {
            Some(old) => (self.state.len(), old.record.payload.len()),
            None => (self.state.len() + 1, 0),
        };
        count <= STATE_ENTRIES_MAX && self.state_bytes + bytes - freed <= HISTORY_BYTES_MAX
    }

    /// Remembers a publication; the number of older ones that had to go because of a limit.
    pub(crate) fn push(&mut self, record: Record) -> u64 {
        if self.limits.kind == HistoryKind::Keyframes && record.flags & FLAG_KEYFRAME != 0 {
            self.entries.clear();
            self.bytes = 0;
        }
        self.keep_state(&record);
        let now = record.at;
        self.bytes += record.payload.len();
        self.entries.push_back(record.into());
        self.expire(now)
    }

    /// Forgets what is beyond a limit at `now`; the number of publications.
    pub(crate) fn expire(&mut self, now: Micros) -> u64 {
        let mut dropped = 0;
        while let Some(oldest) = self.entries.front() {
            let fits = self.entries.len() <= self.limits.messages_max && self.bytes <= self.limits.bytes_max;
            if fits && now.since(oldest.record.at) <= self.limits.age {
                break;
            }
            self.bytes -= oldest.record.payload.len();
            self.entries.pop_front();
            dropped += 1;
        }
        dropped
    }

    /// Takes an entry of a state that was read as a whole.
    pub(crate) fn keep_state(&mut self, record: &Record) {
        let is_state = self.limits.kind == HistoryKind::State;
        let Some(EntryChange { key, removes }) = record.entry.as_ref().filter(|_| is_state) else { return };
        let old = if *removes {
            self.state.remove(key)
        } else {
            self.state_bytes += record.payload.len();
            self.state.insert(key.clone(), record.clone().into())
        };
        self.state_bytes -= old.map_or(0, |old| old.record.payload.len());
    }

    /// Everything after `offset` up to `newest`, or `None` when some of it is gone.
    pub(crate) fn after(&self, offset: u64, newest: u64) -> Option<Vec<&Entry>> {
        if offset >= newest {
            return (offset == newest).then(Vec::new);
        }
        let first = self.entries.front()?.record.offset;
        let skip = usize::try_from((offset + 1).checked_sub(first)?).ok()?;
        Some(self.entries.iter().skip(skip).collect())
    }

    /// What a reader without a position sees: the last `messages`, everything from the newest keyframe on, or the state.
    pub(crate) fn newcomer(&self, messages: usize) -> Vec<&Entry> {
        let skip = match self.limits.kind {
            // Frames that build on a keyframe which is gone are useless to a newcomer.
            HistoryKind::Keyframes => {
                let keyframe = |entry: &Entry| entry.record.flags & FLAG_KEYFRAME != 0;
                self.entries.iter().position(keyframe).unwrap_or(self.entries.len())
            }
            HistoryKind::Stream => self.entries.len().saturating_sub(messages),
            HistoryKind::State => {
                let mut state: Vec<_> = self.state.values().collect();
                state.sort_unstable_by_key(|entry| entry.record.offset);
                return state;
            }
        };
        self.entries.iter().skip(skip).take(messages).collect()
    }

    /// Everything of history, and of state, as a broker tells it.
    pub(crate) fn all(&self) -> (Vec<Record>, Vec<Record>) {
        let records = self.entries.iter().map(|entry| entry.record.clone()).collect();
        let mut state: Vec<_> = self.state.values().map(|entry| entry.record.clone()).collect();
        state.sort_unstable_by_key(|record| record.offset);
        (records, state)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.state.is_empty()
    }
}

#[cfg(test)]
mod tests;
