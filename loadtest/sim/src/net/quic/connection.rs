//! One end of one connection: lanes on streams, what waits to be written, how it ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use amphi_shared_session::{PipeId, PipeInfo, PipeKind};
use amphi_shared_wire::limits::{DATAGRAM_BYTES_NATIVE_MAX, RING_FRAMES_MAX, SEND_QUEUE_BYTES_MAX};
use amphi_shared_wire::{Code, Lane, Micros, ORDERED_LANES, StreamDecoder, encode_stream_message};
use bytes::Bytes;
use quinn_proto::{
    Connection, ConnectionError, ConnectionHandle, Dir, Event, StreamEvent, StreamId, VarInt, WriteError,
};

use crate::net::pipes::code_of;
use crate::net::{Arrival, End, Overflow};

/// What is queued gets this long to leave when a connection closes, as in `shared/edge`.
const GRACE: Micros = Micros::from_secs(1);

pub(super) struct Carried {
    pipe: PipeId,
    pub(super) who: usize,
    end: End,
    pub(super) handle: ConnectionHandle,
    pub(super) connection: Connection,
    pub(super) timer: Option<Micros>,
    /// Nothing reaches this end any more.
    pub(super) dark: bool,
    /// Bytes of the largest datagram the path takes.
    pub(super) max_datagram: usize,
    lanes: [Outgoing; ORDERED_LANES],
    frames: usize,
    bytes: usize,
    incoming: BTreeMap<StreamId, Incoming>,
    readable: BTreeSet<StreamId>,
    datagrams: bool,
    closing: Option<(Code, Micros)>,
    early: Early,
    /// Client: the node did not take the early data, and nobody has counted that.
    pub(super) is_refused: bool,
    /// Its owner has heard the end, or has left.
    over: bool,
}

/// How the handshake and what is said before its end belong together.
#[derive(Debug, PartialEq, Eq)]
enum Early {
    /// Nothing is said before.
    No,
    /// Client: what was said, until it is known whether the node takes it.
    Says(Vec<(Lane, Bytes)>),
    /// Node: something was heard.
    Heard,
}

#[derive(Default)]
struct Outgoing {
    stream: Option<StreamId>,
    queue: VecDeque<Bytes>,
    finished: bool,
}

#[derive(Default)]
struct Incoming {
    lane: Option<Lane>,
    decoder: StreamDecoder,
}

impl Carried {
    pub(super) fn new(
        pipe: PipeId,
        (who, end): (usize, End),
        handle: ConnectionHandle,
        connection: Connection,
    ) -> Self {
        Self {
            pipe,
            who,
            end,
            handle,
            connection,
            timer: None,
            dark: false,
            max_datagram: 0,
            lanes: Default::default(),
            frames: 0,
            bytes: 0,
            incoming: BTreeMap::new(),
            readable: BTreeSet::new(),
            datagrams: false,
            closing: None,
            early: Early::No,
            is_refused: false,
            over: false,
        }
    }

    /// Client: with a ticket, the pipe is there before the node has answered.
    pub(super) fn begin(&mut self, hear: &mut dyn FnMut(Arrival)) {
        if self.connection.has_0rtt() {
            self.early = Early::Says(Vec::new());
            self.open_lanes();
            self.tell_opened(hear);
        }
    }

    /// Queues a message.
    pub(super) fn push(&mut self, (lane, payload): (Lane, Bytes)) -> Result<(), Overflow> {
        if self.over {
            return Ok(());
        }
        if self.frames >= RING_FRAMES_MAX || self.bytes + payload.len() > SEND_QUEUE_BYTES_MAX {
            return Err(Overflow);
        }
        if let Early::Says(said) = &mut self.early {
            said.push((lane, payload.clone()));
        }
        let mut bytes = Vec::with_capacity(payload.len() + 4);
        encode_stream_message(&payload, &mut bytes);
        self.frames += 1;
        self.bytes += bytes.len();
        self.lanes[usize::from(lane)].queue.push_back(bytes.into());
        Ok(())
    }

