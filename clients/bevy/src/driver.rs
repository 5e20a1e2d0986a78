//! The thread that holds the connection: it dials, plays and dials again.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use amphi_clients_rust::quic::{ConnectError, Player};
use amphi_clients_rust::{ClientConfig, ClientEvent, SessionConfig};
use amphi_shared_replica::{Game, Input};
use amphi_shared_wire::limits::{CLIENT_COMMANDS_MAX, CLIENT_EVENTS_MAX};
use amphi_shared_wire::{AppId, Micros};
use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use crate::Invitation;
use crate::news::{News, Told};

/// A first connection is tried this long. A connect token is good for about a minute.
const DIAL_PATIENCE: Micros = Micros::from_secs(15);
/// Pause between two tries.
const DIAL_PAUSE: Duration = Duration::from_millis(500);
/// The thread looks after its connection at least this often: a redial is due at a time that only the player knows.
const NAP_MAX: Micros = Micros::from_millis(20);
/// Further than any match is long.
const HOUR: Micros = Micros::from_secs(3_600);

/// What the app wants of the thread.
#[derive(Debug)]
pub(crate) enum Command {
    Join(Invitation),
    Leave,
}

/// What thread and frames share.
pub(crate) struct Shared<I: Input> {
    state: Mutex<State<I>>,
    /// There is something to send.
    wake: Notify,
    /// The app has ended.
    quit: Notify,
}

/// The player, and what frames have not been told yet.
pub(crate) struct State<I: Input> {
    pub(crate) player: Option<Player<I>>,
    /// Counts matches joined, so that entities of the one before are not mistaken for this one's.
    pub(crate) joins: u32,
    pub(crate) dialling: bool,
    /// Oldest first; beyond [`CLIENT_EVENTS_MAX`] the oldest is dropped.
    pub(crate) told: VecDeque<Told>,
    pub(crate) dropped: u64,
}

/// The thread. It leaves the match when this is dropped.
pub(crate) struct Driver<I: Input> {
    shared: Arc<Shared<I>>,
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl<I: Input> Driver<I> {
    /// Starts the thread; it waits for a match to join.
    pub(crate) fn start(game: Game) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let state = State { player: None, joins: 0, dialling: false, told: VecDeque::new(), dropped: 0 };
        let shared = Arc::new(Shared { state: Mutex::new(state), wake: Notify::new(), quit: Notify::new() });
        let (commands, inbox) = mpsc::channel(CLIENT_COMMANDS_MAX);
        let thread = {
            let shared = Arc::clone(&shared);
            let serve = move || runtime.block_on(serve(&game, &shared, inbox));
            std::thread::Builder::new().name("amphi-client".to_owned()).spawn(serve)?
        };
        Ok(Self { shared, commands, thread: Some(thread) })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<I>> {
        &self.shared
    }

    pub(crate) fn commands(&self) -> mpsc::Sender<Command> {
        self.commands.clone()
    }
}

impl<I: Input> Drop for Driver<I> {
    fn drop(&mut self) {
        self.shared.quit.notify_one();
        if let Some(thread) = self.thread.take() {
            // The goodbye takes half a second at most. A thread that has panicked has said so.
            let _ = thread.join();
        }
    }
}

impl<I: Input> Shared<I> {
    /// The state. A thread that panicked leaves it as it was.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request; `None` without a match, or when too much waits already.
    pub(crate) fn request(&self, kind: u32, body: Bytes) -> Option<u32> {
        let mut state = self.lock();
        let player = state.player.as_mut()?;
        let now = player.now();
        let asked = player.client().request_body(now, kind, body).ok();
        self.wake.notify_one();
        asked
    }

    /// What the app wants next; `None` when it has ended.
    async fn command(&self, inbox: &mut mpsc::Receiver<Command>) -> Option<Command> {
        tokio::select! {
            biased;
            () = self.quit.notified() => None,
            command = inbox.recv() => command,
        }
    }

    fn dialling(&self) {
        let mut state = self.lock();
        state.joins += 1;
        state.dialling = true;
    }

    fn dialled(&self, player: Option<Player<I>>) {
        let mut state = self.lock();
        state.player = player;
        state.dialling = false;
    }

