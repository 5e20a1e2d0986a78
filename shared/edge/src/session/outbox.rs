//! What waits to be sent on one connection: a bounded queue per pipe that never blocks who fills it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amphi_shared_wire::limits::{DATAGRAM_BYTES_NATIVE_MAX, RING_FRAMES_MAX, SEND_QUEUE_BYTES_MAX};
use amphi_shared_wire::{Code, LANE_DATAGRAM, Lane, ORDERED_LANES};
use bytes::Bytes;
use thiserror::Error;
use tokio::sync::Notify;

use crate::counters::{Counters, Refused};
use crate::network::Outlet;

/// Bytes that a writer takes at a time.
const BATCH_BYTES_MAX: usize = 64 * 1024;

/// The queue towards a connection is full: the client reads too slowly. Its owner closes it with `SlowReader`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the client reads too slowly")]
pub struct Overflow;

/// The sending half of a connection, shared by its owner and its network task.
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// One per queue: something to write, or the end.
    filled: Vec<Notify>,
    closing: Notify,
    counters: Counters,
}

struct State {
    /// One per lane, or a single one on an ordered pipe.
    queues: Vec<VecDeque<(Lane, Bytes)>>,
    frames: usize,
    bytes: usize,
    close: Option<(Code, String)>,
    gone: bool,
}

/// What a writer is to do next.
pub(crate) enum Next {
    /// Write these, then report them with [`Outbox::written`].
    Write(Vec<(Lane, Bytes)>),
    /// Nothing more will come.
    End,
}

impl Outbox {
    pub(crate) fn new(counters: Counters) -> Arc<Self> {
        let queues = 1;
        let state = State { queues: vec![VecDeque::new(); queues], frames: 0, bytes: 0, close: None, gone: false };
        let filled = (0..queues).map(|_| Notify::new()).collect();
        Arc::new(Self { state: Mutex::new(state), filled, closing: Notify::new(), counters })
    }

    /// Waits for frames of `queue` (the lane; 0 on an ordered pipe).
    pub(crate) async fn next(&self, queue: usize) -> Next {
        loop {
            let filled = self.filled[queue].notified();
            {
                let mut state = self.lock();
                let hurried = state.close.as_ref().is_some_and(|(code, _)| *code == Code::SlowReader);
                if state.gone || hurried {
                    return Next::End;
                }
                let batch = take_batch(&mut state.queues[queue]);
                if !batch.is_empty() {
                    return Next::Write(batch);
                }
                if state.close.is_some() {
                    return Next::End;
                }
            }
            filled.await;
        }
    }

    /// The transport has taken these frames.
    pub(crate) fn written(&self, batch: &[(Lane, Bytes)]) {
        let mut state = self.lock();
        state.frames -= batch.len();
        state.bytes -= batch.iter().map(|(_, payload)| payload.len()).sum::<usize>();
    }

    /// Waits until the owner closes the pipe; the code and words to close it with.
    pub(crate) async fn closed_by_owner(&self) -> (Code, String) {
        loop {
            let closing = self.closing.notified();
            if let Some(close) = self.lock().close.clone() {
                return close;
            }
            closing.await;
        }
    }

    /// The connection is gone: what is queued or comes yet is dropped.
    pub(crate) fn gone(&self) {
        let mut state = self.lock();
        state.gone = true;
        state.queues.iter_mut().for_each(VecDeque::clear);
        drop(state);
        self.wake();
    }

    pub(crate) fn max_datagram(&self) -> usize {
        DATAGRAM_BYTES_NATIVE_MAX
    }

    fn push(&self, lane: Lane, payload: Bytes) -> Result<(), Overflow> {
        let mut state = self.lock();
        if state.gone || state.close.is_some() {
            return Ok(());
        }
        if state.frames >= RING_FRAMES_MAX || state.bytes + payload.len() > SEND_QUEUE_BYTES_MAX {
            return Err(Overflow);
        }
        state.frames += 1;
        state.bytes += payload.len();
        let queue = if state.queues.len() == 1 { 0 } else { usize::from(lane) };
        state.queues[queue].push_back((lane, payload));
        drop(state);
        self.filled[queue].notify_one();
        Ok(())
    }

    fn close(&self, code: Code, message: &str) {
        self.lock().close.get_or_insert_with(|| (code, message.to_owned()));
        self.wake();
    }

