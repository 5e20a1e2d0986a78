//! `shared/vectors/arena-move`: what `movement::step` does, for the ports to other languages.
//!
//! `AMPHI_WRITE_VECTORS=1 cargo test -p amphi-server-arena vectors` writes the files; without it they are checked.

use std::fmt::Write as _;
use std::path::PathBuf;

use amphi_server_arena::map::{self, Block, BlockKind, METRE};
use amphi_server_arena::movement::{self, PlayerBody, Statics};
use amphi_server_arena::{ArenaInput, angle};
use amphi_shared_wire::{Rng, Seed};

#[allow(clippy::disallowed_methods, reason = "vectors are files, written on request")]
fn golden(name: &str, text: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/arena-move");
    let path = folder.join(format!("{name}.json"));
    if std::env::var_os("AMPHI_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} differs from the code; AMPHI_WRITE_VECTORS=1 writes it again", path.display());
}

/// A scripted run: where it starts, what stands around, and the input of each tick.
struct Script {
    name: &'static str,
    about: &'static str,
    start: PlayerBody,
    /// None: the blocks of the map.
    blocks: Option<Vec<Block>>,
    ledges: Vec<([i32; 3], [i32; 3])>,
    inputs: Vec<ArenaInput>,
}

impl Script {
    fn new(name: &'static str, about: &'static str, feet: [i32; 3]) -> Self {
        Self { name, about, start: PlayerBody::at(feet, 0), blocks: None, ledges: Vec::new(), inputs: Vec::new() }
    }

    fn hold(mut self, ticks: usize, input: ArenaInput) -> Self {
        self.inputs.extend(std::iter::repeat_n(input, ticks));
        self
    }

    fn each(mut self, ticks: usize, mut input: impl FnMut(usize) -> ArenaInput) -> Self {
        self.inputs.extend((0..ticks).map(&mut input));
        self
    }

    fn write(self) {
        let mut text = String::from("{\n");
        let _ = writeln!(text, "\"name\": \"{}\",\n\"about\": \"{}\",", self.name, self.about);
        let b = self.start;
        let _ = writeln!(
            text,
            "\"start\": {{\"x\":{},\"y\":{},\"z\":{},\"vx\":{},\"vy\":{},\"vz\":{},\"yaw\":{},\"pitch\":{},\"air\":{},\"hold\":{}}},",
            b.x, b.y, b.z, b.vx, b.vy, b.vz, b.yaw, b.pitch, b.air, b.hold
        );
        match &self.blocks {
            None => text.push_str("\"blocks\": \"map\",\n"),
            Some(blocks) => {
                let rows: Vec<_> = blocks.iter().map(|b| corners(b.min, b.max)).collect();
                let _ = writeln!(text, "\"blocks\": [{}],", rows.join(","));
            }
        }
        let rows: Vec<_> = self.ledges.iter().map(|(min, max)| corners(*min, *max)).collect();
        let _ = writeln!(text, "\"ledges\": [{}],", rows.join(","));
        text.push_str(
            "\"columns\": [\"buttons\",\"move_x\",\"move_y\",\"yaw\",\"pitch\",\"x\",\"y\",\"z\",\"vx\",\"vy\",\"vz\",\"air\"],\n\"steps\": [\n",
        );
        let statics = Statics { blocks: self.blocks.unwrap_or_else(map::blocks), ledges: self.ledges };
        let mut body = self.start;
        let rows: Vec<_> = self
            .inputs
            .iter()
            .map(|i| {
                body = movement::step(body, i, &statics);
                format!(
                    "[{},{},{},{},{},{},{},{},{},{},{},{}]",
                    i.buttons,
                    i.move_x,
                    i.move_y,
                    i.yaw,
                    i.pitch,
                    body.x,
                    body.y,
                    body.z,
                    body.vx,
                    body.vy,
                    body.vz,
                    body.air
                )
            })
            .collect();
        text.push_str(&rows.join(",\n"));
        text.push_str("\n]\n}\n");
        golden(self.name, &text);
    }
}

fn corners(min: [i32; 3], max: [i32; 3]) -> String {
    format!("[[{},{},{}],[{},{},{}]]", min[0], min[1], min[2], max[0], max[1], max[2])
}

fn stick(move_x: i8, move_y: i8, yaw: u16) -> ArenaInput {
    ArenaInput { move_x, move_y, yaw, ..ArenaInput::default() }
}

fn jump(input: ArenaInput) -> ArenaInput {
    input.with_buttons(true, false, false)
}

fn any(rng: &mut Rng) -> ArenaInput {
    ArenaInput {
        buttons: rng.below(8) as u8,
        move_x: rng.next_u64() as i8,
        move_y: rng.next_u64() as i8,
        yaw: rng.next_u64() as u16,
        pitch: rng.next_u64() as i16,
    }
}