    fn tell(&self, told: Told) {
        let mut state = self.lock();
        if state.told.len() == CLIENT_EVENTS_MAX {
            state.told.pop_front();
            state.dropped += 1;
        }
        state.told.push_back(told);
    }

    fn fail(&self, message: String) {
        self.tell(Told::News(News::Failed { message }));
    }

    /// When the thread has to look after its connection again.
    fn nap(&self) -> Duration {
        let mut state = self.lock();
        let nap = state.player.as_mut().map_or(NAP_MAX, |player| {
            let now = player.now();
            player.client().poll_timeout(now).map_or(NAP_MAX, |at| at.since(now).min(NAP_MAX))
        });
        Duration::from_micros(nap.0)
    }
}

async fn serve<I: Input>(game: &Game, shared: &Shared<I>, mut inbox: mpsc::Receiver<Command>) {
    let mut next = shared.command(&mut inbox).await;
    while let Some(command) = next {
        next = match command {
            Command::Join(invitation) => match join(game, shared, &invitation, &mut inbox).await {
                Ok(()) => play(shared, &mut inbox).await,
                Err(interrupted) => interrupted,
            },
            Command::Leave => shared.command(&mut inbox).await,
        };
        let left = shared.lock().player.take();
        if let Some(player) = left {
            player.leave().await;
        }
    }
}

/// Connects, with patience; the next command when that is not to be.
async fn join<I: Input>(
    game: &Game,
    shared: &Shared<I>,
    invitation: &Invitation,
    inbox: &mut mpsc::Receiver<Command>,
) -> Result<(), Option<Command>> {
    shared.dialling();
    let dial = tokio::select! {
        dial = dial(game, invitation) => dial,
        command = shared.command(inbox) => {
            shared.dialled(None);
            return Err(command);
        }
    };
    match dial {
        Ok(player) => {
            shared.dialled(Some(player));
            Ok(())
        }
        Err(error) => {
            shared.dialled(None);
            shared.fail(format!(
                "{error}. Is the host up, and its UDP port open from here? Ask for a new token and join again."
            ));
            Err(shared.command(inbox).await)
        }
    }
}

async fn dial<I: Input>(game: &Game, invitation: &Invitation) -> Result<Player<I>, ConnectError> {
    let started = tokio::time::Instant::now();
    loop {
        let config = ClientConfig {
            app: AppId::default(),
            token: invitation.token.clone(),
            resume: None,
            session: SessionConfig::default(),
        };
        match Player::connect(game, config, invitation.host()).await {
            Err(ConnectError::Unreachable { .. }) if started.elapsed().as_micros() < u128::from(DIAL_PATIENCE.0) => {
                tokio::time::sleep(DIAL_PAUSE).await;
            }
            dialled => return dialled,
        }
    }
}

/// Plays until the session is over or the app wants something else: the next command.
async fn play<I: Input>(shared: &Shared<I>, inbox: &mut mpsc::Receiver<Command>) -> Option<Command> {
    loop {
        tokio::select! {
            stepped = step(shared) => match stepped {
                Ok(Some(event)) => {
                    let told = Told::of(event);
                    let last = matches!(&told, Some(Told::News(news)) if news.is_last());
                    if let Some(told) = told {
                        shared.tell(told);
                    }
                    if last {
                        // There is nothing left to say goodbye to.
                        shared.lock().player = None;
                        return shared.command(inbox).await;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    shared.lock().player = None;
                    shared.fail(format!("{error}. Ask for a new token and join again."));
                    return shared.command(inbox).await;
                }
            },
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(shared.nap()) => {}
            command = shared.command(inbox) => return command,
        }
    }
}

/// Runs the player up to its next event. The state is locked while there is something to do, not while it waits.
///
/// Each poll makes a new future of [`Player::run`]: all that it awaits is kept in the player, or is due again after a nap.
async fn step<I: Input>(shared: &Shared<I>) -> Result<Option<ClientEvent>, ConnectError> {
    poll_fn(|context| {
        let mut state = shared.lock();
        let Some(player) = state.player.as_mut() else { return Poll::Ready(Ok(None)) };
        let until = player.now() + HOUR;
        pin!(player.run(until)).poll(context)
    })
    .await
}
