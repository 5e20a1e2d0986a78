//! One QUIC or WebTransport connection: what quinn-proto, its session's owner and the node want of each other.

use std::sync::Arc;
use std::time::Duration;

use amphi_shared_session::{PipeKind, Refusal, answer_probe};
use amphi_shared_wire::limits::{DATAGRAM_BYTES_BROWSER_MAX, DATAGRAM_BYTES_NATIVE_MAX, HANDSHAKE_MS_MAX};
use amphi_shared_wire::{ALPN_AMPHI, Code, LANE_CONTROL, LANE_DATAGRAM, Micros};
use bytes::Bytes;
use quinn_proto::crypto::rustls::HandshakeData;
use quinn_proto::{ConnectionError, ConnectionHandle, Dir, Event, StreamEvent, Transmit, TransportErrorCode, VarInt};
use tokio::sync::OwnedSemaphorePermit;
use web_transport_proto::error_from_http3;
use web_transport_proto::http::StatusCode;

use super::config::{ALPN_H3, DATAGRAM_SEND_BYTES_MAX};
use super::dial::Dial;
use super::http3::{self, Heard, Http3};
use super::lanes::Lanes;
use super::thread::Context;
use crate::counters::{OpenConnection, Refused};
use crate::listener::SESSION_PATH;
use crate::network::{ConnId, Intake, Order, Outlet};
use crate::session::{Decision, First, From, Probes, Transport};

/// What is queued gets this long to leave when a connection closes.
const GRACE: Micros = Micros::from_millis(1_000);
/// A full mailbox of the owner is tried again after this long.
pub(super) const HELD_RETRY: Micros = Micros::from_millis(1);
const HANDSHAKE: Micros = Micros::from_millis(HANDSHAKE_MS_MAX);
/// Closes a connection on which there was no session.
const NO_SESSION: VarInt = VarInt::from_u32(0);
/// A page gets at least this long to end a WebTransport session whose end it was told.
const FAREWELL_MIN: Duration = Duration::from_millis(100);
/// Size of packets before the path is probed for larger ones, bytes (RFC 9000 section 14).
const INITIAL_MTU: u16 = 1_200;
/// What quinn-proto keeps free in its queue of datagrams: one entry; a datagram that waits takes more than two.
const DATAGRAM_ENTRY_BYTES: usize = 64;
/// Datagrams that one system call sends at most.
const SEGMENTS_MAX: usize = 10;
/// Alert `no_application_protocol` (RFC 7301) as a QUIC error code (RFC 9001 section 4.8).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// A connection of the thread. Whatever happens to it marks it dirty; then it is driven once per round.
pub(super) struct Connection {
    id: ConnId,
    handle: ConnectionHandle,
    quic: quinn_proto::Connection,
    outlet: Arc<Outlet>,
    phase: Phase,
    lanes: Lanes,
    http: Option<Box<Http3>>,
    /// Held until the node has decided.
    handshake: Option<OwnedSemaphorePermit>,
    /// Held from the Hello on.
    place: Option<OwnedSemaphorePermit>,
    /// The page that opened the connection.
    origin: Option<String>,
    /// The TLS handshake is over, so what arrives is no replay.
    is_confirmed: bool,
    /// The node was offered a Hello that may be a replay, and its owner has not heard that it is none.
    is_early: bool,
    /// Where events go; from the node's decision on.
    intake: Option<Intake>,
    /// Who answers the client's clock probes.
    probes: Probes,
    counted: Option<OpenConnection>,
    /// When the phase is over.
    deadline: Option<Micros>,
    pub(super) is_dirty: bool,
}

enum Phase {
    /// A client's connection, from its first packet to the end of the handshakes of QUIC and WebTransport.
    Accepting,
    /// A server's connection, until it has opened its lanes.
    Dialling(Box<Dial>),
    /// Waits for the Hello.
    Greeting,
    /// The Hello came as early data and is no resume: it waits for the end of the handshake.
    Holding(Box<First>),
    /// The node decides.
    Deciding,
    /// A session owns it.
    Open,
    /// What is queued leaves, then it closes with this.
    Leaving(Code, String),
    /// The end of the WebTransport session was said; the other side closes the connection.
    Parting(VarInt),
    /// Closed; nothing of ours is left.
    Gone,
}

/// A connection of quinn-proto and its name there.
pub(super) type Quic = (ConnectionHandle, quinn_proto::Connection);

/// What is left of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Driven {
    Kept,
    /// quinn-proto has forgotten it.
    Drained,
}

