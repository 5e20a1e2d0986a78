//! A player's side: the client, how it dials, and the seat it must keep.

use std::collections::VecDeque;

use amphi_clients_rust::{Client, ClientConfig, ClientEvent, ClientOutput};
use amphi_shared_replica::{Game, Input, NetId};
use amphi_shared_session::{Config, PipeId, PipeKind};
use amphi_shared_wire::{AppId, Code, Datagram, LANE_INPUT, Micros, Rng, Tick};
use bytes::Bytes;

/// Longest time away from the network.
const AWAY_US_MAX: u64 = 4_000_000;
/// Datagrams that someone who breaks the rules can send again.
const RECORDED: usize = 8;

/// Whether a player is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Not yet.
    Away,
    Here,
    /// They have left, and say so.
    Leaving,
    /// Their machine is off.
    Gone,
}

/// One player.
pub(crate) struct Player<I: Input> {
    pub(crate) client: Client<I>,
    pub(crate) presence: Presence,
    pub(crate) kind: PipeKind,
    /// A pipe that is dialled and not there yet.
    pub(crate) opening: Option<PipeId>,
    pub(crate) dials_at: Option<Micros>,
    /// The seat of the first greeting.
    pub(crate) seat: Option<u8>,
    /// Why the session is over.
    pub(crate) closed: Option<Code>,
    /// Since when nobody plays here any more.
    pub(crate) over_at: Option<Micros>,
    /// Snapshots and parts that were compared with the truth.
    pub(crate) read: u64,
    /// Rows that were compared, by id.
    pub(crate) rows: Vec<(NetId, Tick)>,
    /// What it sent last.
    pub(crate) sent: VecDeque<Bytes>,
}

impl<I: Input> Player<I> {
    pub(crate) fn new(game: &Game, kind: PipeKind) -> Self {
        let session = Config { path_silent_after: Some(Micros::from_millis(300)), ..Config::default() };
        let config = ClientConfig { app: AppId::default(), token: "token".to_owned(), resume: None, session };
        Self {
            client: Client::new(game, config),
            presence: Presence::Away,
            kind,
            opening: None,
            dials_at: None,
            seat: None,
            closed: None,
            over_at: None,
            read: 0,
            rows: Vec::new(),
            sent: VecDeque::new(),
        }
    }

    /// Comes, with nothing remembered of an earlier time.
    pub(crate) fn join(&mut self, game: &Game, now: Micros) {
        *self = Self { presence: Presence::Here, dials_at: Some(now), ..Self::new(game, self.kind) };
    }

    /// Leaves in order, or is off from now on.
    pub(crate) fn go(&mut self, now: Micros, presence: Presence) {
        self.presence = presence;
        self.over_at.get_or_insert(now);
    }

    /// The machine is on.
    pub(crate) fn is_on(&self) -> bool {
        matches!(self.presence, Presence::Here | Presence::Leaving)
    }

    /// Plays, and is to play on.
    pub(crate) fn is_here(&self) -> bool {
        self.presence == Presence::Here && self.closed.is_none()
    }

    /// Dials when there is nothing to play over.
    pub(crate) fn rest(&mut self, now: Micros, rng: &mut Rng) {
        let session = self.client.session();
        let idle = !session.is_attached() && !session.is_dialing() && self.opening.is_none() && self.is_here();
        if idle && self.dials_at.is_none() {
            self.dials_at = Some(now + Micros(20_000 + rng.below(300_000)));
        }
    }

    /// Remembers a datagram that leaves.
    pub(crate) fn record(&mut self, output: &ClientOutput) {
        let ClientOutput::Datagram { bytes, .. } = output else { return };
        // One that only acknowledges has no number.
        if !Datagram::decode(bytes.clone()).is_ok_and(|datagram| datagram.lane == LANE_INPUT) {
            return;
        }
        if self.sent.len() == RECORDED {
            self.sent.pop_front();
        }
        self.sent.push_back(bytes.clone());
    }

    pub(crate) fn note(&mut self, now: Micros, event: &ClientEvent, rng: &mut Rng) -> Result<(), String> {
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
            ClientEvent::Closed { code, .. } => {
                (self.closed, self.dials_at) = (Some(*code), None);
                self.over_at.get_or_insert(now);
            }
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
