use amphi_shared_replica::{Game, Reckon, ReplicaApp as _, Replicate};
use amphi_shared_wire::{Rng, Seed};
use bevy_app::App;
use bevy_ecs::prelude::Component;

use super::*;

mod vectors;

const HZ: u32 = 60;
const ID: NetId = NetId(7);

/// What says its velocity.
#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Replicate)]
struct Body {
    #[replica(unit = "1/4096", velocity = "velocity")]
    at: [f32; 2],
    #[replica(unit = "1/1024")]
    velocity: [f32; 2],
    #[replica(lerp = "angle")]
    yaw: u16,
    #[replica(unit = "1/4096", lerp = "quaternion")]
    turn: [i16; 4],
}

/// What does not.
#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Replicate)]
struct Ghost {
    #[replica(unit = "1/512")]
    x: f32,
    #[replica(unit = "1/100", lerp = "angle")]
    heading: f32,
    points: u32,
    awake: bool,
}

/// What goes on by itself.
#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Replicate)]
struct Rock {
    #[replica(unit = "1/512", tolerance = 2)]
    x: f32,
    #[replica(unit = "1/512")]
    vx: f32,
}

/// What nobody interpolates.
#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Replicate)]
struct Mark {
    x: i32,
}

fn game() -> Game {
    Game::new("playout", |app: &mut App| {
        app.interpolate::<Body>().interpolate::<Ghost>().reckon::<Rock>(&Reckon::new().moving("x", "vx"));
        app.replicate::<Mark>();
    })
}

/// Bits of the components.
const BODY: u64 = 1 << 1;
const GHOST: u64 = 1 << 2;
const ROCK: u64 = 1 << 3;
const MARK: u64 = 1 << 4;

/// A playout without a clock: it is told which tick is shown.
struct Stage {
    game: Game,
    playout: Playout,
}

/// The integers of a component.
fn integers<C: Replicate>(component: &C) -> Vec<i32> {
    let mut values = vec![0; C::fields().len()];
    component.write(&mut values);
    values
}

fn row(mask: u64, components: &[Vec<i32>]) -> Row {
    Row { mask, values: components.concat(), ..Row::default() }
}

fn body(body: Body) -> Row {
    row(BODY, &[integers(&body)])
}

fn moving(at: [f32; 2], velocity: [f32; 2]) -> Row {
    body(Body { at, velocity, yaw: 0, turn: [0, 0, 0, 4_096] })
}

fn ghost(ghost: Ghost) -> Row {
    row(GHOST, &[integers(&ghost)])
}

impl Stage {
    fn new() -> Self {
        Self { game: game(), playout: Playout::default() }
    }

    /// The snapshot of `tick` arrives while `shown` is shown.
    fn snapshot(&mut self, tick: u32, shown: f64, rows: Vec<(NetId, Row)>) {
        let by = (&**self.game.schema(), HZ);
        self.playout.shown = shown;
        for (id, row) in rows {
            self.playout.push(by, id, Tick(tick), row);
        }
        self.playout.end_rows(by, Some(Tick(tick)));
    }

    fn steps(&self, id: NetId, tick: f64) -> Option<(u64, Vec<f64>)> {
        let scene = Scene { schema: self.game.schema(), tick_hz: HZ, newest: self.playout.newest };
        let (row, steps) = self.playout.tracks.get(&id.0)?.at(scene, tick)?;
        Some((row.mask, steps.unwrap_or_else(|| row.values.iter().copied().map(f64::from).collect())))
    }

    /// Where the one body is.
    fn x(&self, tick: f64) -> f64 {
        self.steps(ID, tick).unwrap().1[0] / 4_096.0
    }

    /// Plays frames from `from` to `to` of so many per tick: the greatest way between two of them, m.
    fn smoothest(&self, from: f64, to: f64) -> f64 {
        let frames = ((to - from) * 4.0) as u32;
        let x = |frame: u32| self.x(from + f64::from(frame) / 4.0);
        (0..frames).map(|frame| (x(frame + 1) - x(frame)).abs()).fold(0.0, f64::max)
    }
}