impl Connection {
    /// A connection that a client made.
    pub(super) fn accepted(
        id: ConnId,
        quic: Quic,
        outlet: Arc<Outlet>,
        handshake: OwnedSemaphorePermit,
        now: Micros,
    ) -> Self {
        Self { handshake: Some(handshake), ..Self::new(id, quic, outlet, Phase::Accepting, now) }
    }

    /// A connection that this process makes.
    pub(super) fn dialled(id: ConnId, quic: Quic, outlet: Arc<Outlet>, dial: Box<Dial>, now: Micros) -> Self {
        Self::new(id, quic, outlet, Phase::Dialling(dial), now)
    }

    fn new(id: ConnId, (handle, quic): Quic, outlet: Arc<Outlet>, phase: Phase, now: Micros) -> Self {
        Self {
            id,
            handle,
            quic,
            outlet,
            phase,
            lanes: Lanes::default(),
            http: None,
            handshake: None,
            place: None,
            origin: None,
            is_confirmed: false,
            is_early: false,
            intake: None,
            probes: Probes::Owner,
            counted: None,
            deadline: Some(now + HANDSHAKE),
            is_dirty: false,
        }
    }

    pub(super) fn id(&self) -> ConnId {
        self.id
    }

    /// A packet arrived, or the endpoint has something for it.
    pub(super) fn handle_event(&mut self, event: quinn_proto::ConnectionEvent) {
        self.quic.handle_event(event);
    }

    /// The owner or the node wants something. What comes too late gives its part back.
    pub(super) fn order(&mut self, cx: &mut Context, order: Order) {
        match order {
            Order::Frame(lane, payload) if self.is_open() => self.lanes.push(lane, payload, &self.outlet),
            Order::Frame(_, payload) => self.outlet.frames_left(1, payload.len()),
            Order::Datagram(bytes) => {
                self.outlet.datagram_taken();
                if self.is_open() {
                    cx.pace.live(cx.at);
                    self.send_datagram(bytes);
                }
            }
            Order::Close(code, message) if self.is_open() => self.leave(cx, code, message),
            Order::Close(..) => {}
            Order::Decide(decision) if matches!(self.phase, Phase::Deciding) => self.decide(cx, decision),
            Order::Decide(_) => order.orphaned(cx.at, &cx.counters, &mut cx.ending),
        }
    }

    /// The listener closes.
    pub(super) fn shut(&mut self, cx: &mut Context) {
        if !self.is_ending() {
            self.leave(cx, Code::Draining, Code::Draining.name().to_owned());
        }
    }

    /// Lets everything happen that can happen now, in this order: timers, then events of quinn-proto until there are
    /// none, then reading (which makes events of the session), then writing, then packets. So the answer to what
    /// arrived, acknowledgements and whatever the owner ordered leave in the same packets.
    pub(super) fn drive(&mut self, cx: &mut Context) -> Driven {
        if self.quic.poll_timeout().is_some_and(|at| at <= cx.now) {
            self.quic.handle_timeout(cx.now);
        }
        self.check_deadline(cx);
        if self.poll_events(cx) == Driven::Drained {
            return Driven::Drained;
        }
        self.read(cx);
        self.lanes.write(&mut self.quic, &self.outlet);
        self.end(cx);
        self.transmit(cx);
        if self.poll_events(cx) == Driven::Drained {
            return Driven::Drained;
        }
        if !self.is_open() {
            cx.pace.live(cx.at);
        }
        self.tell_path();
        self.set_timer(cx);
        Driven::Kept
    }

    fn poll_events(&mut self, cx: &mut Context) -> Driven {
        let mut driven = Driven::Kept;
        loop {
            while let Some(event) = self.quic.poll_endpoint_events() {
                if event.is_drained() {
                    driven = Driven::Drained;
                }
                if let Some(event) = cx.endpoint.handle_event(self.handle, event) {
                    self.quic.handle_event(event);
                }
            }
            let Some(event) = self.quic.poll() else {
                return driven;
            };
            match event {
                Event::HandshakeDataReady => self.on_alpn(cx),
                Event::Connected => self.on_connected(cx),
                Event::ConnectionLost { reason } => self.on_lost(cx, &reason),
                Event::Stream(event) => self.on_stream(event),
                // Datagrams are read anyway; the newest are sent whatever waits.
                Event::DatagramReceived | Event::DatagramsUnblocked => {}
            }
        }
    }

