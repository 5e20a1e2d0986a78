//! The loop of a QUIC network thread.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amphi_shared_wire::Micros;
use mio::{Events, Poll, Token};
use quinn_proto::{ConnectionHandle, DatagramEvent, Endpoint, Incoming};

use super::connection::{Connection, Driven, HELD_RETRY, is_alpn};
use super::dial::Dial;
use super::pace::Pace;
use super::socket::{Arrival, Socket};
use super::{Side, config};
use crate::clock::Clock;
use crate::counters::{Counters, Refused};
use crate::listener::{Addresses, Shared};
use crate::network::{Broadcast, ConnId, Intake, Job, Mailbox, Order, Outlet, Wheel};

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);
/// Batches that are read before what has arrived is handled.
const BATCHES_PER_ROUND: usize = 4;
/// Handshakes that begin in one round. Each costs a signature, for which running sessions should not wait long.
const ACCEPTS_PER_ROUND: usize = 4;
/// Time for the connections to close when the thread ends.
const END_TIME_MAX: Micros = Micros::from_millis(2_000);

/// What the connections of a thread share.
pub(super) struct Context {
    /// Now, on both clocks.
    pub(super) now: Instant,
    pub(super) at: Micros,
    pub(super) clock: Clock,
    pub(super) endpoint: Endpoint,
    pub(super) socket: Socket,
    pub(super) wheel: Wheel,
    pub(super) pace: Pace,
    pub(super) counters: Counters,
    /// Of the listener; none on the dialling side.
    pub(super) shared: Option<Arc<Shared>>,
    /// Room for packets that are about to leave.
    pub(super) packets: Vec<u8>,
    /// Connections that wait for the socket.
    pub(super) blocked: Vec<u32>,
    /// Owners that must still hear of the end of their connection.
    pub(super) ending: Vec<Intake>,
}

pub(super) struct Thread {
    cx: Context,
    poll: Poll,
    mailbox: Arc<Mailbox>,
    /// By the number of quinn-proto's handle.
    slots: Vec<Option<Box<Connection>>>,
    lives: u32,
    /// Slots whose connection something has happened to.
    dirty: Vec<u32>,
    /// First packets whose handshake has not begun.
    waiting: VecDeque<Incoming>,
    /// New connections per address that has been proved, and per address that anyone may have written there.
    proved: Addresses,
    unproved: Addresses,
    arrivals: Vec<Arrival>,
    jobs: Vec<Job>,
    due: Vec<ConnId>,
    /// When the thread ends at the latest, once it is to end.
    end: Option<Micros>,
}

impl Thread {
    pub(super) fn new(clock: Clock, socket: std::net::UdpSocket, side: Side) -> io::Result<(Self, Arc<Mailbox>)> {
        let poll = Poll::new()?;
        let mailbox = Arc::new(Mailbox::new(poll.registry(), WAKE)?);
        let (counters, shared, server) = match side {
            Side::Server(shared, server) => (shared.counters.clone(), Some(shared), Some(Arc::new(server))),
            Side::Client(counters) => (counters, None, None),
        };
        let config = config::endpoint();
        let bytes_max = config.get_max_udp_payload_size() as usize;
        let socket = Socket::new(socket, counters.clone(), bytes_max, (poll.registry(), SOCKET))?;
        let endpoint = Endpoint::new(Arc::new(config), server, !socket.may_fragment(), None);
        let (now, at) = (Instant::now(), clock.now());
        let cx = Context {
            now,
            at,
            clock,
            endpoint,
            socket,
            wheel: Wheel::new(at),
            pace: Pace::new(at),
            counters,
            shared,
            packets: Vec::new(),
            blocked: Vec::new(),
            ending: Vec::new(),
        };
        let thread = Self {
            cx,
            poll,
            mailbox: Arc::clone(&mailbox),
            slots: Vec::new(),
            lives: 0,
            dirty: Vec::new(),
            waiting: VecDeque::new(),
            proved: Addresses::default(),
            unproved: Addresses::default(),
            arrivals: Vec::new(),
            jobs: Vec::new(),
            due: Vec::new(),
            end: None,
        };
        Ok((thread, mailbox))
    }

