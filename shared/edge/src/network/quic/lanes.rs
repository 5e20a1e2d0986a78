//! The streams of a connection: one bidirectional stream per reliable lane, opened by the client; or a single one that
//! is an ordered pipe for all lanes and datagrams, as a relay opens it for a WebSocket.

use std::collections::VecDeque;

use amphi_shared_session::PipeKind;
use amphi_shared_wire::limits::{HELLO_BYTES_MAX, ORDERED_DATAGRAMS_WAITING_MAX};
use amphi_shared_wire::{
    Code, LANE_BULK, LANE_CONTROL, LANE_DATAGRAM, LANE_PIPE, Lane, ORDERED_LANES, StreamDecoder, decode_pipe_frame,
    encode_varint,
};
use bytes::Bytes;
use quinn_proto::{Connection, Dir, FinishError, ReadError, StreamId, WriteError};

use super::http3;
use crate::network::Outlet;
use crate::network::code_of;

/// Answers to clock probes that wait on a lane; a client compares no more of them.
const ANSWERS_MAX: usize = 4;
/// Bytes taken from a stream at a time.
const READ_BYTES_MAX: usize = 16 * 1024;

/// The lanes of one connection.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: Vec<LaneStream>,
    /// Streams of the other side whose lane has not arrived yet.
    unnamed: Vec<Unnamed>,
}

struct LaneStream {
    lane: Lane,
    /// None: the client has not opened it yet, though there is something to say on it.
    stream: Option<StreamId>,
    decoder: StreamDecoder,
    is_readable: bool,
    queue: VecDeque<Queued>,
    writing: Option<Writing>,
    output: Output,
}

/// A message that waits.
struct Queued {
    /// On an ordered pipe: stands before the payload.
    lane: Option<Lane>,
    payload: Bytes,
    /// The answer to a clock probe: the thread's own.
    is_answer: bool,
}

impl Queued {
    fn is_datagram(&self) -> bool {
        self.lane == Some(LANE_DATAGRAM)
    }

    /// It has left, or was dropped.
    fn left(&self, outlet: &Outlet) {
        // The outlet has forgotten a datagram when it was taken, and never heard of an answer.
        if !self.is_datagram() && !self.is_answer {
            outlet.frames_left(1, self.payload.len());
        }
    }
}

/// The message that the transport takes now.
struct Writing {
    /// Header and payload, as far as they have not left.
    left: [Bytes; 2],
    message: Queued,
}

impl Writing {
    fn new(message: Queued) -> Self {
        let mut header = Vec::with_capacity(5);
        encode_varint((message.payload.len() + usize::from(message.lane.is_some())) as u64, &mut header);
        header.extend(message.lane);
        Self { left: [header.into(), message.payload.clone()], message }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Open,
    /// The end is queued; the other side has not acknowledged all of it.
    Finishing,
    /// Everything was acknowledged, or the other side wants no more.
    Done,
}

struct Unnamed {
    stream: StreamId,
    head: Vec<u8>,
    is_readable: bool,
}

impl Lanes {
    /// The other side has opened a stream.
    pub(super) fn opened(&mut self, stream: StreamId) {
        self.unnamed.push(Unnamed { stream, head: Vec::new(), is_readable: true });
    }

    /// Opens a lane from this side. `head` is what HTTP/3 wants before the lane.
    pub(super) fn open(&mut self, quic: &mut Connection, lane: Lane, head: &[u8]) -> Result<(), WriteError> {
        let stream = quic.streams().open(Dir::Bi).ok_or(WriteError::Blocked)?;
        let head = [head, &[lane]].concat();
        if quic.send_stream(stream).write(&head)? < head.len() {
            return Err(WriteError::Blocked);
        }
        self.lane(lane).start(quic, stream);
        Ok(())
    }

    /// Whether the stream belongs here; it is read the next time.
    pub(super) fn on_readable(&mut self, stream: StreamId) -> bool {
        let lane = self.lanes.iter_mut().filter(|lane| lane.stream == Some(stream)).map(|lane| &mut lane.is_readable);
        let unnamed = self.unnamed.iter_mut().filter(|unnamed| unnamed.stream == stream);
        match lane.chain(unnamed.map(|unnamed| &mut unnamed.is_readable)).next() {
            Some(is_readable) => {
                *is_readable = true;
                true
            }
            None => false,
        }
    }

