//! Players who shoot at each other: each shot is there at once, once, and gone when it is over.

use std::collections::BTreeSet;
use std::sync::Arc;

use amphi_clients_rust::{Client, ClientStats};
use amphi_shared_replica::{
    Begin, Game, Input, Inputs, Mode, NetId, ReplicaApp, Replicate, Schema, Seat, Seats, SimTick, Simulate, SpawnFor,
    SpawnedFor, authority,
};
use amphi_shared_wire::limits::SPAWN_SLACK_TICKS;
use amphi_shared_wire::{Micros, Rng};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::{Commands, Component, Entity, IntoScheduleConfigs, Query, Res};

use super::cast::Cast;
use super::ledger::{Entry, Frame};
use super::world::{Play, Turn, Watched, World};
use crate::net::Link;

/// Ticks between two shots of a player.
const RELOAD: u32 = 8;
/// Ticks that a bolt flies.
const FLIGHT: u32 = 50;
/// What a bolt flies in a tick.
const SPEED: i32 = 25;
/// Where the second player stands.
const FAR: i32 = 1_000;

/// What a player wants.
#[derive(Clone, Default, PartialEq, Input)]
pub(crate) struct Trigger {
    fire: bool,
}

/// A player.
#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Gunner {
    x: i32,
    ready_at: u32,
    shots: u32,
}

/// What players shoot.
#[derive(Clone, Component, Copy, Replicate)]
struct Bolt {
    x: i32,
    speed: i32,
    until: u32,
}

/// The game, with hits or with walls that take every bolt.
#[derive(Clone)]
struct Duel {
    hits: bool,
}

impl Plugin for Duel {
    fn build(&self, app: &mut App) {
        app.replicate::<SpawnedFor>().predict::<Gunner>().predict::<Bolt>().interpolate::<Bolt>().input::<Trigger>();
        app.modes(&[Mode { name: "duel", teams: 2, team_size: 1, duration_s: 600 }]);
        app.add_systems(Begin, begin.run_if(authority));
        app.add_systems(Simulate, (shoot, fly).chain());
        if self.hits {
            // For the server to know: clients are surprised.
            app.add_systems(Simulate, hit.run_if(authority).after(fly));
        }
    }
}

fn begin(mut commands: Commands<'_, '_>, seats: Res<'_, Seats>) {
    for (seat, _) in seats.iter() {
        commands.spawn((seat, Gunner { x: i32::from(seat.0) * FAR, ready_at: 0, shots: 0 }));
    }
}

fn shoot(
    mut commands: Commands<'_, '_>,
    tick: Res<'_, SimTick>,
    inputs: Res<'_, Inputs<Trigger>>,
    mut gunners: Query<'_, '_, (&Seat, &mut Gunner)>,
) {
    let now = tick.0.0;
    for (seat, mut gunner) in &mut gunners {
        if inputs.get(*seat).fire && now >= gunner.ready_at {
            *gunner = Gunner { ready_at: now + RELOAD, shots: gunner.shots + 1, ..*gunner };
            let speed = if seat.0 == 0 { SPEED } else { -SPEED };
            commands.spawn_for(*seat, Bolt { x: gunner.x, speed, until: now + FLIGHT });
        }
    }
}

fn fly(mut commands: Commands<'_, '_>, tick: Res<'_, SimTick>, mut bolts: Query<'_, '_, (Entity, &mut Bolt)>) {
    for (entity, mut bolt) in &mut bolts {
        bolt.x += bolt.speed;
        if tick.0.0 >= bolt.until {
            commands.entity(entity).despawn();
        }
    }
}

/// Who is hit moves back and cannot shoot for a moment.
fn hit(
    mut commands: Commands<'_, '_>,
    tick: Res<'_, SimTick>,
    bolts: Query<'_, '_, (Entity, &SpawnedFor, &Bolt)>,
    mut gunners: Query<'_, '_, (&Seat, &mut Gunner)>,
) {
    for (entity, key, bolt) in &bolts {
        for (_, mut gunner) in gunners.iter_mut().filter(|(seat, _)| seat.0 != key.seat) {
            if (gunner.x - bolt.x).abs() < SPEED {
                gunner.x += bolt.speed.signum();
                gunner.ready_at = gunner.ready_at.max(tick.0.0 + RELOAD / 2);
                commands.entity(entity).despawn();
            }
        }
    }
}

