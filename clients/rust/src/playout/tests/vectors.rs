//! `shared/vectors/playout`: what is told, when something is drawn, and where, for the ports to other languages.
//!
//! `AMPHI_WRITE_VECTORS=1 cargo nextest run --workspace -E 'test(playout::tests::vectors)'` writes the files; without it they
//! are checked.

use std::fmt::Write as _;

use super::*;

fn golden(name: &str, text: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/playout");
    let path = folder.join(name);
    if std::env::var_os("AMPHI_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} differs from the code; AMPHI_WRITE_VECTORS=1 writes it again", path.display());
}

fn list<T>(items: impl IntoIterator<Item = T>, text: impl FnMut(T) -> String) -> String {
    format!("[{}]", items.into_iter().map(text).collect::<Vec<_>>().join(","))
}

/// Writes down what happens on a stage.
struct Recorder {
    stage: Stage,
    shown: f64,
    steps: String,
}

impl Recorder {
    fn new() -> Self {
        Self { stage: Stage::new(), shown: 0.0, steps: String::new() }
    }

    /// The snapshot of `tick` arrives.
    fn told(&mut self, tick: u32, rows: Vec<(NetId, Row)>) {
        let text = list(&rows, |(id, row)| {
            let since = if row.since.0 == 0 { String::new() } else { format!(",{}", row.since.0) };
            format!("[{},{},{}{since}]", id.0, row.mask, list(&row.values, ToString::to_string))
        });
        let _ = write!(self.steps, ",\n{{\"told\":{tick},\"rows\":{text}}}");
        self.stage.snapshot(tick, self.shown, rows);
    }

    /// A frame is drawn at `tick`.
    fn drawn(&mut self, tick: f64) {
        self.shown = tick;
        let ids: Vec<u32> = self.stage.playout.tracks.keys().copied().collect();
        let shown = ids.into_iter().filter_map(|id| Some((id, self.stage.steps(NetId(id), tick)?)));
        let number = |step: f64| (step + 0.0).to_string();
        let text = list(shown, |(id, (mask, steps))| format!("[{id},{mask},{}]", list(steps, number)));
        let _ = write!(self.steps, ",\n{{\"drawn\":{tick},\"shown\":{text}}}");
    }

    fn write(self, name: &str, about: &str) {
        let schema = self.stage.game.schema().to_json();
        let steps = self.steps.trim_start_matches(',');
        let text =
            format!("{{\"about\":\"{about}\",\n\"tick_hz\":{HZ},\n\"schema\":{schema},\n\"steps\":[{steps}]}}\n");
        golden(name, &text);
    }
}

#[test]
fn curve() {
    let mut recorder = Recorder::new();
    let mut at: [f32; 2] = [1.0, -2.0];
    for tick in 0..60_u32 {
        let angle = tick as f32 * 0.15;
        let rests = (24..36).contains(&tick);
        let speed = if rests { 0.0 } else { 5.0 };
        let velocity = [angle.cos() * speed, angle.sin() * speed];
        at = [at[0] + velocity[0] / HZ as f32, at[1] + velocity[1] / HZ as f32];
        if tick == 54 {
            at = [40.0, 40.0];
        }
        let half = angle / 2.0;
        let turn = [0.0, half.sin(), 0.0, half.cos()].map(|part| (part * 4_096.0) as i16);
        let told = Body { at, velocity, yaw: (angle * 10_430.0) as u16, turn };
        if tick % 3 == 0 {
            recorder.told(tick, if rests && tick > 24 { Vec::new() } else { vec![(ID, body(told))] });
        }
        recorder.drawn((f64::from(tick) - 3.5).max(0.0));
        recorder.drawn((f64::from(tick) - 3.125).max(0.0));
    }
    recorder.write("curve.json", "A body on a circle, told every third tick; it rests from 24 to 36 and jumps at 54.");
}

/// A snapshot on its way.
struct Coming {
    at: u32,
    told: u32,
    rows: Vec<(NetId, Row)>,
}

