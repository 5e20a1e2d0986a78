//! What leaves the engine.

use std::collections::VecDeque;

use amphi_shared_wire::{Code, Lane};
use bytes::Bytes;
use thiserror::Error;

use crate::{PipeId, Refusal, TopicPosition};

/// What the driver must do or tell, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write one message on a reliable lane of a pipe.
    Frame {
        /// The pipe.
        pipe: PipeId,
        /// 0 to 8.
        lane: Lane,
        /// The payload as it travels (on lane 0 with its kind byte).
        payload: Bytes,
    },
    /// Send one datagram (on an ordered pipe: a frame of lane 63).
    Datagram {
        /// The pipe.
        pipe: PipeId,
        /// Session header, lane and payload.
        bytes: Bytes,
    },
    /// Close a pipe after everything written so far. `handle_pipe_closed` is not expected for it.
    ClosePipe {
        /// The pipe.
        pipe: PipeId,
        /// Why.
        code: Code,
        /// In words, for people.
        message: String,
    },
    /// Something the owner of the session wants to know.
    Event(Event),
}

/// What happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A pipe carries the session.
    Attached {
        /// True when an earlier session goes on.
        resumed: bool,
        /// True when it goes on and everything that either side was told still counts: the client remembers, and no
        /// lane starts anew.
        seamless: bool,
        /// Number of this attach.
        generation: u32,
        /// Server, home session: topics that the client reads, to be subscribed now. At most 64.
        topics: Vec<TopicPosition>,
    },
    /// The session has no pipe any more; it waits for a resume.
    Detached,
    /// Nothing was heard for a while: open a second pipe and resume in parallel (see `Config::path_silent_after`).
    /// Comes again each second while the silence lasts and no dial is under way.
    PathSilent,
    /// A message on a reliable lane. On lane 0 the payload is the `Control` message without its kind byte.
    Message {
        /// 0 to 8.
        lane: Lane,
        /// The message.
        payload: Bytes,
    },
    /// A datagram on lane 16 to 32. On a latest lane older ones than the newest seen are dropped.
    Datagram {
        /// 16 to 32.
        lane: Lane,
        /// The payload.
        payload: Bytes,
    },
    /// A datagram has arrived at the peer and was delivered there.
    Acked {
        /// What `send_datagram` returned.
        seq: u16,
    },
    /// A datagram probably never arrives, or was replaced by a newer one before it left.
    Lost {
        /// What `send_datagram` returned.
        seq: u16,
    },
    /// A lane that answered `Full` takes messages again.
    LaneWritable {
        /// The lane.
        lane: Lane,
    },
    /// Messages of this lane are gone, in one direction or both; both sides say so. The lane goes on empty: whoever
    /// needs the peer to know something sends it again.
    LaneLost {
        /// The lane.
        lane: Lane,
        /// Why.
        code: Code,
    },
    /// The server answered a dial with a refusal. When its code says `stop`, [`Event::Closed`] follows unless another
    /// pipe still carries the session.
    Refused(Refusal),
    /// The session has ended. The last output of a session.
    Closed {
        /// Why.
        code: Code,
        /// In words, for people.
        message: String,
    },
}

/// Outputs that wait to be taken. One has a place without a queue: a ping or its answer costs no memory.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    first: Option<Output>,
    later: VecDeque<Output>,
}

impl Outputs {
    pub(crate) fn push(&mut self, output: Output) {
        if self.is_empty() {
            self.first = Some(output);
        } else {
            self.later.push_back(output);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.first.take().or_else(|| self.later.pop_front())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.later.is_empty()
    }

    /// Gives back the memory of an empty queue.
    pub(crate) fn rest(&mut self) {
        if self.later.is_empty() {
            self.later = VecDeque::new();
        }
    }
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SendError {
    /// Too much waits for acknowledgement; [`Event::LaneWritable`] follows.
    #[error("too much waits on this lane")]
    Full,
    /// Not a reliable lane.
    #[error("there is no such reliable lane")]
    Lane,
    /// The session has ended.
    #[error("the session has ended")]
    Closed,
    /// Longer than a frame, or than a chunk on the bulk lane.
    #[error("the message is longer than the limit of its lane")]
    TooLarge,
}