/// Players who shoot, with connections that break or on a path that is only bad, and with bolts that hit or not.
#[derive(Debug)]
pub(crate) struct Shots<const BREAKS: bool, const HITS: bool> {
    schema: Arc<Schema>,
    /// By player.
    shown: Vec<Shown>,
}

/// The own bolts that a player is shown, and those that are over, by what shows them goes by.
#[derive(Debug, Default)]
struct Shown {
    now: BTreeSet<NetId>,
    gone: BTreeSet<NetId>,
}

impl Shown {
    /// The bolts shown now, each id once. What is gone does not come again.
    fn change(&mut self, now: BTreeSet<NetId>, breaks: bool) -> Result<(), String> {
        self.gone.extend(self.now.difference(&now).copied());
        if let Some(id) = now.intersection(&self.gone).next().filter(|_| !breaks) {
            return Err(format!("bolt {} was gone and came again", id.0));
        }
        self.now = now;
        Ok(())
    }
}

impl<const BREAKS: bool, const HITS: bool> Play for Shots<BREAKS, HITS> {
    type Input = Trigger;

    const LINK: Link = Link {
        latency: Micros::from_millis(40),
        jitter: Micros::from_millis(10),
        lost_permille: 100,
        doubled_permille: 20,
        late_permille: 150,
        corrupted_permille: 5,
        max_datagram: 1_000,
    };
    const TURN_EVERY: Micros = Micros::from_millis(120);

    fn game() -> Game {
        Game::new("duel", Duel { hits: HITS })
    }

    fn new(cast: &Cast) -> Self {
        let shown = cast.players.iter().map(|_| Shown::default()).collect();
        Self { schema: Self::game().schema().clone(), shown }
    }

    fn turn(&mut self, turn: Turn, client: &mut Client<Trigger>, rng: &mut Rng) {
        client.set_input(Trigger { fire: rng.chance(400) && !turn.still });
    }

    /// The owner alone is told of a key.
    fn may_see(&self, seat: u8, _frame: &Frame, entry: &Entry) -> u64 {
        let of_another = entry.now.spawned(&self.schema).is_some_and(|key| key.seat != seat);
        let key = self.schema.components().iter().position(|component| component.name == SpawnedFor::NAME);
        let hidden = key.filter(|_| of_another).map_or(0, |component| 1 << component);
        !hidden
    }

    /// No shot is shown twice, none that the server refused goes on, and none flickers while the connection holds.
    fn watch(&mut self, watched: &Watched<'_, Trigger>) -> Result<(), String> {
        let Watched { who, client, now, .. } = *watched;
        let (mut ids, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for shown in client.shown_rows(now) {
            let Some(key) = shown.row.spawned(&self.schema) else { continue };
            if !ids.insert(shown.shown_as) || !keys.insert(key) {
                return Err(format!("player {who} sees {key:?} twice"));
            }
            if shown.id.is_provisional() && key.tick + SPAWN_SLACK_TICKS < client.tick().0 {
                return Err(format!("player {who} still sees {key:?}, of which tick {} tells nothing", client.tick()));
            }
        }
        self.shown[who].change(ids, BREAKS).map_err(|what| format!("player {who}: {what}"))
    }

    /// All that was predicted has been decided on, and nothing is left over. While the connection holds, the server's shots are
    /// those that were predicted, but for hits and for inputs that came late.
    fn check(world: &World<Self>, who: usize) -> Result<(), String> {
        let client = world.client(who);
        let own = client.own::<Gunner>().ok_or_else(|| format!("player {who} is not there"))?;
        let ClientStats { spawns, spawns_confirmed, spawns_dropped, inputs_late, .. } = client.stats();
        let counts = format!(
            "player {who} predicted {spawns} shots, of {} {spawns_confirmed} came, {spawns_dropped} did not",
            own.shots
        );
        let left = &world.play().shown[who].now;
        if spawns != spawns_confirmed + spawns_dropped || !left.is_empty() {
            return Err(format!("{counts}; {} are left over", left.len()));
        }
        let surprises = u64::from(own.shots) - spawns_confirmed + if HITS { 0 } else { spawns_dropped };
        if !BREAKS && surprises > u64::from(inputs_late) {
            return Err(format!("{counts}; {inputs_late} inputs were late"));
        }
        let truth = world.truth::<Gunner>(who)?;
        if !truth.iter().any(|(id, gunner)| client.own_id() == Some(*id) && gunner.shots == own.shots) {
            return Err(format!("player {who} has shot {} times, truly {truth:?}", own.shots));
        }
        Ok(())
    }
}