    /// Runs until it is told to shut down and every connection is closed.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(4);
        while !self.is_over() {
            if !self.rest()
                && let Err(error) = self.sleep(&mut events)
            {
                return tracing::error!(%error, "a QUIC network thread cannot poll");
            }
            self.round();
        }
    }

    /// Lets packets gather where many come. False: there is nothing to rest for, or no time.
    fn rest(&mut self) -> bool {
        let Some(rest) = self.cx.pace.rest(self.cx.at) else {
            return false;
        };
        // Who waits for room in the socket must poll.
        if self.is_busy() || self.cx.socket.is_blocked() {
            return false;
        }
        let until_timer = self.next_timer().map_or(rest, |at| rest.min(self.cx.clock.until(at)));
        self.mailbox.rest(until_timer);
        // Nobody has looked: there may be something.
        self.cx.socket.on_readable();
        true
    }

    /// Sleeps until a packet, an order or a timer comes.
    fn sleep(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = self.timeout();
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.mailbox.wake_up();
        for event in events.iter().filter(|event| event.token() == SOCKET) {
            if event.is_readable() {
                self.cx.socket.on_readable();
            }
            if event.is_writable() {
                self.cx.socket.on_writable();
            }
        }
        Ok(())
    }

    /// Reads, takes orders, fires timers, then drives each connection that something has happened to once.
    fn round(&mut self) {
        self.tell_time();
        self.read();
        self.accept();
        self.take_jobs();
        self.tell_time();
        self.fire();
        self.drive();
    }

    /// There is work that needs no event.
    fn is_busy(&self) -> bool {
        self.cx.socket.is_readable() || !self.dirty.is_empty() || !self.waiting.is_empty()
    }

    /// How long to sleep: not at all while there is work.
    fn timeout(&mut self) -> Option<Duration> {
        if self.is_busy() || !self.mailbox.fall_asleep() {
            return Some(Duration::ZERO);
        }
        self.next_timer().map(|next| self.cx.clock.until(next))
    }

    fn next_timer(&self) -> Option<Micros> {
        let ending = if self.cx.ending.is_empty() { None } else { Some(self.cx.clock.now() + HELD_RETRY) };
        [self.cx.wheel.next(), ending, self.end].into_iter().flatten().min()
    }

    fn is_over(&self) -> bool {
        let is_empty = self.slots.iter().all(Option::is_none) && self.cx.ending.is_empty();
        self.end.is_some_and(|end| is_empty || end <= self.cx.at)
    }

    fn tell_time(&mut self) {
        self.cx.now = Instant::now();
        self.cx.at = self.cx.clock.at(self.cx.now);
    }

    fn read(&mut self) {
        for _ in 0..BATCHES_PER_ROUND {
            if !self.cx.socket.is_readable() {
                break;
            }
            if let Err(error) = self.cx.socket.receive(&mut self.arrivals) {
                tracing::warn!(%error, "the UDP socket cannot be read");
                break;
            }
        }
        let mut arrivals = std::mem::take(&mut self.arrivals);
        self.cx.pace.count(arrivals.len());
        for arrival in arrivals.drain(..) {
            self.arrive(arrival);
        }
        self.arrivals = arrivals;
    }

    fn arrive(&mut self, arrival: Arrival) {
        let Arrival { remote, local_ip, ecn, data } = arrival;
        self.cx.packets.clear();
        match self.cx.endpoint.handle(self.cx.now, remote, local_ip, ecn, data, &mut self.cx.packets) {
            None => {}
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some(connection) = self.connection(handle.0) {
                    connection.handle_event(event);
                    self.touch(handle.0 as u32);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                self.cx.pace.live(self.cx.at);
                self.waiting.push_back(incoming);
            }
            Some(DatagramEvent::Response(transmit)) => self.cx.socket.answer(&transmit, &self.cx.packets),
        }
    }

    /// Begins handshakes.
    fn accept(&mut self) {
        for _ in 0..ACCEPTS_PER_ROUND {
            let Some(incoming) = self.waiting.pop_front() else {
                return;
            };
            self.accept_one(incoming);
        }
    }

    fn accept_one(&mut self, incoming: Incoming) {
        let cx = &mut self.cx;
        cx.packets.clear();
        let is_proved = incoming.remote_address_validated();
        let limits = if is_proved { &mut self.proved } else { &mut self.unproved };
        let is_crowd = limits.check(incoming.remote_address().ip(), cx.at).is_err();
        let is_busy = cx.shared.as_ref().is_some_and(|shared| shared.is_busy());
        if !is_proved && (is_crowd || is_busy) {
            // The client must show that it hears us before it costs us a signature, or others their allowance.
            if let Ok(retry) = cx.endpoint.retry(incoming, &mut cx.packets) {
                cx.socket.answer(&retry, &cx.packets);
            }
            return;
        }
        if is_crowd {
            cx.counters.count(Refused::Address);
        }
        let open = cx.shared.as_ref().filter(|_| self.end.is_none() && !is_crowd);
        let Some(handshake) = open.and_then(|shared| shared.handshake()) else {
            let refusal = cx.endpoint.refuse(incoming, &mut cx.packets);
            return cx.socket.answer(&refusal, &cx.packets);
        };
        match cx.endpoint.accept(incoming, cx.now, &mut cx.packets, None) {
            Ok(quic) => self.insert(quic, |id, quic, outlet, at| Connection::accepted(id, quic, outlet, handshake, at)),
            Err(error) => {
                cx.counters.count(if is_alpn(&error.cause) { Refused::Alpn } else { Refused::Handshake });
                if let Some(transmit) = error.response {
                    cx.socket.answer(&transmit, &cx.packets);
                }
            }
        }
    }

    fn dial(&mut self, dial: Box<Dial>) {
        let connected = self.cx.endpoint.connect(self.cx.now, dial.config.clone(), dial.address, &dial.name);
        match connected {
            Ok(quic) => self.insert(quic, |id, quic, outlet, at| Connection::dialled(id, quic, outlet, dial, at)),
            // Whoever asked may have gone.
            Err(error) => drop(dial.answer.send(Err(error.to_string()))),
        }
    }

    fn insert(
        &mut self,
        quic: (ConnectionHandle, quinn_proto::Connection),
        make: impl FnOnce(ConnId, (ConnectionHandle, quinn_proto::Connection), Arc<Outlet>, Micros) -> Connection,
    ) {
        let slot = quic.0.0;
        self.lives = self.lives.wrapping_add(1);
        let id = ConnId { slot: slot as u32, life: self.lives };
        let outlet = Arc::new(Outlet::new(id, Arc::clone(&self.mailbox), self.cx.counters.clone()));
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some(Box::new(make(id, quic, outlet, self.cx.at)));
        self.touch(id.slot);
    }

    fn take_jobs(&mut self) {
        let mut jobs = std::mem::take(&mut self.jobs);
        self.mailbox.take(&mut jobs);
        for job in jobs.drain(..) {
            match job {
                Job::Order(id, order) => self.order(id, order),
                Job::Broadcast(Broadcast { lane, payloads, conns }) => {
                    for id in conns {
                        payloads.iter().for_each(|payload| self.order(id, Order::Frame(lane, payload.clone())));
                    }
                }
                Job::Dial(dial) => self.dial(dial),
                Job::Upgraded(_) => debug_assert!(false, "HTTP hands its connections to the WebSocket thread"),
                Job::Shutdown => self.shut(),
            }
        }
        self.jobs = jobs;
    }

    fn order(&mut self, id: ConnId, order: Order) {
        let connection = self.slots.get_mut(id.slot as usize).and_then(Option::as_mut);
        match (connection.filter(|connection| connection.id() == id), order) {
            (Some(connection), order) => {
                connection.order(&mut self.cx, order);
                self.touch(id.slot);
            }
            (None, order) => order.orphaned(self.cx.at, &self.cx.counters, &mut self.cx.ending),
        }
    }

    fn shut(&mut self) {
        self.end.get_or_insert(self.cx.at + END_TIME_MAX);
        for slot in 0..self.slots.len() {
            if let Some(connection) = self.slots[slot].as_mut() {
                connection.shut(&mut self.cx);
                self.touch(slot as u32);
            }
        }
    }

    fn fire(&mut self) {
        self.cx.wheel.fire(self.cx.at, &mut self.due);
        let mut due = std::mem::take(&mut self.due);
        for id in due.drain(..) {
            if self.connection(id.slot as usize).is_some_and(|connection| connection.id() == id) {
                self.touch(id.slot);
            }
        }
        self.due = due;
    }

    fn drive(&mut self) {
        if !self.cx.socket.is_blocked() {
            let mut blocked = std::mem::take(&mut self.cx.blocked);
            blocked.drain(..).for_each(|slot| self.touch(slot));
            self.cx.blocked = blocked;
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        for slot in dirty.drain(..) {
            let Some(connection) = self.slots[slot as usize].as_mut() else {
                continue;
            };
            connection.is_dirty = false;
            if connection.drive(&mut self.cx) == Driven::Drained {
                self.cx.wheel.clear(connection.id());
                self.slots[slot as usize] = None;
            }
        }
        self.dirty = dirty;
        // An error says that there is no owner any more.
        self.cx.ending.retain_mut(|intake| intake.retry().is_ok() && intake.is_held());
    }

    /// The connection will be driven in this round.
    fn touch(&mut self, slot: u32) {
        if let Some(connection) = self.slots.get_mut(slot as usize).and_then(Option::as_mut)
            && !std::mem::replace(&mut connection.is_dirty, true)
        {
            self.dirty.push(slot);
        }
    }

    fn connection(&mut self, slot: usize) -> Option<&mut Connection> {
        self.slots.get_mut(slot).and_then(Option::as_deref_mut)
    }
}