#[test]
fn late() {
    let mut recorder = Recorder::new();
    let mut rng = Seed(24).rng();
    let mut coming: Vec<Coming> = Vec::new();
    let mut wanderers = Wanderers::default();
    for tick in 1..=120_u32 {
        let rows = wanderers.step(&mut rng, tick);
        if !rng.chance(150) {
            let late = if rng.chance(250) { 2 + rng.below(7) as u32 } else { 1 };
            coming.push(Coming { at: tick + late, told: tick, rows });
        }
        coming.sort_by_key(|coming| (coming.at, coming.told));
        while coming.first().is_some_and(|coming| coming.at <= tick) {
            let Coming { told, rows, .. } = coming.remove(0);
            recorder.told(told, rows);
        }
        if tick > 2 {
            recorder.drawn(f64::from(tick) - 2.25);
        }
    }
    recorder.write("late.json", "Four entities of every kind; snapshots are lost and come up to eight ticks late.");
}

#[test]
fn edges() {
    let mut recorder = Recorder::new();
    for tick in (3..=60_u32).step_by(3) {
        // It is carried, without a velocity of its own, and its rotation changes its sign.
        let (angle, sign) = (tick as f32 * 0.05, if (30..45).contains(&tick) { -1.0 } else { 1.0 });
        let turn = [angle.sin(), 0.0, 0.0, angle.cos()].map(|part| (part * sign * 4_096.0) as i16);
        let carried =
            Body { at: [tick as f32 * 0.1, 3.0], velocity: [0.0, if tick > 30 { 2.0 } else { 0.0 }], yaw: 0, turn };
        let haunting = Ghost { x: tick as f32 * 0.2, points: 0x7fff_fff0 + tick, ..Ghost::default() };
        if !(21..30).contains(&tick) && !(39..48).contains(&tick) {
            recorder.told(tick, vec![(ID, body(carried)), (NetId(8), ghost(haunting))]);
        }
        (0..3).for_each(|frame| recorder.drawn(f64::from(tick + frame) - 3.25));
    }
    recorder.write(
        "edges.json",
        "A lift, a rotation in both signs, a number beyond 31 bits, and nothing told from 19 to 29 and 37 to 47.",
    );
}

/// Four entities that move, rest, jump and turn at random.
#[derive(Default)]
struct Wanderers {
    body: Body,
    ghost: Ghost,
    mark: Mark,
    rock: (Rock, u32),
    spin: f32,
}

impl Wanderers {
    fn step(&mut self, rng: &mut Rng, tick: u32) -> Vec<(NetId, Row)> {
        let mut any = |range: f32| (rng.below(2_001) as f32 / 1_000.0 - 1.0) * range;
        let (push, jump, luck) = ([any(3.0), any(3.0)], [any(50.0), any(50.0)], any(1.0));
        self.move_body(push, (luck > 0.94).then_some(jump));
        let mut rows = vec![(ID, body(self.body))];
        let Self { ghost: haunting, mark, .. } = self;
        if luck < 0.3 {
            haunting.x += push[0];
            haunting.heading = (haunting.heading + push[1]).rem_euclid(core::f32::consts::TAU);
            (haunting.points, haunting.awake) = (haunting.points.wrapping_sub(1), luck > 0.0);
            rows.push((NetId(8), ghost(*haunting)));
        }
        if luck < -0.8 {
            mark.x += 1;
            rows.push((NetId(9), row(GHOST | MARK, &[integers(haunting), integers(mark)])));
        }
        if luck > 0.9 || tick == 1 {
            let passed = (tick - self.rock.1) as f32 / HZ as f32;
            let rock = Rock { x: self.rock.0.x + self.rock.0.vx * passed, vx: push[1] };
            self.rock = (rock, tick);
            rows.push((NetId(10), Row { since: Tick(tick), ..row(ROCK, &[integers(&rock)]) }));
        }
        rows
    }

    fn move_body(&mut self, push: [f32; 2], jump: Option<[f32; 2]>) {
        let Body { at, velocity, yaw, turn } = &mut self.body;
        for axis in 0..2 {
            velocity[axis] = velocity[axis] * 0.9 + push[axis];
            at[axis] += velocity[axis] / HZ as f32;
        }
        *at = jump.unwrap_or(*at);
        self.spin += push[0] * 0.1;
        let half = [self.spin.sin(), self.spin.cos()].map(|part| (part * 2_896.0) as i16);
        *yaw = yaw.wrapping_add((push[1] * 2_000.0) as i16 as u16);
        *turn = [half[0], half[0], half[1], half[1]];
    }
}
