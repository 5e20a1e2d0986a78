use std::collections::{BTreeMap, VecDeque};

use amphi_shared_replica::{Begin, Inputs, Mode, ReplicaApp, Seats, SimTick, Simulate, SpawnFor, authority};
use amphi_shared_wire::limits::SPAWN_SLACK_TICKS;
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;

use super::*;

/// Ticks between two shots.
const RELOAD: u32 = 6;
/// Ticks that a bolt flies.
const FLIGHT: u32 = 15;
/// Ticks by which the client is ahead of what it hears.
const DELAY: usize = 8;

#[derive(Clone, Default, PartialEq, Input)]
#[input(crate = amphi_shared_replica)]
struct Trigger {
    fire: bool,
}

#[derive(Clone, Component, Copy, Debug, PartialEq, Replicate)]
struct Gunner {
    x: i32,
    ready_at: u32,
}

#[derive(Clone, Component, Copy, Debug, PartialEq, Replicate)]
struct Bolt {
    x: i32,
    until: u32,
}

/// What only the server knows, by ticks.
#[derive(Clone, Default, Resource)]
struct Mishaps {
    /// The gun does not fire.
    jammed: Vec<u32>,
    /// The gun fires by itself.
    misfires: Vec<u32>,
    /// The gunner is pushed.
    pushed: Vec<u32>,
    bolts_burst: Vec<u32>,
}

#[derive(Clone)]
struct Range;

impl Plugin for Range {
    fn build(&self, app: &mut App) {
        app.replicate::<SpawnedFor>().predict::<Gunner>().predict::<Bolt>().input::<Trigger>();
        app.modes(&[Mode { name: "one", teams: 1, team_size: 1, duration_s: 60 }]).transient_resource::<Mishaps>();
        app.init_resource::<Mishaps>().add_systems(Begin, begin.run_if(authority));
        app.add_systems(Simulate, (shoot, fly).chain());
    }
}

fn begin(mut commands: Commands<'_, '_>, seats: Res<'_, Seats>) {
    for (seat, _) in seats.iter() {
        commands.spawn((seat, Gunner { x: 0, ready_at: 0 }));
    }
}

fn shoot(
    mut commands: Commands<'_, '_>,
    tick: Res<'_, SimTick>,
    mishaps: Res<'_, Mishaps>,
    inputs: Res<'_, Inputs<Trigger>>,
    mut gunners: Query<'_, '_, (&Seat, &mut Gunner)>,
) {
    let now = tick.0.0;
    for (seat, mut gunner) in &mut gunners {
        gunner.x += if mishaps.pushed.contains(&now) { 100 } else { 1 };
        let fires = inputs.get(*seat).fire || mishaps.misfires.contains(&now);
        if fires && now >= gunner.ready_at && !mishaps.jammed.contains(&now) {
            gunner.ready_at = now + RELOAD;
            commands.spawn_for(*seat, Bolt { x: gunner.x, until: now + FLIGHT });
        }
    }
}

fn fly(
    mut commands: Commands<'_, '_>,
    tick: Res<'_, SimTick>,
    mishaps: Res<'_, Mishaps>,
    mut bolts: Query<'_, '_, (Entity, &mut Bolt)>,
) {
    for (entity, mut bolt) in &mut bolts {
        bolt.x += 10;
        if tick.0.0 >= bolt.until || mishaps.bolts_burst.contains(&tick.0.0) {
            commands.entity(entity).despawn();
        }
    }
}

/// A server, and a client that is [`DELAY`] ticks ahead of what it hears.
struct Match {
    server: Sim,
    client: Predictor<Trigger>,
    /// Rows of the server, by tick, on their way.
    told: VecDeque<(Tick, Vec<(NetId, Row)>)>,
    corrections: u32,
    /// By tick: what was shown, as (what it is shown as, place), by place.
    shown: BTreeMap<u32, Vec<(NetId, i32)>>,
}

impl Match {
    fn new(mishaps: Mishaps) -> Self {
        let game = Game::new("range", Range);
        let mode = game.modes()[0].at(60);
        let mut server = game.build(SimMode::Authority, mode.clone(), Seed(1)).unwrap();
        server.world_mut().insert_resource(mishaps);
        let client = Predictor::new(&game, mode, Seat(0)).unwrap();
        Self { server, client, told: VecDeque::new(), corrections: 0, shown: BTreeMap::new() }
    }

