//! What a topic remembers: the newest publications, bounded by count and bytes.

use std::cell::OnceCell;
use std::collections::VecDeque;

use bytes::Bytes;

use crate::HistoryLimits;

/// One remembered publication.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) offset: u64,
    keyframe: bool,
    pub(crate) bytes: Bytes,
    /// The same as text, once somebody needed it.
    pub(crate) text: OnceCell<Bytes>,
}

/// The newest publications of one topic, with consecutive offsets.
#[derive(Debug)]
pub(crate) struct History {
    limits: HistoryLimits,
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl History {
    pub(crate) fn new(limits: HistoryLimits) -> Self {
        Self { limits, entries: VecDeque::new(), bytes: 0 }
    }

    /// Remembers a publication; the number of older ones that had to go because of a limit.
    pub(crate) fn push(&mut self, offset: u64, keyframe: bool, bytes: Bytes) -> u64 {
        if self.limits.keyframes && keyframe {
            self.entries.clear();
            self.bytes = 0;
        }
        self.bytes += bytes.len();
        self.entries.push_back(Entry { offset, keyframe, bytes, text: OnceCell::new() });
        let mut dropped = 0;
        while self.entries.len() > self.limits.messages_max || self.bytes > self.limits.bytes_max {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.bytes.len();
            dropped += 1;
        }
        dropped
    }

    /// Everything after `offset` up to `newest`, or `None` when some of it is gone.
    pub(crate) fn after(&self, offset: u64, newest: u64) -> Option<Vec<&Entry>> {
        if offset >= newest {
            return (offset == newest).then(Vec::new);
        }
        let first = self.entries.front()?.offset;
        let skip = usize::try_from((offset + 1).checked_sub(first)?).ok()?;
        Some(self.entries.iter().skip(skip).collect())
    }

    /// What a reader without a position sees: the last `messages`, or everything from the newest keyframe on.
    pub(crate) fn newcomer(&self, messages: usize) -> Vec<&Entry> {
        let skip = if self.limits.keyframes {
            // Frames that build on a keyframe which is gone are useless to a newcomer.
            self.entries.iter().position(|entry| entry.keyframe).unwrap_or(self.entries.len())
        } else {
            self.entries.len().saturating_sub(messages)
        };
        self.entries.iter().skip(skip).take(messages).collect()
    }

    /// The newest publication that is remembered.
    pub(crate) fn newest(&self) -> Option<&Entry> {
        self.entries.back()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests;