    /// Nothing more is heard here; false when that was so before.
    pub(super) fn leave(&mut self) -> bool {
        !std::mem::replace(&mut self.over, true)
    }

    /// Ends the connection when everything queued has arrived, or a second from now.
    pub(super) fn close(&mut self, at: Instant, now: Micros, code: Code) {
        self.over = true;
        let is_unheard = self.connection.is_handshaking() && self.early != Early::Heard;
        if code == Code::SlowReader || is_unheard {
            self.end(at, code);
        } else {
            self.closing.get_or_insert((code, now + GRACE));
        }
    }

    fn end(&mut self, at: Instant, code: Code) {
        self.closing = None;
        self.connection.close(at, VarInt::from_u32(code.number()), Bytes::from_static(code.name().as_bytes()));
    }

    pub(super) fn closes_at(&self) -> Option<Micros> {
        self.closing.map(|(_, at)| at)
    }

    /// Handles events, writes what the transport takes and reads what has arrived.
    pub(super) fn work(&mut self, at: Instant, now: Micros, reads: bool, hear: &mut dyn FnMut(Arrival)) {
        while let Some(event) = self.connection.poll() {
            self.handle_event(event, hear);
        }
        if let Some(size) = self.connection.datagrams().max_size() {
            self.max_datagram = size.min(DATAGRAM_BYTES_NATIVE_MAX);
        }
        self.write();
        if reads
            && !self.over
            && let Err(code) = self.read(hear)
        {
            self.over = true;
            hear(Arrival::Closed(Some(code)));
            self.end(at, code);
        }
        if let Some((code, until)) = self.closing {
            self.finish();
            if until <= now || self.connection.streams().send_streams() == 0 {
                self.end(at, code);
            }
        }
    }

    fn handle_event(&mut self, event: Event, hear: &mut dyn FnMut(Arrival)) {
        match event {
            Event::Connected => self.on_connected(hear),
            Event::Stream(StreamEvent::Opened { dir: Dir::Bi }) => {
                while let Some(stream) = self.connection.streams().accept(Dir::Bi) {
                    self.incoming.insert(stream, Incoming::default());
                    self.readable.insert(stream);
                }
            }
            Event::Stream(StreamEvent::Readable { id }) => drop(self.readable.insert(id)),
            Event::DatagramReceived => self.datagrams = true,
            Event::ConnectionLost { reason } => {
                if self.leave() {
                    hear(Arrival::Closed(code_from(&reason)));
                }
            }
            Event::HandshakeDataReady
            | Event::DatagramsUnblocked
            | Event::Stream(
                StreamEvent::Opened { .. }
                | StreamEvent::Writable { .. }
                | StreamEvent::Finished { .. }
                | StreamEvent::Stopped { .. }
                | StreamEvent::Available { .. },
            ) => {}
        }
    }

    fn on_connected(&mut self, hear: &mut dyn FnMut(Arrival)) {
        match (self.end, std::mem::replace(&mut self.early, Early::No)) {
            (End::Client, Early::Says(said)) => {
                if !self.connection.accepted_0rtt() {
                    self.is_refused = true;
                    self.say_again(said);
                }
            }
            (End::Client, _) => {
                self.open_lanes();
                self.tell_opened(hear);
            }
            (End::Server, Early::Heard) => hear(Arrival::Confirmed),
            (End::Server, _) => {}
        }
    }

    /// The node has not taken the early data: it has forgotten the streams too.
    fn say_again(&mut self, said: Vec<(Lane, Bytes)>) {
        self.lanes = Default::default();
        self.incoming.clear();
        self.readable.clear();
        (self.frames, self.bytes) = (0, 0);
        self.open_lanes();
        for message in said {
            self.push(message).unwrap_or_else(|_| unreachable!("a client says little before it is welcome"));
        }
    }