    /// Plays up to a tick; `hears` says of which ticks the client gets a snapshot.
    fn play(mut self, until: u32, fires: impl Fn(u32) -> bool, hears: impl Fn(u32) -> bool) -> Self {
        while self.server.tick().0 < until {
            let now = self.server.tick().plus(1);
            let input = Trigger { fire: fires(now.0) };
            self.client.advance(now, input.clone()).unwrap();
            let mut shown: Vec<_> = self.client.spawned().map(|(_, first, row)| (first, self.bolt(&row).x)).collect();
            shown.sort_unstable_by_key(|(first, x)| (*x, *first));
            self.shown.insert(now.0, shown);
            self.server.set_input(Seat(0), input);
            self.server.step().unwrap();
            let mirror = self.server.mirror();
            let row = |slot: &u32| Some((mirror.id(*slot), mirror.row_for(*slot, Some(Seat(0)))?));
            self.told.push_back((now, mirror.order().iter().filter_map(row).collect()));
            if self.told.len() > DELAY {
                self.hear(&hears);
            }
        }
        self
    }

    fn hear(&mut self, hears: &impl Fn(u32) -> bool) {
        let Some((tick, rows)) = self.told.pop_front().filter(|(tick, _)| hears(tick.0)) else { return };
        let known: Vec<_> = rows.iter().map(|(id, row)| Known { id: *id, tick, row }).collect();
        self.corrections += u32::from(self.client.reconcile(tick, Some(tick), &known).unwrap());
    }

    fn bolt(&self, row: &Row) -> Bolt {
        let schema = self.server.schema();
        Bolt::read(row.component(schema, schema.component(Bolt::NAME).unwrap()).unwrap())
    }

    fn counts(&self) -> (u64, u64, u64) {
        let SpawnCounts { predicted, confirmed, dropped } = self.client.spawn_counts();
        (predicted, confirmed, dropped)
    }

    /// The ticks in which an entity was shown, by what it is shown as.
    fn lives(&self) -> BTreeMap<NetId, Vec<u32>> {
        let mut lives: BTreeMap<NetId, Vec<u32>> = BTreeMap::new();
        for (tick, shown) in &self.shown {
            shown.iter().for_each(|(first, _)| lives.entry(*first).or_default().push(*tick));
        }
        lives
    }
}

fn always(_: u32) -> bool {
    true
}

/// Fires in these ticks, when the client knows itself already.
fn at(ticks: &'static [u32]) -> impl Fn(u32) -> bool {
    move |tick| ticks.contains(&tick)
}

#[test]
fn a_stream_of_shots_is_matched_one_to_one() {
    let rare = |tick: u32| tick < 20 || tick.is_multiple_of(5);
    for hears in [always as fn(u32) -> bool, rare] {
        let played = Match::new(Mishaps::default()).play(200, |tick| tick > 20, hears).play(240, |_| false, hears);
        assert_eq!((played.counts(), played.corrections), ((30, 30, 0), 0));
        // Each was there for its whole flight, at once and without a gap, and moved evenly.
        for (first, ticks) in played.lives() {
            let whole: Vec<u32> = (ticks[0]..ticks[0] + FLIGHT).collect();
            assert_eq!(ticks, whole, "{first:?}");
            let places = ticks.iter().map(|tick| played.shown[tick].iter().find(|(id, _)| *id == first).unwrap().1);
            let places: Vec<i32> = places.collect();
            assert!(places.windows(2).all(|pair| pair[1] - pair[0] == 10), "{places:?}");
        }
        assert!(played.client.sim.unconfirmed().next().is_none() && played.client.spawns.is_empty());
    }
}

#[test]
fn a_shot_that_the_server_refuses_is_taken_back() {
    let jammed = vec![40, 41, 42];
    let played = Match::new(Mishaps { jammed, ..Mishaps::default() }).play(100, at(&[40]), always);
    assert_eq!(played.counts(), (1, 0, 1));
    let ticks: Vec<u32> = played.lives().into_values().flatten().collect();
    assert_eq!(ticks[0], 40);
    assert!(ticks.len() <= DELAY + SPAWN_SLACK_TICKS as usize + 1, "{ticks:?}");
}

