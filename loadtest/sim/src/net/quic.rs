//! QUIC itself: endpoints of `quinn-proto` with time passed in, over a path that loses, doubles, delays, changes and
//! swallows packets. Streams and datagrams carry lanes as `shared/edge` maps them.

mod connection;
mod tls;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amphi_shared_session::{PipeId, PipeInfo, PipeKind};
use amphi_shared_wire::{Code, Lane, Micros, Rng, Seed};
use bytes::{Bytes, BytesMut};
use quinn_proto::{
    ConnectionHandle, ConnectionId, DatagramEvent, EcnCodepoint, Endpoint, EndpointConfig, Transmit, VarInt,
};

use super::{Arrival, End, LATE_MAX, Link, Net, Overflow, Strike};
use crate::Faults;
use connection::Carried;

/// Where the node listens.
const NODE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 7_000);

/// The endpoints of the node and of all clients.
pub(crate) struct Quic {
    base: Instant,
    rng: Rng,
    node: Endpoint,
    paths: Vec<Path>,
    connections: BTreeMap<(PipeId, End), Carried>,
    handles: BTreeMap<(Place, ConnectionHandle), PipeId>,
    made: u32,
    under_way: BinaryHeap<Reverse<Packet>>,
    packets: u64,
    ready: VecDeque<(PipeId, End, Arrival)>,
    stormy: bool,
}

/// One endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Node,
    Client(usize),
}

/// One client's endpoint, and what lies between it and the node.
struct Path {
    endpoint: Endpoint,
    config: quinn_proto::ClientConfig,
    /// For early data, with the ticket of this client.
    returning: quinn_proto::ClientConfig,
    address: SocketAddr,
    link: Link,
    black_until: Micros,
    stalled_until: Micros,
    /// By end.
    paused_until: [Micros; 2],
    /// When what was sent last arrives, by the end it goes to.
    newest_arrival: [Micros; 2],
    newest: Option<PipeId>,
}

/// A packet under way. Ordered by time, then by age.
struct Packet {
    at: Micros,
    order: u64,
    who: usize,
    to: End,
    source: SocketAddr,
    target: SocketAddr,
    /// `None`: an endpoint's own answer.
    pipe: Option<PipeId>,
    ecn: Option<EcnCodepoint>,
    bytes: BytesMut,
}

impl PartialEq for Packet {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Packet {}

impl PartialOrd for Packet {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Packet {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl Quic {
    pub(crate) fn new(seed: Seed, links: impl IntoIterator<Item = Link>) -> Self {
        let mut rng = seed.split("quic").rng();
        let node = Endpoint::new(endpoint_config(&mut rng), Some(tls::server_config()), true, None);
        let path = |(who, link): (usize, Link)| Path {
            endpoint: Endpoint::new(endpoint_config(&mut rng), None, true, None),
            config: tls::client_config(),
            returning: tls::returning_config(),
            address: SocketAddr::from((Ipv4Addr::new(10, 0, 1, who as u8), 40_000)),
            link,
            black_until: Micros(0),
            stalled_until: Micros(0),
            paused_until: [Micros(0); 2],
            newest_arrival: [Micros(0); 2],
            newest: None,
        };
        let paths = links.into_iter().enumerate().map(path).collect();
        Self {
            base: Instant::now(),
            rng,
            node,
            paths,
            connections: BTreeMap::new(),
            handles: BTreeMap::new(),
            made: 0,
            under_way: BinaryHeap::new(),
            packets: 0,
            ready: VecDeque::new(),
            stormy: true,
        }
    }

    fn instant(&self, at: Micros) -> Instant {
        self.base + Duration::from_micros(at.0)
    }

    fn endpoint(&mut self, place: Place) -> &mut Endpoint {
        match place {
            Place::Node => &mut self.node,
            Place::Client(who) => &mut self.paths[who].endpoint,
        }
    }

