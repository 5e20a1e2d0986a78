//! A model of pipes: bytes through the real framing, in chunks that stall, are cut anywhere, or vanish.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use amphi_shared_session::{PipeId, PipeInfo, PipeKind};
use amphi_shared_wire::limits::{DATAGRAM_BYTES_NATIVE_MAX, RING_FRAMES_MAX, SEND_QUEUE_BYTES_MAX};
use amphi_shared_wire::{
    Code, FrameError, LANE_CONTROL, LANE_DATAGRAM, Lane, Micros, ORDERED_LANES, Rng, Seed, StreamDecoder,
    decode_pipe_frame, encode_pipe_frame, encode_stream_message,
};
use bytes::Bytes;

use super::{Arrival, End, LATE_MAX, Link, Net, Overflow, Strike};
use crate::Faults;

/// Datagrams that wait for a reader that pauses; older ones are dropped.
const UNREAD_MAX: usize = 16;
/// One write in so many is cut into two chunks, which arrive apart.
const CUT_ONE_IN: u64 = 8;

/// The pipes of all clients.
pub(crate) struct Pipes {
    seed: Seed,
    paths: Vec<Path>,
    pipes: BTreeMap<PipeId, Pipe>,
    made: u32,
    under_way: BinaryHeap<Reverse<Parcel>>,
    parcels: u64,
    /// Messages that arrived with one chunk.
    ready: VecDeque<(PipeId, End, Arrival)>,
    stormy: bool,
}

/// Between one client and the node.
struct Path {
    link: Link,
    black_until: Micros,
    stalled_until: Micros,
    /// By end.
    paused_until: [Micros; 2],
    newest: Option<PipeId>,
    /// Counts addresses; datagrams to an older one are lost.
    address: u32,
    /// What was said last in early data.
    early: Option<Bytes>,
}

struct Pipe {
    who: usize,
    info: PipeInfo,
    /// Of a pipe with early data: when the handshake is over. Only what was said first arrives before.
    confirmed_at: Option<Micros>,
    said_first: bool,
    rng: Rng,
    /// By the end they lead to.
    ways: [Way; 2],
}

/// One direction.
struct Way {
    streams: [Stream; ORDERED_LANES],
    /// Frames and bytes that have not arrived.
    frames: usize,
    bytes: usize,
    newest_datagram: Micros,
    unread: usize,
    dark: bool,
    /// The sender closed it, or it broke: nothing more is sent.
    ended: bool,
    /// The receiver has heard the end, or has left.
    over: bool,
}

/// An ordered pipe uses the first for everything.
#[derive(Default)]
struct Stream {
    opened: bool,
    /// When what was sent last arrives; a stream never reorders.
    last: Micros,
    under_way: usize,
    /// Bytes that still arrive of a pipe that broke.
    left: Option<usize>,
    /// The byte that names the lane has arrived.
    named: bool,
    decoder: StreamDecoder,
}

/// What is under way. Ordered by time, then by age.
#[derive(Debug)]
struct Parcel {
    at: Micros,
    order: u64,
    pipe: PipeId,
    to: End,
    what: Cargo,
}

#[derive(Debug)]
enum Cargo {
    Opened,
    Confirmed,
    Chunk {
        stream: usize,
        bytes: Bytes,
        /// A frame ends with it.
        last: bool,
    },
    Datagram {
        bytes: Bytes,
        address: u32,
        /// It waits for a reader that pauses.
        waits: bool,
    },
    End(Option<Code>),
}

impl PartialEq for Parcel {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Parcel {}

impl PartialOrd for Parcel {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Parcel {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl Pipes {
    pub(crate) fn new(seed: Seed, links: impl IntoIterator<Item = Link>) -> Self {
        let path = |link| Path {
            link,
            black_until: Micros(0),
            stalled_until: Micros(0),
            paused_until: [Micros(0); 2],
            newest: None,
            address: 0,
            early: None,
        };
        Self {
            seed: seed.split("pipes"),
            paths: links.into_iter().map(path).collect(),
            pipes: BTreeMap::new(),
            made: 0,
            under_way: BinaryHeap::new(),
            parcels: 0,
            ready: VecDeque::new(),
            stormy: true,
        }
    }