#[test]
fn a_correction_that_spawns_it_again_keeps_its_identity() {
    // Pushed in tick 38, which the client hears in tick 46: the bolt comes from elsewhere.
    let played = Match::new(Mishaps { pushed: vec![38], ..Mishaps::default() }).play(100, at(&[40, 48]), always);
    assert_eq!((played.counts(), played.corrections), ((2, 2, 0), 1));
    let lives: Vec<Vec<u32>> = played.lives().into_values().collect();
    assert_eq!(lives, [(40..40 + FLIGHT).collect::<Vec<_>>(), (48..48 + FLIGHT).collect()]);
}

#[test]
fn one_that_comes_in_another_tick_is_still_the_same_one() {
    // The trigger is held; the server fires when the gun is free again.
    let held = |tick| (40..44).contains(&tick);
    let jammed = vec![40, 41];
    let played = Match::new(Mishaps { jammed, ..Mishaps::default() }).play(100, held, always);
    assert_eq!(played.counts(), (1, 1, 0));
    let lives = played.lives();
    assert_eq!(lives.len(), 1, "{lives:?}");
    let ticks = lives.values().next().unwrap();
    assert_eq!(*ticks, (40..42 + FLIGHT).collect::<Vec<_>>());
    assert!(played.shown.values().all(|shown| shown.len() <= 1));
}

#[test]
fn one_that_the_server_spawned_earlier_is_the_one_that_was_predicted() {
    let misfires = vec![38];
    let played = Match::new(Mishaps { misfires, ..Mishaps::default() }).play(100, at(&[40]), always);
    assert_eq!(played.counts(), (1, 1, 0));
    let lives: Vec<Vec<u32>> = played.lives().into_values().collect();
    assert_eq!(lives, [(40..38 + FLIGHT).collect::<Vec<_>>()]);
}

#[test]
fn one_that_the_server_alone_spawned_is_predicted_from_then_on() {
    let misfires = vec![40];
    let played = Match::new(Mishaps { misfires, ..Mishaps::default() }).play(100, |_| false, always);
    assert_eq!((played.counts(), played.corrections), ((0, 0, 0), 1));
    let lives = played.lives();
    assert_eq!(lives.keys().collect::<Vec<_>>(), [&NetId(2)]);
    // What is heard after a tick is shown in the next.
    let ticks: Vec<u32> = (40 + DELAY as u32 + 1..40 + FLIGHT).collect();
    assert_eq!(lives[&NetId(2)], ticks);
    let now = 40 + DELAY as u32 + 1;
    assert_eq!(played.shown[&now], [(NetId(2), 40 + 10 * (now as i32 - 39))]);
}

#[test]
fn what_the_server_lets_burst_early_is_gone_when_it_says_so() {
    let played = Match::new(Mishaps { bolts_burst: vec![45], ..Mishaps::default() }).play(100, at(&[40]), always);
    assert_eq!((played.counts(), played.corrections), ((1, 1, 0), 1));
    let ticks: Vec<u32> = played.lives().into_values().flatten().collect();
    assert_eq!(ticks, (40..=45 + DELAY as u32).collect::<Vec<_>>());
}

#[test]
fn a_snapshot_that_was_overtaken_changes_nothing() {
    let mut played = Match::new(Mishaps::default()).play(60, at(&[40]), always);
    let before: Vec<_> = played.client.spawned().collect();
    assert!(!played.client.reconcile(Tick(30), None, &[]).unwrap());
    assert_eq!(played.client.spawned().collect::<Vec<_>>(), before);
}

#[test]
fn inputs_of_before_a_jump_are_not_sent_as_those_of_later_ticks() {
    let mut client = Match::new(Mishaps::default()).client;
    let fire = |fire: bool| Trigger { fire };
    client.advance(Tick(1), fire(true)).unwrap();
    client.advance(Tick(2), fire(false)).unwrap();
    assert!(client.unacked() == Some((Tick(2), vec![fire(true), fire(false)])));
    client.advance(Tick(9), fire(false)).unwrap();
    client.advance(Tick(10), fire(true)).unwrap();
    assert!(client.unacked() == Some((Tick(10), vec![fire(false), fire(true)])));
}