    /// One stream per lane, which starts with the lane's number.
    fn open_lanes(&mut self) {
        for (lane, outgoing) in self.lanes.iter_mut().enumerate() {
            let Some(stream) = self.connection.streams().open(Dir::Bi) else { continue };
            outgoing.stream = Some(stream);
            outgoing.queue.push_front(Bytes::from(vec![lane as u8]));
            self.bytes += 1;
            self.frames += 1;
            self.incoming.insert(stream, Incoming { lane: Some(lane as Lane), ..Incoming::default() });
        }
    }

    fn tell_opened(&mut self, hear: &mut dyn FnMut(Arrival)) {
        if self.over {
            return;
        }
        let largest = self.connection.datagrams().max_size().unwrap_or(0).min(DATAGRAM_BYTES_NATIVE_MAX);
        hear(Arrival::Opened(PipeInfo { id: self.pipe, kind: PipeKind::Streams, max_datagram: largest, early: false }));
    }

    fn write(&mut self) {
        for outgoing in &mut self.lanes {
            let Some(stream) = outgoing.stream else { continue };
            while let Some(front) = outgoing.queue.front_mut() {
                match self.connection.send_stream(stream).write(front) {
                    Ok(written) => {
                        self.bytes -= written;
                        drop(front.split_to(written));
                        if front.is_empty() {
                            outgoing.queue.pop_front();
                            self.frames -= 1;
                        }
                    }
                    Err(WriteError::Blocked) => break,
                    Err(WriteError::Stopped(_) | WriteError::ClosedStream) => {
                        self.bytes -= outgoing.queue.iter().map(Bytes::len).sum::<usize>();
                        self.frames -= outgoing.queue.len();
                        outgoing.queue.clear();
                    }
                }
            }
        }
    }

    /// Ends each stream behind what was queued on it.
    fn finish(&mut self) {
        for outgoing in &mut self.lanes {
            let Some(stream) = outgoing.stream else { continue };
            if outgoing.queue.is_empty() && !std::mem::replace(&mut outgoing.finished, true) {
                // A stream that the other side has stopped is finished too.
                let _ = self.connection.send_stream(stream).finish();
            }
        }
    }

    fn read(&mut self, hear: &mut dyn FnMut(Arrival)) -> Result<(), Code> {
        let is_early = self.end == End::Server && self.connection.is_handshaking();
        while let Some(id) = self.readable.pop_first() {
            let Some(incoming) = self.incoming.get_mut(&id) else { continue };
            let mut stream = self.connection.recv_stream(id);
            let Ok(mut chunks) = stream.read(true) else { continue };
            while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
                let mut bytes = chunk.bytes;
                let lane = *incoming.lane.get_or_insert_with(|| bytes.split_to(1)[0]);
                let outgoing = self.lanes.get_mut(usize::from(lane)).ok_or(Code::LaneInvalid)?;
                outgoing.stream.get_or_insert(id);
                incoming.decoder.push(&bytes);
                while let Some(payload) = incoming.decoder.poll().map_err(code_of)? {
                    if is_early {
                        self.early = Early::Heard;
                    }
                    hear(Arrival::Frame(lane, payload));
                }
            }
            // What it asks for leaves with the next packets anyway.
            let _ = chunks.finalize();
        }
        if std::mem::take(&mut self.datagrams) {
            while let Some(bytes) = self.connection.datagrams().recv() {
                hear(Arrival::Datagram(bytes));
            }
        }
        // A lane whose stream has just become known may have something to say.
        self.write();
        Ok(())
    }
}

/// The code the other side closed with, when it named one of ours.
fn code_from(reason: &ConnectionError) -> Option<Code> {
    match reason {
        ConnectionError::ApplicationClosed(close) => {
            Code::from_number(u32::try_from(close.error_code.into_inner()).ok()?)
        }
        ConnectionError::TimedOut => Some(Code::Silent),
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::Reset
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => None,
    }
}