/// On a circle of 2 m, once round per second, told 20 times a second.
#[test]
fn a_curved_path_is_shown_far_nearer_than_by_straight_lines() {
    let turn = f64::from(core::f32::consts::TAU) / f64::from(HZ);
    let on_circle = |tick: f64| [2.0 * (turn * tick).cos(), 2.0 * (turn * tick).sin()];
    let mut stage = Stage::new();
    for tick in (0..=60).step_by(3) {
        let [x, y] = on_circle(f64::from(tick)).map(|v| v as f32);
        let speed = core::f32::consts::TAU;
        stage.snapshot(tick, 0.0, vec![(ID, moving([x, y], [-y * speed, x * speed]))]);
    }
    let (mut curved, mut straight): (f64, f64) = (0.0, 0.0);
    for frame in 0..540 {
        let tick = f64::from(frame) / 9.0;
        let truth = on_circle(tick);
        let off = |at: [f64; 2]| (at[0] - truth[0]).hypot(at[1] - truth[1]);
        let shown = stage.steps(ID, tick).unwrap().1;
        curved = curved.max(off([shown[0] / 4_096.0, shown[1] / 4_096.0]));
        let (from, part) = ((tick / 3.0).floor() * 3.0, (tick / 3.0).fract());
        let (a, b) = (on_circle(from), on_circle(from + 3.0));
        straight = straight.max(off([a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part]));
    }
    println!("off by {:.2} mm on straight lines, by {:.2} mm on the curve", straight * 1e3, curved * 1e3);
    assert!(straight > 0.024 && curved < straight / 60.0, "{straight} {curved}");
}

#[test]
fn without_news_a_body_goes_on_for_three_ticks_and_glides_to_what_comes_late() {
    let mut stage = Stage::new();
    let told = |tick: u32| vec![(ID, moving([tick as f32 * 0.1, 0.0], [6.0, 0.0]))];
    (10..=20).for_each(|tick| stage.snapshot(tick, f64::from(tick) - 1.0, told(tick)));
    assert!((stage.x(21.5) - 2.15).abs() < 1e-3 && (stage.x(23.0) - 2.3).abs() < 1e-3);
    assert_eq!(stage.x(23.0), stage.x(40.0), "no further than three ticks");
    // The next ones are lost; that of 26 arrives while 25.5 is shown.
    let before = stage.x(25.5);
    stage.snapshot(26, 25.5, told(26));
    assert!((stage.x(25.5) - before).abs() < 1e-9, "nothing jumps");
    for tick in 27..40 {
        stage.snapshot(tick, f64::from(tick) - 1.0, told(tick));
    }
    let widest = stage.smoothest(25.5, 38.0);
    assert!(widest < 2.5 * 0.025, "it catches up little by little: {widest}");
    assert!((stage.x(31.5) - 3.15).abs() < 1e-3, "and is right six ticks later");
}

#[test]
fn what_rests_stays() {
    let mut stage = Stage::new();
    stage.snapshot(10, 9.0, vec![(ID, moving([1.0, 0.0], [0.0; 2]))]);
    (11..60).for_each(|tick| stage.snapshot(tick, f64::from(tick) - 1.0, Vec::new()));
    assert_eq!((stage.x(10.0), stage.x(58.0), stage.x(62.0)), (1.0, 1.0, 1.0));
    // Also with a velocity that leads nowhere: it runs against a wall.
    stage.snapshot(60, 59.0, vec![(ID, moving([1.5, 0.0], [6.0, 0.0]))]);
    stage.snapshot(61, 60.0, Vec::new());
    assert_eq!((stage.x(59.0), stage.x(60.9), stage.x(64.0)), (1.0, 1.5, 1.5));
}

/// Its last row said that it moves, and shown time was beyond that before a snapshot said that it does not.
#[test]
fn what_rests_after_all_glides_back() {
    let mut stage = Stage::new();
    (10..=20).for_each(|tick| {
        stage.snapshot(tick, f64::from(tick) - 1.0, vec![(ID, moving([tick as f32 * 0.1, 0.0], [6.0, 0.0]))]);
    });
    assert!((stage.x(22.0) - 2.2).abs() < 1e-3);
    stage.snapshot(23, 22.0, Vec::new());
    assert!((stage.x(22.0) - 2.2).abs() < 1e-3, "nothing jumps");
    assert!(stage.smoothest(22.0, 30.0) < 0.025 && (stage.x(28.0) - 2.0).abs() < 1e-3);
}