    fn on_alpn(&mut self, cx: &mut Context) {
        if !matches!(self.phase, Phase::Accepting) {
            return;
        }
        let data = self.quic.crypto_session().handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
        match data.and_then(|data| data.protocol) {
            // Its streams may come as early data.
            Some(alpn) if alpn == ALPN_AMPHI => self.phase = Phase::Greeting,
            // SETTINGS are the same for everyone, so they leave with the server's first packets: a browser asks for its
            // session a round trip sooner than after the end of the handshake.
            Some(alpn) if alpn == ALPN_H3 => match Http3::start(&mut self.quic) {
                Ok(http) => self.http = Some(Box::new(http)),
                Err(http3::Broken) => self.break_off(cx, Code::FrameInvalid),
            },
            Some(_) | None => {
                cx.counters.count(Refused::Alpn);
                self.close(cx, NO_SESSION, "");
            }
        }
    }

    fn on_connected(&mut self, cx: &mut Context) {
        self.is_confirmed = true;
        let Phase::Dialling(dial) = &self.phase else {
            return;
        };
        let Some(url) = &dial.web_transport else {
            return self.open_lanes(cx, &[]);
        };
        let http = Http3::start(&mut self.quic).and_then(|mut http| http.request(&mut self.quic, url).map(|()| http));
        match http {
            Ok(http) => self.http = Some(Box::new(http)),
            Err(http3::Broken) => self.break_off(cx, Code::FrameInvalid),
        }
    }

    /// The dialled connection is ready: opens its lanes and hands it over.
    fn open_lanes(&mut self, cx: &mut Context, head: &[u8]) {
        let Phase::Dialling(dial) = std::mem::replace(&mut self.phase, Phase::Gone) else {
            return;
        };
        let opened = dial.lanes.iter().try_for_each(|lane| self.lanes.open(&mut self.quic, *lane, head));
        if let Err(error) = opened {
            let _ = dial.answer.send(Err(error.to_string()));
            return self.close(cx, NO_SESSION, "");
        }
        self.deadline = None;
        self.phase = Phase::Open;
        self.intake = Some(Intake::dialled(dial.pipe, dial.mailbox, cx.counters.clone()));
        self.tell_path();
        if dial.answer.send(Ok(Arc::clone(&self.outlet))).is_err() {
            // Nobody waits for it any more.
            self.intake = None;
            self.close(cx, Code::Bye.number().into(), "");
        }
    }