/// Holds each input for a while, as hands do.
fn wander(seed: u64) -> impl FnMut(usize) -> ArenaInput {
    let mut rng = Seed(seed).rng();
    let (mut left, mut input) = (0, ArenaInput::default());
    move |_| {
        if left == 0 {
            left = 5 + rng.below(40);
            let yaw = input.yaw;
            input = any(&mut rng);
            input.yaw = yaw;
            if rng.chance(700) {
                input.move_y = 127;
            }
        }
        left -= 1;
        input.yaw = input.yaw.wrapping_add(250);
        input
    }
}

#[test]
fn vectors_sine() {
    let mut text = String::from("{\n\"columns\": [\"angle\",\"sin\",\"cos\"],\n\"rows\": [\n");
    let angles = (0..=u16::MAX).step_by(131).chain([1, 16_383, 16_384, 16_385, 32_767, 32_768, 49_151, 49_152, 65_535]);
    let rows: Vec<_> = angles.map(|a| format!("[{a},{},{}]", angle::sin(a), angle::cos(a))).collect();
    text.push_str(&rows.join(",\n"));
    text.push_str("\n]\n}\n");
    golden("sine", &text);
}

#[test]
fn vectors_running() {
    Script::new("running", "Speeding up, all directions, half sticks, braking, a slow turn.", [0, 0, 0])
        .hold(40, stick(0, 127, 0))
        .hold(30, stick(0, 0, 0))
        .hold(30, stick(127, 127, 5_000))
        .hold(30, stick(-128, -128, 5_000))
        .hold(30, stick(64, 0, 20_000))
        .hold(20, stick(1, -1, 20_000))
        .each(220, |t| stick(0, 127, (t * 300) as u16))
        .write();
    Script::new("wander-a", "Hands at random, 600 ticks.", [0, 0, 0]).each(600, wander(1)).write();
    Script::new("wander-b", "Hands at random near a corner, 600 ticks.", [20 * METRE, 0, 8 * METRE])
        .each(600, wander(2))
        .write();
}

#[test]
fn vectors_walls() {
    Script::new("corner", "Along the diagonal of pillars and into every corner of it.", [17 * METRE, 0, 6 * METRE])
        .hold(120, stick(0, 127, 57_344))
        .each(200, |t| stick(0, 127, (57_344 + (t % 40) * 400 - 8_000) as u16))
        .each(80, |t| jump(stick(127, 127, (t * 811) as u16)))
        .write();
    Script::new("goal", "Into the goal, around it and out again.", [20 * METRE, 0, 0])
        .hold(80, stick(0, 127, 0))
        .hold(60, stick(127, 127, 0))
        .hold(60, stick(-127, 60, 0))
        .hold(120, jump(stick(0, 127, 33_000)))
        .write();
    Script::new("ceiling", "Thrown against the lid and down.", [3 * METRE, 0, 3 * METRE]).thrown([900, 4_000, -700]);
    Script::new("thrown", "Far beyond every speed; cut, slid, stopped.", [0, 0, 0]).thrown([1_000_000, 7, -2_000_000]);
}

impl Script {
    fn thrown(mut self, [x, y, z]: [i32; 3]) {
        (self.start.vx, self.start.vy, self.start.vz, self.start.air) = (x, y, z, movement::AIR_SPENT);
        self.hold(60, stick(0, 0, 0)).hold(120, stick(-127, 30, 9_000)).hold(120, stick(0, 0, 0)).write();
    }
}

#[test]
fn vectors_heights() {
    Script::new("stairs", "Up the stairs, along the gallery, down; then off its edge.", [9 * METRE, 0, 12 * METRE])
        .hold(170, stick(0, 127, 32_768))
        .hold(110, stick(0, 127, 2_000))
        .hold(90, stick(127, 20, 30_000))
        .write();
    Script::new("jumping", "Box, perch, down again; jumps held and late jumps.", [13 * METRE, 0, 13 * METRE])
        .hold(50, jump(stick(0, 127, 0)))
        .hold(100, jump(stick(0, 127, 0)))
        .each(160, |t| {
            let run = stick(0, 127, 18_000);
            if t % 9 == 0 { jump(run) } else { run }
        })
        .hold(60, jump(stick(30, -127, 18_000)))
        .write();
    let mut ledges = Script::new("ledges", "Over and under the tops of three crates.", [-4 * METRE, 0, 0]);
    for x in [0, 2, 4] {
        let x = x * METRE;
        ledges.ledges.push(([x - 2_048, 0, -2_048], [x + 2_048, 4_096 + x / 7, 2_048]));
    }
    ledges
        .hold(60, stick(0, 127, 0))
        .hold(50, stick(0, -127, 0))
        .each(160, |t| if t % 60 < 30 { jump(stick(0, 100, 0)) } else { stick(0, 20, 0) })
        .hold(60, stick(90, 0, 0))
        .write();
}