    /// Everything sent on the stream was acknowledged, or the other side wants no more of it.
    pub(super) fn on_ended(&mut self, stream: StreamId, outlet: &Outlet) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.stream == Some(stream)) {
            lane.stop(outlet);
        }
    }

    /// Reads the lanes of new streams. `web` says whether HTTP/3 stands before them.
    pub(super) fn name(&mut self, quic: &mut Connection, web: bool) -> Result<(), Code> {
        let mut i = 0;
        while let Some(unnamed) = self.unnamed.get_mut(i) {
            let head = unnamed.read(quic, web);
            let stream = unnamed.stream;
            match head {
                Head::More => {
                    i += 1;
                    continue;
                }
                Head::Lane(lane) if usize::from(lane) >= ORDERED_LANES && lane != LANE_PIPE => {
                    return Err(Code::LaneInvalid);
                }
                Head::Lane(lane) => {
                    // An ordered pipe is alone.
                    let is_free = |l: &LaneStream| l.stream.is_none() || (l.lane != lane && l.lane != LANE_PIPE);
                    if !self.lanes.iter().all(is_free) || (lane == LANE_PIPE && !self.lanes.is_empty()) {
                        return Err(Code::LaneInvalid);
                    }
                    self.lane(lane).start(quic, stream);
                }
                Head::Other => http3::reject(quic, stream),
                Head::Gone => {}
            }
            self.unnamed.swap_remove(i);
        }
        if self.unnamed.is_empty() {
            self.unnamed = Vec::new();
        }
        Ok(())
    }

    /// The first message of lane 0, once it is whole.
    pub(super) fn hello(&mut self, quic: &mut Connection) -> Result<Option<Bytes>, Code> {
        let Some(control) = self.lanes.iter_mut().find(|lane| matches!(lane.lane, LANE_CONTROL | LANE_PIPE)) else {
            return Ok(None);
        };
        let first = control.read(quic)?;
        if control.lane == LANE_PIPE
            && let Some(frame) = first
        {
            return match decode_pipe_frame(frame) {
                Ok((LANE_CONTROL, first)) => Ok(Some(first)),
                Ok(_) | Err(_) => Err(Code::HandshakeInvalid),
            };
        }
        // A longer one is refused by its length alone.
        if first.is_none() && control.decoder.buffered() > HELLO_BYTES_MAX {
            return Err(Code::FrameTooLarge);
        }
        Ok(first)
    }

    /// The next message of any lane; on an ordered pipe also of [`LANE_DATAGRAM`].
    pub(super) fn next(&mut self, quic: &mut Connection) -> Result<Option<(Lane, Bytes)>, Code> {
        for lane in &mut self.lanes {
            if let Some(payload) = lane.read(quic)? {
                return match lane.lane {
                    LANE_PIPE => decode_pipe_frame(payload).map(Some).map_err(code_of),
                    lane => Ok(Some((lane, payload))),
                };
            }
        }
        Ok(None)
    }

    /// Queues a message.
    pub(super) fn push(&mut self, lane: Lane, payload: Bytes, outlet: &Outlet) {
        let (lane, message) = self.aim(lane, payload, false);
        if lane.output == Output::Open {
            lane.queue.push_back(message);
        } else {
            message.left(outlet);
        }
    }

    /// Queues the answer to a clock probe. Who asks and does not read gets no more than a few.
    pub(super) fn push_answer(&mut self, payload: Bytes) {
        let (lane, message) = self.aim(LANE_CONTROL, payload, true);
        let waiting = lane.queue.iter().filter(|message| message.is_answer).count();
        if lane.output == Output::Open && waiting < ANSWERS_MAX {
            lane.queue.push_back(message);
        }
    }

    /// Queues a datagram on the ordered pipe. False: an older one had to go for it, or there is no such pipe.
    pub(super) fn push_datagram(&mut self, payload: Bytes) -> bool {
        let Some(pipe) = self.pipe().filter(|pipe| pipe.output == Output::Open) else {
            return false;
        };
        let mut datagrams = (0..pipe.queue.len()).filter(|at| pipe.queue[*at].is_datagram());
        let oldest = datagrams.next().filter(|_| datagrams.count() + 1 >= ORDERED_DATAGRAMS_WAITING_MAX);
        if let Some(oldest) = oldest {
            pipe.queue.remove(oldest);
        }
        pipe.queue.push_back(Queued { lane: Some(LANE_DATAGRAM), payload, is_answer: false });
        oldest.is_none()
    }

    /// Whether lanes are independent of each other.
    pub(super) fn kind(&self) -> PipeKind {
        if self.lanes.iter().any(|lane| lane.lane == LANE_PIPE) { PipeKind::Ordered } else { PipeKind::Streams }
    }

    /// Gives the transport what it takes.
    pub(super) fn write(&mut self, quic: &mut Connection, outlet: &Outlet) {
        for lane in &mut self.lanes {
            lane.write(quic, outlet);
        }
    }

    /// Ends what is written out. True when the other side has acknowledged all of it.
    pub(super) fn finish(&mut self, quic: &mut Connection) -> bool {
        let mut is_done = true;
        for lane in self.lanes.iter_mut().filter(|lane| lane.stream.is_some()) {
            lane.finish(quic);
            is_done &= lane.output == Output::Done;
        }
        is_done
    }

    /// Drops what is queued.
    pub(super) fn clear(&mut self, outlet: &Outlet) {
        self.lanes.iter_mut().for_each(|lane| lane.stop(outlet));
        self.unnamed.clear();
    }

    /// Where a message of a lane goes, and as what.
    fn aim(&mut self, lane: Lane, payload: Bytes, is_answer: bool) -> (&mut LaneStream, Queued) {
        let is_pipe = self.kind() == PipeKind::Ordered;
        let stream = self.lane(if is_pipe { LANE_PIPE } else { lane });
        (stream, Queued { lane: is_pipe.then_some(lane), payload, is_answer })
    }

    /// The ordered pipe, when it is one.
    fn pipe(&mut self) -> Option<&mut LaneStream> {
        self.lanes.iter_mut().find(|lane| lane.lane == LANE_PIPE)
    }

    fn lane(&mut self, lane: Lane) -> &mut LaneStream {
        let i = self.lanes.iter().position(|l| l.lane == lane).unwrap_or_else(|| {
            // Most connections have two for hours: room for more would be most of what they cost.
            self.lanes.reserve_exact(1);
            self.lanes.push(LaneStream::new(lane));
            self.lanes.len() - 1
        });
        &mut self.lanes[i]
    }
}

