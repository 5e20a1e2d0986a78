//! A listener and one thread that owns all its sessions, as a room worker does, without a room.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::mpsc as thread_mpsc;
use std::thread;

use amphi_shared_auth::{Keyring, random_bytes};
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::http::Routes;
use amphi_shared_edge::session::{Incoming, PipeEvent, PipeEventKind, PipeHandle, PipeId};
use amphi_shared_edge::{ListenConfig, Listener, Origins, Sessions};
use amphi_shared_session::{Config, Event, Output, PipeInfo, ServerParams, Session};
use amphi_shared_wire::{Code, Micros, Rng, Seed, SessionId};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::chain;
use crate::harness::Stage;

/// Events that wait for the owner, as for a room worker.
const MAILBOX_MAX: usize = 16_384;

/// What a listener with an owner says when it is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) address: SocketAddr,
}

/// A session and what its bench keeps of it.
pub(crate) struct Owned<S> {
    pub(crate) engine: Session,
    pub(crate) state: S,
}

/// All sessions of a listener.
pub(crate) struct Owner<S> {
    clock: Clock,
    incoming: thread_mpsc::Receiver<Incoming>,
    mailbox: mpsc::Sender<PipeEvent>,
    events: mpsc::Receiver<PipeEvent>,
    /// By place; sessions never leave.
    sessions: Vec<Owned<S>>,
    places: HashMap<SessionId, usize>,
    pipes: HashMap<PipeId, (usize, PipeHandle)>,
    pipes_made: u32,
    ids: Rng,
    is_wanted: bool,
}

/// Listens, and runs an owner on a thread of its own until the stage ends; `run` returns when its owner is not wanted
/// any more.
///
/// # Errors
/// When nothing can listen.
pub(crate) fn serve<S: Default + 'static>(
    mut stage: Stage,
    run: impl FnOnce(Owner<S>) + Send + 'static,
) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let (clock, folder) = (Clock::start(), tempfile::tempdir()?);
        let mut listening = Listener::bind(ListenConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            routes: Routes::new(),
            verifier: Keyring::generate().verifier(),
            clock,
            tls: Some(chain::write(folder.path())?),
            sessions: Some(Sessions { certificate: Certificate::generate(clock.now())?, origins: Origins::Any }),
        })?;
        let (admit, incoming) = thread_mpsc::channel();
        let thread = thread::Builder::new().name("owner".to_owned()).spawn(move || run(Owner::new(clock, incoming)))?;
        stage.ready(serde_json::to_string(&Ready { address: listening.local_addr })?);
        loop {
            tokio::select! {
                // An owner that has ended refuses by letting go of it.
                Some(incoming) = listening.incoming.recv() => drop(admit.send(incoming)),
                () = stage.stopped() => break,
            }
        }
        drop(admit);
        thread.join().map_err(|_| anyhow::anyhow!("the owner panicked"))
    })
}

impl<S: Default> Owner<S> {
    fn new(clock: Clock, incoming: thread_mpsc::Receiver<Incoming>) -> Self {
        let (mailbox, events) = mpsc::channel(MAILBOX_MAX);
        Self {
            clock,
            incoming,
            mailbox,
            events,
            sessions: Vec::new(),
            places: HashMap::new(),
            pipes: HashMap::new(),
            pipes_made: 0,
            ids: Seed(1).rng(),
            is_wanted: true,
        }
    }

    /// False when the stage has ended.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// Takes everything that has arrived, lets `act` answer and add, and sends what there is to send.
    pub(crate) fn drain(
        &mut self,
        mut answer: impl FnMut(&mut Owned<S>, Micros, Event),
        mut act: impl FnMut(&mut Owned<S>, Micros),
    ) {
        let now = self.clock.now();
        loop {
            match self.incoming.try_recv() {
                Ok(incoming) => {
                    self.admit(now, incoming);
                }
                Err(thread_mpsc::TryRecvError::Empty) => break,
                Err(thread_mpsc::TryRecvError::Disconnected) => {
                    self.is_wanted = false;
                    break;
                }
            }
        }
        for _ in 0..MAILBOX_MAX {
            let Ok(event) = self.events.try_recv() else { break };
            self.handle(now, event);
        }
        for place in 0..self.sessions.len() {
            let session = &mut self.sessions[place];
            if session.engine.poll_timeout().is_some_and(|(due, _)| due <= now) {
                session.engine.handle_timeout(now);
            }
            self.flush(now, place, &mut answer);
            act(&mut self.sessions[place], now);
            self.flush(now, place, &mut answer);
        }
    }