    /// Lets a connection say everything it has to say.
    fn pump(&mut self, now: Micros, pipe: PipeId, end: End, faults: &mut Faults) {
        let Some(mut carried) = self.connections.remove(&(pipe, end)) else { return };
        let (who, place, at) = (carried.who, place(carried.who, end), self.instant(now));
        let reads_at = self.paths[who].paused_until[end as usize];
        let mut buffer = Vec::new();
        loop {
            carried.work(at, now, reads_at <= now, &mut |arrival| self.ready.push_back((pipe, end, arrival)));
            faults.early_refused += u64::from(std::mem::take(&mut carried.is_refused));
            let mut idle = true;
            while let Some(event) = carried.connection.poll_endpoint_events() {
                idle = false;
                if let Some(event) = self.endpoint(place).handle_event(carried.handle, event) {
                    carried.connection.handle_event(event);
                }
            }
            buffer.clear();
            while let Some(transmit) = carried.connection.poll_transmit(at, 1, &mut buffer) {
                idle = false;
                self.transmit(now, (who, end), Some(pipe), &transmit, &buffer, faults);
                buffer.clear();
            }
            if idle {
                break;
            }
        }
        if carried.connection.is_drained() {
            self.handles.remove(&(place, carried.handle));
            return;
        }
        let timer = carried.connection.poll_timeout().map(|at| {
            let elapsed = at.saturating_duration_since(self.base);
            Micros(elapsed.as_nanos().div_ceil(1_000) as u64)
        });
        let reads = Some(reads_at).filter(|at| *at > now);
        carried.timer = [timer, reads, carried.closes_at()].into_iter().flatten().min();
        self.connections.insert((pipe, end), carried);
    }

    /// A packet leaves `from`.
    fn transmit(
        &mut self,
        now: Micros,
        (who, from): (usize, End),
        pipe: Option<PipeId>,
        transmit: &Transmit,
        bytes: &[u8],
        faults: &mut Faults,
    ) {
        let path = &mut self.paths[who];
        let (link, rng) = (path.link, &mut self.rng);
        if transmit.size > link.max_datagram {
            faults.too_large += 1;
            return;
        }
        if self.stormy && rng.chance(link.lost_permille) {
            faults.lost += 1;
            return;
        }
        let to = from.other();
        let source = if from == End::Client { path.address } else { NODE };
        let copies = if self.stormy && rng.chance(link.doubled_permille) { 2 } else { 1 };
        faults.doubled += copies - 1;
        for _ in 0..copies {
            let mut bytes = BytesMut::from(&bytes[..transmit.size]);
            if self.stormy && rng.chance(link.corrupted_permille) {
                faults.corrupted += 1;
                let index = rng.below(bytes.len() as u64) as usize;
                bytes[index] ^= 1 << rng.below(8);
            }
            let late = self.stormy && rng.chance(link.late_permille);
            let spread = if late { LATE_MAX } else { link.jitter };
            let mut at = now + link.latency + Micros(rng.below(spread.0 + 1));
            let newest = &mut path.newest_arrival[to as usize];
            if at < *newest {
                if late || self.stormy && rng.chance(link.late_permille) {
                    faults.reordered += 1;
                } else {
                    at = *newest;
                }
            }
            *newest = at.max(*newest);
            self.packets += 1;
            let (order, target, ecn) = (self.packets, transmit.destination, transmit.ecn);
            self.under_way.push(Reverse(Packet { at, order, who, to, source, target, pipe, ecn, bytes }));
        }
    }