impl LaneStream {
    fn new(lane: Lane) -> Self {
        Self {
            lane,
            stream: None,
            decoder: if lane == LANE_PIPE { StreamDecoder::of_pipe() } else { StreamDecoder::new() },
            is_readable: false,
            queue: VecDeque::new(),
            writing: None,
            output: Output::Open,
        }
    }

    fn start(&mut self, quic: &mut Connection, stream: StreamId) {
        self.stream = Some(stream);
        self.is_readable = true;
        if self.lane == LANE_BULK {
            // An error only says that the other side stopped the stream already.
            let _ = quic.send_stream(stream).set_priority(-1);
        }
    }

    fn read(&mut self, quic: &mut Connection) -> Result<Option<Bytes>, Code> {
        let Some(stream) = self.stream else {
            return Ok(None);
        };
        loop {
            if let Some(payload) = self.decoder.poll().map_err(code_of)? {
                return Ok(Some(payload));
            }
            if !self.is_readable {
                self.decoder.rest();
                return Ok(None);
            }
            match read_chunk(quic, stream, READ_BYTES_MAX) {
                Chunk::Bytes(bytes) => self.decoder.push(&bytes),
                Chunk::Later | Chunk::End => self.is_readable = false,
            }
        }
    }

    fn write(&mut self, quic: &mut Connection, outlet: &Outlet) {
        let Some(stream) = self.stream else {
            return;
        };
        while let Some(mut writing) = self.writing.take().or_else(|| self.queue.pop_front().map(Writing::new)) {
            let written = quic.send_stream(stream).write_chunks(&mut writing.left);
            if writing.left.iter().all(Bytes::is_empty) {
                writing.message.left(outlet);
            } else {
                self.writing = Some(writing);
            }
            match written {
                Ok(_) => {}
                Err(WriteError::Blocked) => return,
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => return self.stop(outlet),
            }
        }
    }

    fn finish(&mut self, quic: &mut Connection) {
        let is_written = self.queue.is_empty() && self.writing.is_none();
        let Some(stream) = self.stream.filter(|_| is_written && self.output == Output::Open) else {
            return;
        };
        self.output = match quic.send_stream(stream).finish() {
            Ok(()) => Output::Finishing,
            Err(FinishError::Stopped(_) | FinishError::ClosedStream) => Output::Done,
        };
    }

    fn stop(&mut self, outlet: &Outlet) {
        self.output = Output::Done;
        if let Some(writing) = self.writing.take() {
            writing.message.left(outlet);
        }
        self.queue.drain(..).for_each(|message| message.left(outlet));
    }
}

/// What a stream says about itself.
enum Head {
    /// Not all of it has arrived.
    More,
    Lane(Lane),
    /// Nothing of ours.
    Other,
    /// The other side gave it up.
    Gone,
}

impl Unnamed {
    fn read(&mut self, quic: &mut Connection, web: bool) -> Head {
        while self.is_readable {
            // One byte at a time, so that the rest stays with the transport.
            match read_chunk(quic, self.stream, 1) {
                Chunk::Bytes(byte) => self.head.extend_from_slice(&byte),
                Chunk::Later => self.is_readable = false,
                Chunk::End => return Head::Gone,
            }
            let rest = if web { http3::after_stream_head(&self.head) } else { Ok(Some(&self.head[..])) };
            match rest {
                Ok(Some([lane, ..])) => return Head::Lane(*lane),
                Ok(Some([]) | None) => {}
                Err(http3::NotOurs) => return Head::Other,
            }
        }
        Head::More
    }
}

/// A piece of a stream.
pub(super) enum Chunk {
    Bytes(Bytes),
    /// There will be an event when there is more.
    Later,
    /// Finished, or given up by the other side.
    End,
}

/// The next bytes of a stream, at most `bytes_max`.
pub(super) fn read_chunk(quic: &mut Connection, stream: StreamId, bytes_max: usize) -> Chunk {
    let mut stream = quic.recv_stream(stream);
    let Ok(mut chunks) = stream.read(true) else {
        return Chunk::End;
    };
    let chunk = match chunks.next(bytes_max) {
        Ok(Some(chunk)) => Chunk::Bytes(chunk.bytes),
        Err(ReadError::Blocked) => Chunk::Later,
        Ok(None) | Err(ReadError::Reset(_)) => Chunk::End,
    };
    // The connection is asked for packets after every read.
    let _ = chunks.finalize();
    chunk
}
