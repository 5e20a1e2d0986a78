//! A player's side: the client, how it dials, and the seat it must keep.

use amphi_clients_rust::{Client, ClientConfig, ClientEvent, ClientOutput};
use amphi_shared_replica::{Game, Input};
use amphi_shared_session::{Config, PipeId, PipeKind};
use amphi_shared_wire::{AppId, Micros, Rng};

/// Longest time away from the network.
const AWAY_US_MAX: u64 = 4_000_000;

/// One player.
pub(crate) struct Player<I: Input> {
    pub(crate) client: Client<I>,
    pub(crate) kind: PipeKind,
    /// A pipe that is dialled and not there yet.
    pub(crate) opening: Option<PipeId>,
    pub(crate) dials_at: Option<Micros>,
    /// The seat of the first greeting.
    pub(crate) seat: Option<u8>,
    closed: bool,
}

impl<I: Input> Player<I> {
    pub(crate) fn new(game: &Game, now: Micros, kind: PipeKind) -> Self {
        let session = Config { path_silent_after: Some(Micros::from_millis(300)), ..Config::default() };
        let config = ClientConfig { app: AppId::default(), token: "token".to_owned(), resume: None, session };
        Self { client: Client::new(game, config), kind, opening: None, dials_at: Some(now), seat: None, closed: false }
    }

    /// The next thing the client wants done; its events are noted.
    pub(crate) fn poll(&mut self, now: Micros, rng: &mut Rng) -> Result<Option<ClientOutput>, String> {
        while let Some(output) = self.client.poll_output() {
            match output {
                ClientOutput::Event(event) => self.note(now, event, rng)?,
                ClientOutput::Frame { .. } | ClientOutput::Datagram { .. } | ClientOutput::ClosePipe { .. } => {
                    return Ok(Some(output));
                }
            }
        }
        let session = self.client.session();
        let idle = !session.is_attached() && !session.is_dialing() && self.opening.is_none() && !self.closed;
        if idle && self.dials_at.is_none() {
            self.dials_at = Some(now + Micros(20_000 + rng.below(300_000)));
        }
        Ok(None)
    }

    fn note(&mut self, now: Micros, event: ClientEvent, rng: &mut Rng) -> Result<(), String> {
        match event {
            ClientEvent::Joined(joined) => {
                let seat = *self.seat.get_or_insert(joined.seat);
                if seat != joined.seat {
                    return Err(format!("the player of seat {seat} came back to seat {}", joined.seat));
                }
            }
            // Sometimes nobody is there to dial for a while.
            ClientEvent::Detached => {
                let away = if rng.chance(200) { rng.below(AWAY_US_MAX) } else { rng.below(400_000) };
                self.dials_at = Some(now + Micros(away));
            }
            ClientEvent::PathSilent => self.dials_at = Some(now),
            ClientEvent::Closed { .. } => self.closed = true,
            ClientEvent::Refused(_)
            | ClientEvent::Attached { .. }
            | ClientEvent::Roster(_)
            | ClientEvent::Game(_)
            | ClientEvent::Answer { .. }
            | ClientEvent::Ended(_) => {}
        }
        Ok(())
    }
}