    /// Waits until `due`. Whoever comes meanwhile is answered at once, as by a room worker, and `act` may add to it.
    pub(crate) fn admit_until(&mut self, due: Micros, mut act: impl FnMut(&mut Owned<S>, Micros)) {
        loop {
            match self.incoming.recv_timeout(self.clock.until(due)) {
                Ok(incoming) => {
                    let now = self.clock.now();
                    let Some(place) = self.admit(now, incoming) else { continue };
                    self.flush(now, place, &mut |_, _, _| {});
                    act(&mut self.sessions[place], now);
                    self.flush(now, place, &mut |_, _, _| {});
                }
                Err(thread_mpsc::RecvTimeoutError::Timeout) => return,
                Err(thread_mpsc::RecvTimeoutError::Disconnected) => {
                    self.is_wanted = false;
                    return;
                }
            }
        }
    }

    /// Anyone may come: the bench is about what follows. The place of the session, unless it refuses.
    fn admit(&mut self, now: Micros, incoming: Incoming) -> Option<usize> {
        self.pipes_made += 1;
        let pipe = PipeId(self.pipes_made);
        let info =
            PipeInfo { id: pipe, kind: incoming.kind, max_datagram: incoming.max_datagram, early: incoming.early };
        let place = match &incoming.hello.resume {
            Some(resume) => {
                let place = self.places.get(&resume.session).copied();
                let attached = place
                    .ok_or_else(|| Code::SessionUnknown.into())
                    .and_then(|place| self.sessions[place].engine.attach(now, &incoming.hello, info).map(|()| place));
                match attached {
                    Ok(place) => place,
                    Err(refusal) => {
                        incoming.refuse(refusal);
                        return None;
                    }
                }
            }
            None => {
                let session = SessionId::generate(now, &mut self.ids);
                let (secret, clock_id) = (random_bytes(), self.clock.id());
                let params = ServerParams { session, secret, clock_id, tick: None, capabilities: Vec::new() };
                let engine = Session::accept(now, Config::default(), params, &incoming.hello, info);
                self.sessions.push(Owned { engine, state: S::default() });
                self.places.insert(session, self.sessions.len() - 1);
                self.sessions.len() - 1
            }
        };
        self.pipes.insert(pipe, (place, incoming.accept(pipe, self.mailbox.clone())));
        Some(place)
    }

    fn handle(&mut self, now: Micros, event: PipeEvent) {
        let Some((place, _)) = self.pipes.get(&event.pipe) else { return };
        let engine = &mut self.sessions[*place].engine;
        match event.kind {
            PipeEventKind::Frame { lane, payload } => engine.handle_frame(now, event.pipe, lane, payload),
            PipeEventKind::Datagram(bytes) => engine.handle_datagram(event.at, event.pipe, bytes),
            PipeEventKind::Confirmed => engine.handle_pipe_confirmed(now, event.pipe),
            PipeEventKind::Closed(code) => {
                engine.handle_pipe_closed(now, event.pipe, code);
                self.pipes.remove(&event.pipe);
            }
        }
    }

    fn flush(&mut self, now: Micros, place: usize, answer: &mut impl FnMut(&mut Owned<S>, Micros, Event)) {
        while let Some(output) = self.sessions[place].engine.poll_output() {
            match output {
                Output::Frame { pipe, lane, payload } => {
                    let Some((_, handle)) = self.pipes.get(&pipe) else { continue };
                    if handle.frame(lane, payload).is_err() {
                        // A reader that is too slow loses its connection and comes back.
                        handle.close(Code::SlowReader, Code::SlowReader.help());
                        self.pipes.remove(&pipe);
                        self.sessions[place].engine.handle_pipe_closed(now, pipe, Some(Code::SlowReader));
                    }
                }
                Output::Datagram { pipe, bytes } => {
                    if let Some((_, handle)) = self.pipes.get(&pipe) {
                        handle.datagram(bytes);
                    }
                }
                Output::ClosePipe { pipe, code, message } => {
                    if let Some((_, handle)) = self.pipes.remove(&pipe) {
                        handle.close(code, &message);
                    }
                }
                Output::Event(event) => answer(&mut self.sessions[place], now, event),
            }
        }
    }
}
