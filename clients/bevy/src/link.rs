//! The app's side of the connection: how it is, and what to do with it.

use amphi_clients_rust::ClientStats;
use amphi_shared_wire::{Micros, Tick};
use bevy_ecs::prelude::Resource;
use tokio::sync::mpsc;

use crate::Invitation;
use crate::driver::Command;

/// Where a player is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// In no match.
    #[default]
    Idle,
    /// A host is being reached.
    Dialling,
    /// In a match.
    Playing,
    /// In a match, without a connection at the moment.
    Lost,
}

/// The connection to the match, as of this frame.
#[derive(Debug, Resource)]
pub struct MatchLink {
    pub(crate) commands: Option<mpsc::Sender<Command>>,
    pub(crate) phase: Phase,
    pub(crate) seat: Option<u8>,
    pub(crate) rtt: Option<Micros>,
    pub(crate) tick: Tick,
    pub(crate) stats: ClientStats,
    pub(crate) dropped: u64,
}

impl MatchLink {
    pub(crate) fn new(commands: Option<mpsc::Sender<Command>>) -> Self {
        Self {
            commands,
            phase: Phase::Idle,
            seat: None,
            rtt: None,
            tick: Tick(0),
            stats: ClientStats::default(),
            dropped: 0,
        }
    }

    /// Joins a match; one that is being played is left. False when more is asked of the connection than it can do: try in
    /// the next frame.
    pub fn join(&self, invitation: Invitation) -> bool {
        self.command(Command::Join(invitation))
    }

    /// Leaves the match: the seat goes back to a bot. False as with [`Self::join`].
    pub fn leave(&self) -> bool {
        self.command(Command::Leave)
    }

    /// Where the player is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The own seat.
    pub fn seat(&self) -> Option<u8> {
        self.seat
    }

    /// Round trip to the host.
    pub fn rtt(&self) -> Option<Micros> {
        self.rtt
    }

    /// The newest tick received.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// Counters of this match.
    pub fn stats(&self) -> ClientStats {
        self.stats
    }

    /// Messages that came while no frame ran, and were dropped: the app was stopped for too long.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn command(&self, command: Command) -> bool {
        self.commands.as_ref().is_some_and(|commands| commands.try_send(command).is_ok())
    }
}