#[test]
fn vectors_holds() {
    let mut held = Script::new("held", "A kick-off: looking is free, moving is not.", [0, 5_000, 0]);
    held.start.hold = movement::HOLD_STILL;
    held.start.vx = 300;
    held.each(120, |t| jump(stick(127, 127, (t * 999) as u16))).write();
    let mut dead = Script::new("dead", "Nothing moves.", [0, 5_000, 0]);
    dead.start.hold = movement::HOLD_DEAD;
    dead.start.vx = 300;
    dead.each(30, |t| jump(stick(127, 127, (t * 999) as u16))).write();
}

#[test]
fn vectors_extremes() {
    let mut rng = Seed(77).rng();
    let chaos = Script::new("chaos", "A new absurd input in every tick, 600 ticks.", [-10 * METRE, 0, -5 * METRE]);
    chaos.each(600, |_| any(&mut rng)).write();
    let mut rng = Seed(78).rng();
    let mut maze = Script::new("maze", "A narrow field of odd boxes, steps and gaps.", [0, 0, 0]);
    let block = |min: [i32; 3], max: [i32; 3]| Block { kind: BlockKind::Cover, min, max };
    let mut blocks = vec![block([-40_000, -8_192, -40_000], [40_000, 0, 40_000])];
    for (min, max) in [
        ([-40_000, 0, -40_000], [-36_000, 40_000, 40_000]),
        ([36_000, 0, -40_000], [40_000, 40_000, 40_000]),
        ([-40_000, 0, -40_000], [40_000, 40_000, -36_000]),
        ([-40_000, 0, 36_000], [40_000, 40_000, 40_000]),
    ] {
        blocks.push(block(min, max));
    }
    for _ in 0..40 {
        let [x, z] = [0; 2].map(|_| rng.below(66_000) as i32 - 33_000);
        let [w, h, d] = [4_000, 7_000, 4_000].map(|most| 300 + rng.below(most) as i32);
        if x.abs() > 3_000 + w || z.abs() > 3_000 + d {
            blocks.push(block([x - w, 0, z - d], [x + w, h, z + d]));
        }
    }
    maze.blocks = Some(blocks);
    let mut hands = wander(79);
    maze.each(800, |t| if t % 30 < 12 { jump(hands(t)) } else { hands(t) }).write();
}

#[test]
fn vectors_map() {
    let mut text = String::from("{\n\"unit\": \"1/4096 m\",\n\"tick_hz\": 60,\n");
    let _ = writeln!(
        text,
        "\"player\": {{\"half_width\":{},\"height\":{},\"eye_height\":{}}},",
        movement::HALF_WIDTH,
        movement::HEIGHT,
        movement::EYE_HEIGHT
    );
    let _ = writeln!(
        text,
        "\"field\": {{\"half_length\":{},\"half_width\":{},\"ceiling\":{}}},",
        map::HALF_LENGTH,
        map::HALF_WIDTH,
        map::CEILING
    );
    let (w, h) = (map::GOAL_HALF_WIDTH, map::GOAL_HEIGHT);
    let (near, far) = (map::HALF_LENGTH, map::HALF_LENGTH + map::GOAL_DEPTH);
    let _ = writeln!(
        text,
        "\"goals\": [\n{{\"team\":0,\"box\":{}}},\n{{\"team\":1,\"box\":{}}}\n],",
        corners([-far, 0, -w], [-near, h, w]),
        corners([near, 0, -w], [far, h, w])
    );
    let [x, y, z] = map::ball_home();
    let _ = writeln!(text, "\"ball\": {{\"radius\":{},\"home\":[{x},{y},{z}]}},", map::BALL_RADIUS);
    let homes: Vec<_> = map::crate_homes().iter().map(|[x, y, z]| format!("[{x},{y},{z}]")).collect();
    let _ = writeln!(text, "\"crates\": {{\"half\":{},\"homes\":[{}]}},", map::CRATE_HALF, homes.join(","));
    let places = |place: fn(u8, usize) -> ([i32; 3], u16), team: u8| {
        let rows: Vec<_> = (0..map::TEAM_MAX)
            .map(|index| {
                let ([x, y, z], yaw) = place(team, index);
                format!("[{x},{y},{z},{yaw}]")
            })
            .collect();
        rows.join(",")
    };
    let _ = writeln!(text, "\"kick_off\": [[{}],[{}]],", places(map::kick_off, 0), places(map::kick_off, 1));
    let _ = writeln!(text, "\"respawn\": [[{}],[{}]],", places(map::respawn, 0), places(map::respawn, 1));
    let rows: Vec<_> = map::blocks()
        .iter()
        .map(|b| format!("{{\"kind\":\"{}\",\"box\":{}}}", b.kind.name(), corners(b.min, b.max)))
        .collect();
    let _ = writeln!(text, "\"blocks\": [\n{}\n]\n}}", rows.join(",\n"));
    golden("map", &text);
}