    /// A packet has arrived.
    fn receive(&mut self, now: Micros, packet: Packet, faults: &mut Faults) {
        let path = &self.paths[packet.who];
        // An old address leads nowhere.
        let lost = packet.to == End::Client && packet.target != path.address;
        if path.black_until > now || lost {
            faults.lost_on_the_way += 1;
            return;
        }
        if path.stalled_until > now {
            return self.under_way.push(Reverse(Packet { at: path.stalled_until, ..packet }));
        }
        let dark = packet.pipe.and_then(|pipe| self.connections.get(&(pipe, packet.to))).is_some_and(|c| c.dark);
        if dark {
            return;
        }
        let Packet { who, to, source, ecn, bytes, .. } = packet;
        let (place, at) = (place(who, to), self.instant(now));
        let mut answer = Vec::new();
        match self.endpoint(place).handle(at, source, None, ecn, bytes, &mut answer) {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                let Some(pipe) = self.handles.get(&(place, handle)).copied() else { return };
                if let Some(carried) = self.connections.get_mut(&(pipe, to)) {
                    carried.connection.handle_event(event);
                }
                self.pump(now, pipe, to, faults);
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                let name = incoming.orig_dst_cid().as_ref().first_chunk().map(|name| u64::from_be_bytes(*name));
                let mut refused = Vec::new();
                let Some(pipe) = name.filter(|name| *name < u64::from(self.made)).map(|name| PipeId(name as u32))
                else {
                    return self.node.ignore(incoming);
                };
                // Whatever it answers to a connection that is none is a loss like any other.
                if let Ok((handle, connection)) = self.node.accept(incoming, at, &mut refused, None) {
                    self.handles.insert((Place::Node, handle), pipe);
                    self.connections
                        .insert((pipe, End::Server), Carried::new(pipe, (who, End::Server), handle, connection));
                    self.pump(now, pipe, End::Server, faults);
                }
            }
            Some(DatagramEvent::Response(transmit)) => {
                self.transmit(now, (who, to), None, &transmit, &answer, faults);
            }
            None => {}
        }
    }

    fn connect(&mut self, now: Micros, who: usize, early: bool) -> PipeId {
        let pipe = PipeId(self.made);
        self.made += 1;
        let at = self.instant(now);
        let path = &mut self.paths[who];
        path.newest = Some(pipe);
        // The node finds the number of the pipe in the first packet, so both ends call it the same.
        let name = u64::from(pipe.0).to_be_bytes();
        let mut config = if early { path.returning.clone() } else { path.config.clone() };
        config.initial_dst_cid_provider(Arc::new(move || ConnectionId::new(&name)));
        match path.endpoint.connect(at, config, NODE, "node") {
            Ok((handle, connection)) => {
                self.handles.insert((Place::Client(who), handle), pipe);
                let mut carried = Carried::new(pipe, (who, End::Client), handle, connection);
                carried.begin(&mut |arrival| self.ready.push_back((pipe, End::Client, arrival)));
                self.connections.insert((pipe, End::Client), carried);
                self.pump(now, pipe, End::Client, &mut Faults::default());
            }
            Err(_) => self.ready.push_back((pipe, End::Client, Arrival::Closed(None))),
        }
        pipe
    }

    fn due(&self) -> Option<(Micros, (PipeId, End))> {
        self.connections.iter().filter_map(|(key, carried)| Some((carried.timer?, *key))).min()
    }
}

fn endpoint_config(rng: &mut Rng) -> Arc<EndpointConfig> {
    let mut config = EndpointConfig::default();
    config.rng_seed(Some(std::array::from_fn(|_| rng.below(256) as u8))).grease_quic_bit(false);
    Arc::new(config)
}

fn place(who: usize, end: End) -> Place {
    match end {
        End::Client => Place::Client(who),
        End::Server => Place::Node,
    }
}

impl Net for Quic {
    fn dial(&mut self, now: Micros, who: usize, _: PipeKind) -> PipeId {
        self.connect(now, who, false)
    }

    fn dial_early(&mut self, now: Micros, who: usize) -> PipeId {
        self.connect(now, who, true)
    }

    fn caller(&self, pipe: PipeId) -> Option<usize> {
        self.connections.get(&(pipe, End::Server)).map(|carried| carried.who)
    }

    fn info(&self, pipe: PipeId) -> Option<PipeInfo> {
        let carried = self.connections.get(&(pipe, End::Server))?;
        let early = carried.connection.is_handshaking();
        Some(PipeInfo { id: pipe, kind: PipeKind::Streams, max_datagram: carried.max_datagram, early })
    }

    fn frame(&mut self, now: Micros, pipe: PipeId, from: End, message: (Lane, Bytes)) -> Result<(), Overflow> {
        let Some(carried) = self.connections.get_mut(&(pipe, from)) else { return Ok(()) };
        carried.push(message)?;
        self.pump(now, pipe, from, &mut Faults::default());
        Ok(())
    }