    fn put(&mut self, at: Micros, pipe: PipeId, to: End, what: Cargo) {
        self.parcels += 1;
        self.under_way.push(Reverse(Parcel { at, order: self.parcels, pipe, to, what }));
    }

    fn make(&mut self, who: usize, kind: PipeKind, confirmed_at: Option<Micros>) -> PipeId {
        let id = PipeId(self.made);
        self.made += 1;
        let Link { max_datagram, .. } = self.paths[who].link;
        let way = || Way {
            streams: Default::default(),
            frames: 0,
            bytes: 0,
            newest_datagram: Micros(0),
            unread: 0,
            dark: false,
            ended: false,
            over: false,
        };
        let (max_datagram, early) = (max_datagram.min(DATAGRAM_BYTES_NATIVE_MAX), confirmed_at.is_some());
        let info = PipeInfo { id, kind, max_datagram, early };
        let rng = self.seed.nth(u64::from(id.0)).rng();
        self.pipes.insert(id, Pipe { who, info, confirmed_at, said_first: false, rng, ways: [way(), way()] });
        id
    }

    /// Sends what a client said last in early data again; nobody reads the answer, and the handshake never ends.
    fn replay(&mut self, now: Micros, who: usize, faults: &mut Faults) {
        let Some(said) = self.paths[who].early.clone() else { return };
        faults.replays += 1;
        let id = self.make(who, PipeKind::Streams, Some(Micros(u64::MAX)));
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.ways[End::Client as usize].dark = true;
        }
        // A pipe without a queue takes one message.
        let _ = self.frame(now, id, End::Client, (LANE_CONTROL, said));
    }

    /// The newest pipe of a client that is not over.
    fn newest(&mut self, who: usize) -> Option<(PipeId, &mut Pipe)> {
        let id = self.paths[who].newest?;
        Some((id, self.pipes.get_mut(&id)?))
    }

    /// Something has arrived: delivers it, or puts it off.
    fn open(&mut self, now: Micros, parcel: Parcel, faults: &mut Faults) {
        let Parcel { order, pipe: id, to, mut what, .. } = parcel;
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let path = &self.paths[pipe.who];
        let way = &mut pipe.ways[to as usize];
        if way.over || way.dark {
            return;
        }
        if let Cargo::Datagram { address, .. } = &what
            && (path.black_until > now || *address != path.address)
        {
            faults.lost_on_the_way += 1;
            return;
        }
        let paused = path.paused_until[to as usize];
        let free = path.black_until.max(path.stalled_until).max(paused);
        if free > now {
            if let Cargo::Datagram { waits, .. } = &mut what
                && paused > now
                && !std::mem::replace(waits, true)
            {
                if way.unread == UNREAD_MAX {
                    faults.unread += 1;
                    return;
                }
                way.unread += 1;
            }
            return self.under_way.push(Reverse(Parcel { at: free, order, pipe: id, to, what }));
        }
        match what {
            Cargo::Opened => self.ready.push_back((id, to, Arrival::Opened(pipe.info))),
            Cargo::Confirmed => {
                pipe.info.early = false;
                self.ready.push_back((id, to, Arrival::Confirmed));
            }
            Cargo::Datagram { bytes, waits, .. } => {
                way.unread -= usize::from(waits);
                self.ready.push_back((id, to, Arrival::Datagram(bytes)));
            }
            Cargo::Chunk { stream, bytes, last } => {
                way.frames -= usize::from(last);
                way.bytes -= bytes.len();
                if let Err(code) = read(pipe, id, to, (stream, bytes), &mut self.ready) {
                    self.ready.push_back((id, to, Arrival::Closed(Some(code))));
                    self.close(now, id, to, code);
                }
            }
            Cargo::End(code) => {
                way.over = true;
                pipe.ways[to.other() as usize].ended = true;
                self.ready.push_back((id, to, Arrival::Closed(code)));
                self.forget_over(id);
            }
        }
    }