#[test]
fn a_jump_is_not_smeared() {
    let mut stage = Stage::new();
    let told = |x: f32| vec![(ID, moving([x, 0.0], [3.0, 0.0]))];
    (0..=6).step_by(3).for_each(|tick| stage.snapshot(tick, f64::from(tick) - 3.0, told(tick as f32 * 0.05)));
    stage.snapshot(9, 6.0, told(80.45));
    let between = |x: f64| x > 0.6 && x < 80.0;
    assert!((0..40).all(|frame| !between(stage.x(6.0 + f64::from(frame) / 10.0))));
    assert!(stage.x(8.9) < 0.6 && stage.x(9.0) > 80.0);
    // And one that comes late is not made up for.
    stage.snapshot(18, 17.0, told(-40.0));
    stage.snapshot(21, 22.5, told(30.0));
    assert!(stage.x(22.5) > 30.0 && stage.x(22.5) < 30.2, "{}", stage.x(22.5));
}

#[test]
fn numbers_without_a_velocity_go_on_if_they_are_measures() {
    let mut stage = Stage::new();
    let told = |tick: u32| {
        let (x, heading) = (tick as f32 * 0.5, (tick as f32 * 0.1) % core::f32::consts::TAU);
        vec![(ID, ghost(Ghost { x, heading, points: tick, awake: tick.is_multiple_of(2) }))]
    };
    (50..=60).for_each(|tick| stage.snapshot(tick, f64::from(tick) - 1.0, told(tick)));
    let shown = stage.steps(ID, 61.5).unwrap().1;
    assert_eq!(shown, [30.75 * 512.0, 600.0 + 15.0, 60.0, 1.0]);
    let shown = stage.steps(ID, 59.5).unwrap().1;
    assert_eq!(shown[2..], [59.5, 0.0], "between samples a number is on the way, a flag is as it was");
}

/// In a big world an entity is told whenever its turn comes. That is no rest.
#[test]
fn what_is_told_every_fourth_time_moves_evenly() {
    let mut stage = Stage::new();
    for tick in 0..80 {
        let rows = vec![(ID, moving([tick as f32 * 0.1, 0.0], [6.0, 0.0]))];
        stage.snapshot(tick, f64::from(tick) - 1.0, if tick % 4 == 0 { rows } else { Vec::new() });
    }
    for frame in 40..280 {
        let tick = f64::from(frame) / 4.0;
        assert!((stage.x(tick) - tick * 0.1).abs() < 2e-3, "{tick}: {}", stage.x(tick));
    }
}

#[test]
fn rocks_go_on_by_themselves_and_marks_go_in_steps() {
    let mut stage = Stage::new();
    let told = |x: i32, since: u32| {
        let rock = Rock { x: 1.0, vx: 6.0 };
        vec![(ID, Row { since: Tick(since), ..row(ROCK | MARK, &[integers(&rock), vec![x]]) })]
    };
    stage.snapshot(10, 9.0, told(5, 10));
    stage.snapshot(40, 39.0, told(9, 10));
    let shown = |tick| stage.steps(ID, tick).unwrap().1;
    assert_eq!(shown(39.5), [(1_997.0 + 2_048.0) / 2.0, 3_072.0, 5.0], "between the ticks that it is reckoned for");
    assert_eq!(shown(70.0)[..2], [512.0 + 3_072.0, 3_072.0]);
    assert_eq!(shown(40.0)[2], 9.0);
}

#[test]
fn the_delay_covers_the_time_between_snapshots() {
    let clock = TickClock { tick0: Micros(0), tick_hz: HZ };
    let mut playout = Playout::default();
    for tick in (1..400).step_by(3) {
        let lateness = Micros::from_millis(20);
        playout.start_snapshot(clock.start_of(Tick(tick)) + lateness, clock, Tick(tick));
        playout.end_rows((game().schema(), HZ), Some(Tick(tick)));
    }
    assert_eq!(playout.delay().0 / 1_000, 69, "20 ms and three ticks");
}