    fn datagram(&mut self, now: Micros, pipe: PipeId, from: End, bytes: Bytes, faults: &mut Faults) {
        let Some(carried) = self.connections.get_mut(&(pipe, from)) else { return };
        if carried.connection.datagrams().send(bytes, true).is_err() {
            faults.too_large += 1;
            return;
        }
        self.pump(now, pipe, from, faults);
    }

    fn close(&mut self, now: Micros, pipe: PipeId, from: End, code: Code) {
        let at = self.instant(now);
        let Some(carried) = self.connections.get_mut(&(pipe, from)) else { return };
        carried.close(at, now, code);
        self.pump(now, pipe, from, &mut Faults::default());
    }

    fn next(&self) -> Option<Micros> {
        if !self.ready.is_empty() {
            return Some(Micros(0));
        }
        let arrival = self.under_way.peek().map(|Reverse(packet)| packet.at);
        [arrival, self.due().map(|(at, _)| at)].into_iter().flatten().min()
    }

    fn poll(&mut self, now: Micros, faults: &mut Faults) -> Option<(PipeId, End, Arrival)> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            if self.under_way.peek().is_some_and(|Reverse(packet)| packet.at <= now) {
                let Reverse(packet) = self.under_way.pop()?;
                self.receive(now, packet, faults);
                continue;
            }
            let (_, (pipe, end)) = self.due().filter(|(at, _)| *at <= now)?;
            let at = self.instant(now);
            if let Some(carried) = self.connections.get_mut(&(pipe, end)) {
                carried.connection.handle_timeout(at);
            }
            self.pump(now, pipe, end, faults);
        }
    }

    fn strike(&mut self, now: Micros, who: usize, strike: &Strike, faults: &mut Faults) {
        let at = self.instant(now);
        let path = &mut self.paths[who];
        match *strike {
            Strike::Break { .. } => {
                let Some(pipe) = path.newest else { return };
                let Some(carried) = self.connections.get_mut(&(pipe, End::Client)) else { return };
                faults.breaks += 1;
                // The client's process gives the connection up, with no code of ours.
                if carried.leave() {
                    self.ready.push_back((pipe, End::Client, Arrival::Closed(None)));
                }
                carried.connection.close(at, VarInt::from_u32(0), Bytes::new());
                self.pump(now, pipe, End::Client, faults);
            }
            Strike::HalfOpen { client, server } => {
                let Some(pipe) = path.newest else { return };
                faults.half_open += 1;
                for (end, dark) in [(End::Client, client), (End::Server, server)] {
                    if let Some(carried) = self.connections.get_mut(&(pipe, end)) {
                        carried.dark |= dark;
                    }
                }
            }
            Strike::Stall(span) => {
                faults.stalls += 1;
                path.stalled_until = path.stalled_until.max(now + span);
            }
            Strike::Blackout(span) => {
                faults.blackouts += 1;
                path.black_until = path.black_until.max(now + span);
            }
            Strike::Address { latency } => {
                faults.addresses += 1;
                path.link.latency = latency;
                path.address.set_port(path.address.port() + 1);
                let mine = |((pipe, end), carried): (&(PipeId, End), &mut Carried)| {
                    let moves = carried.who == who && *end == End::Client;
                    moves.then(|| carried.connection.local_address_changed()).map(|()| *pipe)
                };
                let moved: Vec<PipeId> = self.connections.iter_mut().filter_map(mine).collect();
                moved.into_iter().for_each(|pipe| self.pump(now, pipe, End::Client, faults));
            }
            Strike::Pause(end, span) => {
                faults.pauses += 1;
                path.paused_until[end as usize] = path.paused_until[end as usize].max(now + span);
            }
            Strike::Resize(bytes) => {
                faults.resizes += 1;
                path.link.max_datagram = bytes;
            }
            // A ticket works once, so nobody can read early data that is sent again.
            Strike::Replay => {}
        }
    }

    fn calm(&mut self, _: Micros) {
        self.stormy = false;
    }
}