    fn wake(&self) {
        self.closing.notify_one();
        self.filled.iter().for_each(Notify::notify_one);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, so a poisoned one is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The owner's end of a connection: sends, closes, never blocks. Dropping it closes the connection with `Bye`.
pub struct PipeHandle {
    way: Way,
}

enum Way {
    /// tokio tasks carry the connection.
    Tasks(Arc<Outbox>),
    /// A network thread carries it.
    Thread(Arc<Outlet>),
}

impl PipeHandle {
    pub(crate) fn new(outbox: Arc<Outbox>) -> Self {
        Self { way: Way::Tasks(outbox) }
    }

    pub(crate) fn of_thread(outlet: Arc<Outlet>) -> Self {
        Self { way: Way::Thread(outlet) }
    }

    /// Queues a message on a reliable lane, 0 to 8. On a connection that is gone it does nothing; its owner hears
    /// `Closed`.
    ///
    /// # Errors
    /// The queue is full.
    ///
    /// # Panics
    /// `lane` is no reliable lane.
    pub fn frame(&self, lane: Lane, payload: Bytes) -> Result<(), Overflow> {
        assert!(usize::from(lane) < ORDERED_LANES, "lane {lane} has no ordered pipe");
        match &self.way {
            Way::Tasks(outbox) => outbox.push(lane, payload),
            Way::Thread(outlet) => outlet.frame(lane, payload),
        }
    }

    /// Sends a datagram, session header included. One that the path cannot take now is dropped and counted.
    pub fn datagram(&self, bytes: Bytes) {
        let outbox = match &self.way {
            Way::Tasks(outbox) => outbox,
            Way::Thread(outlet) => return outlet.datagram(bytes),
        };
        if outbox.push(LANE_DATAGRAM, bytes).is_err() {
            outbox.counters.count(Refused::DatagramOut);
        }
    }

    /// Closes the connection after what is queued (within a second; at once with `SlowReader`). The first call counts.
    pub fn close(&self, code: Code, message: &str) {
        if code == Code::SlowReader {
            self.counters().count(Refused::SlowReader);
        }
        self.end(code, message);
    }

    /// Bytes of the largest datagram the path takes now, session header included; 0 when it takes none.
    pub fn max_datagram(&self) -> usize {
        match &self.way {
            Way::Tasks(outbox) => outbox.max_datagram(),
            Way::Thread(outlet) => outlet.max_datagram(),
        }
    }

    /// Bytes that congestion control would let leave now, as of the last packet; on a WebSocket it is not known and
    /// there is no limit. What a room sends beyond it waits, and old datagrams are dropped.
    pub fn window_room(&self) -> usize {
        match &self.way {
            Way::Tasks(_) => usize::MAX,
            Way::Thread(outlet) => outlet.window_room(),
        }
    }

    /// Smoothed round-trip time of the transport, µs; 0 while it is not known.
    pub fn rtt_us(&self) -> u32 {
        match &self.way {
            Way::Tasks(_) => 0,
            Way::Thread(outlet) => outlet.rtt_us(),
        }
    }

    /// Bytes of reliable messages that the transport has not taken yet.
    pub fn queued_bytes(&self) -> usize {
        match &self.way {
            Way::Tasks(outbox) => outbox.lock().bytes,
            Way::Thread(outlet) => outlet.queued_bytes(),
        }
    }

    fn counters(&self) -> &Counters {
        match &self.way {
            Way::Tasks(outbox) => &outbox.counters,
            Way::Thread(outlet) => outlet.counters(),
        }
    }

    fn end(&self, code: Code, message: &str) {
        match &self.way {
            Way::Tasks(outbox) => outbox.close(code, message),
            Way::Thread(outlet) => outlet.close(code, message),
        }
    }
}

impl Drop for PipeHandle {
    fn drop(&mut self) {
        self.end(Code::Bye, "");
    }
}

impl fmt::Debug for PipeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PipeHandle({} bytes queued)", self.queued_bytes())
    }
}

fn take_batch(queue: &mut VecDeque<(Lane, Bytes)>) -> Vec<(Lane, Bytes)> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH_BYTES_MAX
        && let Some((lane, payload)) = queue.pop_front()
    {
        bytes += payload.len();
        batch.push((lane, payload));
    }
    batch
}