    fn forget_over(&mut self, id: PipeId) {
        if self.pipes.get(&id).is_some_and(|pipe| pipe.ways.iter().all(|way| way.over || way.dark)) {
            self.pipes.remove(&id);
        }
    }

    fn break_up(&mut self, now: Micros, who: usize, arrives_permille: u32) {
        let Some((id, pipe)) = self.newest(who) else { return };
        let mut ends = Vec::new();
        for end in [End::Client, End::Server] {
            let way = &mut pipe.ways[end as usize];
            if way.ended || way.over {
                continue;
            }
            way.ended = true;
            let mut last = now;
            for stream in &mut way.streams {
                // A different part of each, down to the byte.
                let share = pipe.rng.below(u64::from(arrives_permille) + 1) as usize;
                stream.left = Some(stream.under_way * share / 1_000);
                last = last.max(stream.last);
            }
            ends.push((last + Micros(1), end));
        }
        for (at, end) in ends {
            self.put(at, id, end, Cargo::End(None));
        }
    }
}

/// Reads what arrives of a stream.
fn read(
    pipe: &mut Pipe,
    id: PipeId,
    to: End,
    (index, mut bytes): (usize, Bytes),
    ready: &mut VecDeque<(PipeId, End, Arrival)>,
) -> Result<(), Code> {
    let stream = &mut pipe.ways[to as usize].streams[index];
    stream.under_way -= bytes.len();
    if let Some(left) = &mut stream.left {
        bytes.truncate(*left);
        *left -= bytes.len();
    }
    let names_itself = pipe.info.kind == PipeKind::Streams && to == End::Server;
    if names_itself && !stream.named && !bytes.is_empty() {
        stream.named = true;
        if usize::from(bytes.split_to(1)[0]) != index {
            return Err(Code::LaneInvalid);
        }
    }
    stream.decoder.push(&bytes);
    while let Some(message) = stream.decoder.poll().map_err(code_of)? {
        let (lane, payload) = match pipe.info.kind {
            PipeKind::Streams => (index as Lane, message),
            PipeKind::Ordered => decode_pipe_frame(message).map_err(code_of)?,
        };
        let arrival = if lane == LANE_DATAGRAM { Arrival::Datagram(payload) } else { Arrival::Frame(lane, payload) };
        ready.push_back((id, to, arrival));
    }
    Ok(())
}

pub(super) fn code_of(error: FrameError) -> Code {
    match error {
        FrameError::TooLarge => Code::FrameTooLarge,
        FrameError::Header => Code::FrameInvalid,
        FrameError::Lane(_) => Code::LaneInvalid,
    }
}

impl Net for Pipes {
    fn dial(&mut self, now: Micros, who: usize, kind: PipeKind) -> PipeId {
        let id = self.make(who, kind, None);
        let latency = self.paths[who].link.latency;
        self.paths[who].newest = Some(id);
        self.put(now + latency + latency, id, End::Client, Cargo::Opened);
        id
    }

    fn dial_early(&mut self, now: Micros, who: usize) -> PipeId {
        // Its first flight goes there, the node's comes back, and what ends the handshake goes there.
        let confirmed_at = now + Micros(3 * self.paths[who].link.latency.0);
        let id = self.make(who, PipeKind::Streams, Some(confirmed_at));
        self.paths[who].newest = Some(id);
        if let Some(info) = self.info(id) {
            self.ready.push_back((id, End::Client, Arrival::Opened(PipeInfo { early: false, ..info })));
        }
        self.put(confirmed_at, id, End::Server, Cargo::Confirmed);
        id
    }

    fn caller(&self, pipe: PipeId) -> Option<usize> {
        self.pipes.get(&pipe).map(|pipe| pipe.who)
    }

