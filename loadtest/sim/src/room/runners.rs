//! Players of the sample game who run and jump.

use amphi_clients_rust::Client;
use amphi_server_arena::movement::PlayerBody;
use amphi_server_arena::{Arena, ArenaInput, Pose};
use amphi_shared_replica::Game;
use amphi_shared_wire::{Micros, Rng};

use super::cast::Cast;
use super::world::{Play, Turn, World};
use crate::net::Link;

/// Players who run, each turn into another direction.
#[derive(Debug, Default)]
pub(crate) struct Runners;

impl Play for Runners {
    type Input = ArenaInput;

    const LINK: Link = Link {
        latency: Micros::from_millis(20),
        jitter: Micros::from_millis(2),
        lost_permille: 30,
        doubled_permille: 20,
        late_permille: 100,
        corrupted_permille: 5,
        max_datagram: 1_000,
    };
    const TURN_EVERY: Micros = Micros::from_millis(400);

    fn game() -> Game {
        Game::new("arena", Arena)
    }

    fn new(_: &Cast) -> Self {
        Self
    }

    fn turn(&mut self, turn: Turn, client: &mut Client<ArenaInput>, rng: &mut Rng) {
        let running = ArenaInput {
            move_x: rng.below(255) as i8,
            move_y: 127,
            yaw: rng.below(65_536) as u16,
            ..ArenaInput::default()
        };
        let running = running.with_buttons(rng.chance(200), false, false);
        client.set_input(if turn.still { ArenaInput::default() } else { running });
    }

    /// The player holds what spectators saw of the same tick, also while the ball still rolls, and predicts where it stands.
    fn check(world: &World<Self>, who: usize) -> Result<(), String> {
        let client = world.client(who);
        if client.stats().snapshots_trained == 0 {
            return Err(format!("player {who} got no snapshot in the tables of the game"));
        }
        let same =
            world.truth::<PlayerBody>(who)? == client.received() && world.truth::<Pose>(who)? == client.received();
        if !same {
            return Err(format!("player {who} sees another world at tick {}", client.tick()));
        }
        let own = client.own::<PlayerBody>();
        let received = client.received::<PlayerBody>();
        let truth = client.own_id().and_then(|id| received.iter().find(|(known, _)| *known == id));
        // Not its height: a prediction knows no crate to stand on.
        let ground = |body: PlayerBody| [body.x, body.z];
        if own.is_none() || own.map(ground) != truth.map(|(_, body)| ground(*body)) {
            return Err(format!("player {who} stands at {own:?}, truly at {truth:?}"));
        }
        Ok(())
    }
}