    fn on_stream(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Readable { id } => {
                if !self.lanes.on_readable(id)
                    && let Some(http) = &mut self.http
                {
                    http.on_readable();
                }
            }
            StreamEvent::Finished { id } | StreamEvent::Stopped { id, .. } => {
                self.lanes.on_ended(id, &self.outlet);
                if let Some(http) = &mut self.http {
                    http.on_ended(id);
                }
            }
            StreamEvent::Opened { .. } => {
                if let Some(http) = &mut self.http {
                    http.on_readable();
                }
            }
            // Lanes are written in every round.
            StreamEvent::Writable { .. } | StreamEvent::Available { .. } => {}
        }
    }

    fn on_lost(&mut self, cx: &mut Context, reason: &ConnectionError) {
        let is_web = self.http.is_some();
        let phase = std::mem::replace(&mut self.phase, Phase::Gone);
        let code = match phase {
            Phase::Accepting | Phase::Greeting => {
                cx.counters.count(if is_alpn(reason) { Refused::Alpn } else { Refused::Handshake });
                None
            }
            Phase::Dialling(dial) => {
                let _ = dial.answer.send(Err(reason.to_string()));
                None
            }
            Phase::Leaving(code, _) => Some(code),
            Phase::Holding(_) | Phase::Deciding | Phase::Open | Phase::Parting(_) | Phase::Gone => {
                code_of_close(reason, is_web)
            }
        };
        self.gone(cx, code);
    }

    fn check_deadline(&mut self, cx: &mut Context) {
        if self.deadline.is_none_or(|deadline| deadline > cx.at) {
            return;
        }
        self.deadline = None;
        match &self.phase {
            Phase::Accepting => {
                cx.counters.count(Refused::HandshakeTimeout);
                self.close(cx, NO_SESSION, "");
            }
            Phase::Greeting | Phase::Holding(_) => self.break_off(cx, Code::HandshakeTimeout),
            Phase::Deciding => self.refuse(cx, Code::Unavailable.into()),
            Phase::Dialling(_) => {
                if let Phase::Dialling(dial) = std::mem::replace(&mut self.phase, Phase::Gone) {
                    let _ = dial.answer.send(Err("no answer".to_owned()));
                }
                self.close(cx, NO_SESSION, "");
            }
            Phase::Leaving(..) => self.say_goodbye(cx),
            Phase::Parting(code) => {
                let code = *code;
                self.close(cx, code, "");
            }
            Phase::Open | Phase::Gone => {}
        }
    }

    fn read(&mut self, cx: &mut Context) {
        // What comes before the handshake of HTTP/3, or for it as early data, stays with the transport.
        let is_ready = self.is_confirmed && self.http.is_some();
        let is_early = matches!(self.phase, Phase::Accepting | Phase::Dialling(_)) && !is_ready;
        if is_early || self.is_ending() {
            return;
        }
        while let Some(stream) = self.quic.streams().accept(Dir::Bi) {
            if !self.http.as_mut().is_some_and(|http| http.takes(stream)) {
                self.lanes.opened(stream);
            }
        }
        self.hear(cx);
        let read = match &self.phase {
            Phase::Greeting => self.read_hello(cx),
            Phase::Holding(_) => {
                self.offer(cx);
                Ok(())
            }
            Phase::Open => self.read_messages(cx),
            Phase::Accepting | Phase::Dialling(_) | Phase::Deciding => Ok(()),
            Phase::Leaving(..) | Phase::Parting(_) | Phase::Gone => Ok(()),
        };
        if let Err(code) = read {
            self.break_off(cx, code);
        }
    }

    /// HTTP/3, before and beside the session.
    fn hear(&mut self, cx: &mut Context) {
        while let Some(http) = &mut self.http {
            match http.hear(&mut self.quic) {
                Ok(None) => return,
                Ok(Some(Heard::Request { path, origin })) => self.on_request(cx, &path, origin),
                Ok(Some(Heard::Opened)) => self.open_lanes(cx, &http3::stream_head()),
                Ok(Some(Heard::Closed(code))) => {
                    let number = code.unwrap_or_default();
                    self.gone(cx, code.and_then(Code::from_number));
                    self.close(cx, http3::error_code(number), "");
                }
                Err(http3::Broken) => return self.break_off(cx, Code::FrameInvalid),
            }
            if self.is_ending() {
                return;
            }
        }
    }

    /// A page asks for a session.
    fn on_request(&mut self, cx: &mut Context, path: &str, origin: Option<String>) {
        let (Phase::Accepting, Some(http), Some(shared)) = (&self.phase, &mut self.http, cx.shared.as_ref()) else {
            return;
        };
        let status = if path != SESSION_PATH {
            cx.counters.count(Refused::Handshake);
            StatusCode::NOT_FOUND
        } else if shared.allows(origin.as_deref()) {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
        if http.respond(&mut self.quic, status).is_err() {
            return self.break_off(cx, Code::FrameInvalid);
        }
        if status.is_success() {
            self.phase = Phase::Greeting;
            self.origin = origin;
        } else {
            self.phase = Phase::Parting(NO_SESSION);
            self.deadline = Some(cx.at + GRACE);
        }
    }

    fn read_hello(&mut self, cx: &mut Context) -> Result<(), Code> {
        self.lanes.name(&mut self.quic, self.http.is_some())?;
        let Some(first) = self.lanes.hello(&mut self.quic)? else {
            return Ok(());
        };
        let Some(shared) = &cx.shared else {
            return Ok(());
        };
        match shared.read_hello(first) {
            Ok(first) => {
                self.phase = Phase::Holding(Box::new(first));
                self.offer(cx);
            }
            Err(refusal) => self.refuse(cx, refusal),
        }
        Ok(())
    }

    /// Hands the Hello to the node. Before the handshake is over it might be a replay, so then only a resume goes on.
    fn offer(&mut self, cx: &mut Context) {
        let Some(shared) = cx.shared.clone() else {
            return;
        };
        let Phase::Holding(first) = std::mem::replace(&mut self.phase, Phase::Deciding) else {
            return;
        };
        if !self.is_confirmed && first.hello.resume.is_none() {
            self.phase = Phase::Holding(first);
            return;
        }
        self.is_early = !self.is_confirmed;
        self.tell_path();
        self.deadline = Some(cx.at + HANDSHAKE);
        let from = From {
            transport: self.transport(),
            kind: self.lanes.kind(),
            peer: self.quic.remote_address(),
            origin: self.origin.take(),
            query: Vec::new(),
            early: self.is_early,
        };
        let offered = shared.connection().and_then(|place| {
            self.place = Some(place);
            shared.offer_first(*first, from, Arc::clone(&self.outlet))
        });
        if let Err(refusal) = offered {
            self.refuse(cx, refusal);
        }
    }

    fn decide(&mut self, cx: &mut Context, decision: Decision) {
        match decision {
            Decision::Accept { pipe, mailbox, probes } => {
                self.handshake = None;
                self.probes = probes;
                self.counted = Some(cx.counters.open_connection(self.transport()));
                self.intake = Some(Intake::accepted(pipe, mailbox, cx.counters.clone()));
                self.deadline = None;
                self.phase = Phase::Open;
            }
            Decision::Refuse(refusal) => {
                cx.counters.count(Refused::ByNode);
                self.refuse(cx, refusal);
            }
        }
    }

    fn read_messages(&mut self, cx: &mut Context) -> Result<(), Code> {
        let Some(intake) = &mut self.intake else {
            return Ok(());
        };
        intake.retry()?;
        if self.is_early {
            if !self.is_confirmed || intake.is_held() {
                return Ok(());
            }
            self.is_early = false;
            intake.confirmed(cx.at)?;
        }
        self.lanes.name(&mut self.quic, self.http.is_some())?;
        while !intake.is_held()
            && let Some((lane, payload)) = self.lanes.next(&mut self.quic)?
        {
            if self.probes == Probes::Thread
                && lane == LANE_CONTROL
                && let Some(answer) = answer_probe(cx.at, &payload)
            {
                self.outlet.hear(cx.at);
                self.lanes.push_answer(answer);
                intake.nothing(cx.at)?;
                continue;
            }
            match lane {
                LANE_DATAGRAM => intake.datagram_in_order(cx.at, payload)?,
                _ => intake.frame(cx.at, lane, payload)?,
            };
        }
        while let Some(datagram) = self.quic.datagrams().recv() {
            let payload = if self.http.is_some() { http3::datagram_payload(datagram) } else { Ok(datagram) };
            cx.pace.live(cx.at);
            if let Ok(payload) = payload {
                intake.datagram(cx.at, payload);
            }
        }
        Ok(())
    }

    fn send_datagram(&mut self, bytes: Bytes) {
        if self.lanes.kind() == PipeKind::Ordered {
            if !self.lanes.push_datagram(bytes) {
                self.outlet.counters().count(Refused::DatagramOut);
            }
            return;
        }
        let bytes = if self.http.is_some() { http3::datagram(&bytes) } else { bytes };
        let mut datagrams = self.quic.datagrams();
        let is_crowded = datagrams.send_buffer_space() < bytes.len();
        if datagrams.send(bytes, true).is_err() || is_crowded {
            self.outlet.counters().count(Refused::DatagramOut);
        }
    }

    /// The other side broke a rule. It hears so where it can.
    fn break_off(&mut self, cx: &mut Context, code: Code) {
        tracing::debug!(slot = self.id.slot, %code, "a client broke a rule");
        cx.counters.count(Refused::of(code));
        if matches!(self.phase, Phase::Greeting | Phase::Holding(_)) {
            self.refuse(cx, code.into());
        } else if self.is_open() {
            self.lanes.clear(&self.outlet);
            self.leave(cx, code, code.name().to_owned());
        } else {
            self.close(cx, NO_SESSION, "");
        }
    }

    /// Says on lane 0 why there is no session, then closes.
    fn refuse(&mut self, cx: &mut Context, refusal: Refusal) {
        self.lanes.push(LANE_CONTROL, refusal.encode(), &self.outlet);
        self.leave(cx, refusal.code, refusal.code.name().to_owned());
    }

    /// What is queued leaves, if the other side reads it, then the connection closes.
    fn leave(&mut self, cx: &mut Context, code: Code, message: String) {
        self.phase = Phase::Leaving(code, message);
        self.deadline = Some(cx.at + GRACE);
        if code == Code::SlowReader {
            self.say_goodbye(cx);
        }
    }

    /// Goes on with the end of the connection once what was queued has left.
    fn end(&mut self, cx: &mut Context) {
        if matches!(self.phase, Phase::Leaving(..)) && self.lanes.finish(&mut self.quic) {
            self.say_goodbye(cx);
        }
        let is_answered = self.http.as_ref().is_some_and(|http| http.is_acknowledged());
        if matches!(self.phase, Phase::Parting(NO_SESSION)) && is_answered {
            self.close(cx, NO_SESSION, "");
        }
    }

    fn say_goodbye(&mut self, cx: &mut Context) {
        let Phase::Leaving(code, message) = std::mem::replace(&mut self.phase, Phase::Gone) else {
            return;
        };
        self.gone(cx, Some(code));
        let said = self.http.as_mut().map(|http| http.close(&mut self.quic, code.number(), &message));
        match said {
            None => self.close(cx, code.number().into(), &message),
            Some(Err(http3::Broken)) => self.close(cx, http3::error_code(code.number()), &message),
            Some(Ok(())) => {
                let wait = (self.quic.rtt() * 3).max(FAREWELL_MIN);
                self.phase = Phase::Parting(http3::error_code(code.number()));
                self.deadline = Some(cx.at + Micros(wait.as_micros() as u64));
            }
        }
    }

    /// Closes the QUIC connection at once.
    fn close(&mut self, cx: &mut Context, code: VarInt, message: &str) {
        self.quic.close(cx.now, code, Bytes::copy_from_slice(message.as_bytes()));
        self.phase = Phase::Gone;
        self.deadline = None;
        self.handshake = None;
        self.place = None;
        self.outlet.gone();
    }

    /// The session's owner hears that it is over.
    fn gone(&mut self, cx: &mut Context, code: Option<Code>) {
        self.phase = Phase::Gone;
        self.deadline = None;
        self.outlet.gone();
        self.lanes.clear(&self.outlet);
        self.handshake = None;
        self.place = None;
        self.counted = None;
        if let Some(mut intake) = self.intake.take() {
            intake.close(cx.at, code);
            cx.ending.push(intake);
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Leaving(..) | Phase::Parting(_) | Phase::Gone)
    }

    fn transport(&self) -> Transport {
        if self.http.is_some() { Transport::WebTransport } else { Transport::Quic }
    }

    fn transmit(&mut self, cx: &mut Context) {
        while !cx.socket.is_blocked() {
            cx.packets.clear();
            let segments = cx.socket.segments_max().min(SEGMENTS_MAX);
            let Some(transmit) = self.quic.poll_transmit(cx.now, segments, &mut cx.packets) else {
                return;
            };
            cx.pace.count(segments_of(&transmit));
            cx.socket.send(&transmit, &cx.packets);
        }
        cx.blocked.push(self.id.slot);
    }

    /// Tells the owner what the path takes now.
    fn tell_path(&mut self) {
        if self.lanes.kind() == PipeKind::Ordered {
            return self.outlet.path.tell(DATAGRAM_BYTES_NATIVE_MAX, false, self.quic.rtt());
        }
        let datagrams = self.quic.datagrams();
        let max = datagrams.max_size().unwrap_or(0);
        let congested = datagrams.send_buffer_space() + DATAGRAM_ENTRY_BYTES < DATAGRAM_SEND_BYTES_MAX;
        let max = if self.http.is_some() {
            max.saturating_sub(1).min(DATAGRAM_BYTES_BROWSER_MAX)
        } else if self.quic.current_mtu() > INITIAL_MTU {
            max
        } else {
            max.min(DATAGRAM_BYTES_NATIVE_MAX)
        };
        self.outlet.path.tell(max, congested, self.quic.rtt());
    }

    /// Sets the timer for what comes next.
    fn set_timer(&mut self, cx: &mut Context) {
        let quic = self.quic.poll_timeout().map(|at| cx.clock.at(at));
        let held = self.intake.as_ref().filter(|intake| intake.is_held()).map(|_| cx.at + HELD_RETRY);
        match [quic, self.deadline, held].into_iter().flatten().min() {
            Some(next) => cx.wheel.set(next, self.id),
            None => cx.wheel.clear(self.id),
        }
    }
}

/// The code the other side closed with, when it named one of ours.
fn code_of_close(reason: &ConnectionError, is_web: bool) -> Option<Code> {
    match reason {
        ConnectionError::ApplicationClosed(close) => {
            let number = close.error_code.into_inner();
            let number = if is_web { error_from_http3(number)? } else { u32::try_from(number).ok()? };
            Code::from_number(number)
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

/// How many packets a transmission holds.
fn segments_of(transmit: &Transmit) -> usize {
    transmit.segment_size.map_or(1, |bytes| transmit.size.div_ceil(bytes.max(1)))
}

/// Whether a TLS client spoke none of our protocols.
pub(super) fn is_alpn(error: &ConnectionError) -> bool {
    let code = TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL);
    matches!(error, ConnectionError::TransportError(error) if error.code == code)
}