    fn info(&self, pipe: PipeId) -> Option<PipeInfo> {
        let Pipe { who, info, .. } = self.pipes.get(&pipe)?;
        let largest = match info.kind {
            PipeKind::Streams => self.paths[*who].link.max_datagram.min(info.max_datagram),
            PipeKind::Ordered => info.max_datagram,
        };
        Some(PipeInfo { max_datagram: largest, ..*info })
    }

    fn frame(&mut self, now: Micros, id: PipeId, from: End, message: (Lane, Bytes)) -> Result<(), Overflow> {
        let (lane, payload) = message;
        let Some(pipe) = self.pipes.get_mut(&id) else { return Ok(()) };
        let way = &mut pipe.ways[from.other() as usize];
        if way.ended || way.over {
            return Ok(());
        }
        if way.frames >= RING_FRAMES_MAX || way.bytes + payload.len() > SEND_QUEUE_BYTES_MAX {
            return Err(Overflow);
        }
        let mut earliest = Micros(0);
        if let (End::Client, Some(confirmed_at)) = (from, pipe.confirmed_at) {
            if std::mem::replace(&mut pipe.said_first, true) {
                earliest = confirmed_at;
            } else {
                self.paths[pipe.who].early = Some(payload.clone());
            }
        }
        let mut bytes = Vec::with_capacity(payload.len() + 8);
        let index = match pipe.info.kind {
            PipeKind::Streams => {
                let index = usize::from(lane);
                if from == End::Client && !std::mem::replace(&mut way.streams[index].opened, true) {
                    bytes.push(lane);
                }
                encode_stream_message(&payload, &mut bytes);
                index
            }
            PipeKind::Ordered => {
                encode_stream_message(&encode_pipe_frame(lane, &payload), &mut bytes);
                0
            }
        };
        way.frames += 1;
        way.bytes += bytes.len();
        let link = self.paths[pipe.who].link;
        let stream = &mut way.streams[index];
        stream.under_way += bytes.len();
        let mut rest = Bytes::from(bytes);
        let cuts = self.stormy && pipe.rng.below(CUT_ONE_IN) == 0;
        let first = if cuts { rest.split_to(pipe.rng.below(rest.len() as u64) as usize) } else { Bytes::new() };
        let mut chunks = Vec::with_capacity(2);
        for (bytes, last) in [(first, false), (rest, true)] {
            if !bytes.is_empty() {
                let at = now + link.latency + Micros(pipe.rng.below(link.jitter.0 + 1));
                stream.last = stream.last.max(at).max(earliest);
                chunks.push((stream.last, Cargo::Chunk { stream: index, bytes, last }));
            }
        }
        for (at, cargo) in chunks {
            self.put(at, id, from.other(), cargo);
        }
        Ok(())
    }

    fn datagram(&mut self, now: Micros, id: PipeId, from: End, bytes: Bytes, faults: &mut Faults) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        if pipe.info.kind == PipeKind::Ordered {
            // A full queue loses a datagram, never the pipe.
            if self.frame(now, id, from, (LANE_DATAGRAM, bytes)).is_err() {
                faults.unread += 1;
            }
            return;
        }
        let Path { link, address, .. } = self.paths[pipe.who];
        let way = &mut pipe.ways[from.other() as usize];
        if way.ended || way.over {
            return;
        }
        if bytes.len() > link.max_datagram {
            faults.too_large += 1;
            return;
        }
        let earliest = if from == End::Client { pipe.confirmed_at.unwrap_or_default() } else { Micros(0) };
        let rng = &mut pipe.rng;
        if self.stormy && rng.chance(link.lost_permille) {
            faults.lost += 1;
            return;
        }
        if self.stormy && rng.chance(link.corrupted_permille) {
            // The transport authenticates what it carries, so a changed byte loses the datagram.
            faults.corrupted += 1;
            return;
        }
        let copies = if self.stormy && rng.chance(link.doubled_permille) { 2 } else { 1 };
        faults.doubled += copies - 1;
        let mut arrivals = Vec::with_capacity(2);
        for _ in 0..copies {
            let late = self.stormy && rng.chance(link.late_permille);
            let spread = if late { LATE_MAX } else { link.jitter };
            let at = (now + link.latency + Micros(rng.below(spread.0 + 1))).max(earliest);
            faults.reordered += u64::from(at < way.newest_datagram);
            way.newest_datagram = way.newest_datagram.max(at);
            arrivals.push(at);
        }
        for at in arrivals {
            self.put(at, id, from.other(), Cargo::Datagram { bytes: bytes.clone(), address, waits: false });
        }
    }

    fn close(&mut self, now: Micros, id: PipeId, from: End, code: Code) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        pipe.ways[from as usize].over = true;
        let latency = self.paths[pipe.who].link.latency;
        let way = &mut pipe.ways[from.other() as usize];
        if !std::mem::replace(&mut way.ended, true) {
            let mut at = now + latency;
            for stream in &mut way.streams {
                if code == Code::SlowReader {
                    stream.left = Some(0);
                } else {
                    at = at.max(stream.last);
                }
            }
            self.put(at, id, from.other(), Cargo::End(Some(code)));
        }
        self.forget_over(id);
    }

    fn next(&self) -> Option<Micros> {
        if !self.ready.is_empty() {
            return Some(Micros(0));
        }
        self.under_way.peek().map(|Reverse(parcel)| parcel.at)
    }

    fn poll(&mut self, now: Micros, faults: &mut Faults) -> Option<(PipeId, End, Arrival)> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                let (id, to, arrival) = &ready;
                // An end that has left hears nothing more, but what broke the pipe is heard.
                let over = self.pipes.get(id).is_none_or(|pipe| pipe.ways[*to as usize].over);
                if over && !matches!(arrival, Arrival::Closed(_)) {
                    continue;
                }
                return Some(ready);
            }
            if self.under_way.peek()?.0.at > now {
                return None;
            }
            let Reverse(parcel) = self.under_way.pop()?;
            self.open(now, parcel, faults);
        }
    }

    fn strike(&mut self, now: Micros, who: usize, strike: &Strike, faults: &mut Faults) {
        match *strike {
            Strike::Break { arrives_permille } => {
                faults.breaks += 1;
                self.break_up(now, who, arrives_permille);
            }
            Strike::HalfOpen { client, server } => {
                let Some((id, pipe)) = self.newest(who) else { return };
                faults.half_open += 1;
                pipe.ways[End::Client as usize].dark |= client;
                pipe.ways[End::Server as usize].dark |= server;
                self.forget_over(id);
            }
            Strike::Stall(span) => {
                faults.stalls += 1;
                let until = &mut self.paths[who].stalled_until;
                *until = (now + span).max(*until);
            }
            Strike::Blackout(span) => {
                faults.blackouts += 1;
                let until = &mut self.paths[who].black_until;
                *until = (now + span).max(*until);
            }
            Strike::Address { latency } => {
                faults.addresses += 1;
                self.paths[who].address += 1;
                self.paths[who].link.latency = latency;
                for pipe in self.pipes.values_mut() {
                    // What is bound to the old address dies, and nobody is told.
                    if pipe.who == who && pipe.info.kind == PipeKind::Ordered {
                        pipe.ways.iter_mut().for_each(|way| way.dark = true);
                    }
                }
                self.pipes.retain(|_, pipe| pipe.ways.iter().any(|way| !way.over && !way.dark));
            }
            Strike::Pause(end, span) => {
                faults.pauses += 1;
                let until = &mut self.paths[who].paused_until[end as usize];
                *until = (now + span).max(*until);
            }
            Strike::Resize(bytes) => {
                faults.resizes += 1;
                self.paths[who].link.max_datagram = bytes;
            }
            Strike::Replay => self.replay(now, who, faults),
        }
    }

    fn calm(&mut self, _: Micros) {
        self.stormy = false;
    }
}
