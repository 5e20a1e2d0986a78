//! The field: one constant list of boxes, with the places where things start.
//!
//! Axes are right-handed with y up; the origin is the middle of the floor. Team 0 defends the goal at −x and
//! attacks towards +x. The tables are in quarter metres; everything that leaves this file is in units of
//! 1/4096 m.

/// Units of one metre.
pub const METRE: i32 = 4_096;
/// Half the length of the field between the goal lines, units.
pub const HALF_LENGTH: i32 = 24 * METRE;
/// Half the width of the field, units.
pub const HALF_WIDTH: i32 = 14 * METRE;
/// Half the width of a goal mouth, units.
pub const GOAL_HALF_WIDTH: i32 = 4 * METRE;
/// Height of a goal mouth, units.
pub const GOAL_HEIGHT: i32 = 3 * METRE;
/// Depth of a goal behind its line, units.
pub const GOAL_DEPTH: i32 = 3 * METRE;
/// Height of the invisible ceiling, units.
pub const CEILING: i32 = 10 * METRE;
/// Radius of the ball, units.
pub const BALL_RADIUS: i32 = 2_560;
/// Half the side of a crate, units.
pub const CRATE_HALF: i32 = 2_048;
/// Players per team that have a place at kick-off.
pub const TEAM_MAX: usize = 8;

const QUARTER_METRE: i32 = METRE / 4;

/// What a block is, for whoever draws it. All kinds are equally solid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// The ground, also inside the goals.
    Floor,
    /// The wall around the field, to 4 m.
    Wall,
    /// The see-through wall above it.
    Glass,
    /// The invisible lid.
    Ceiling,
    /// Back and roof of a goal.
    Goal,
    /// Something to stand on.
    Platform,
    /// A stair of 25 cm.
    Step,
    /// Something to hide behind.
    Cover,
}

impl BlockKind {
    /// The name in `map.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Wall => "wall",
            Self::Glass => "glass",
            Self::Ceiling => "ceiling",
            Self::Goal => "goal",
            Self::Platform => "platform",
            Self::Step => "step",
            Self::Cover => "cover",
        }
    }
}

/// A static axis-aligned box, corners in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// The low corner, x y z.
    pub min: [i32; 3],
    /// The high corner, x y z.
    pub max: [i32; 3],
}

/// All static blocks of the field.
pub fn blocks() -> Vec<Block> {
    let mut all = Vec::new();
    for &row in CENTRE {
        all.push(block(row));
    }
    for &row in ENDS {
        let original = block(row);
        all.extend([original, mirror_x(original)]);
    }
    for &row in SIDES {
        let original = block(row);
        all.extend([original, mirror_z(original)]);
    }
    for &row in CORNERS {
        let original = block(row);
        all.extend([original, mirror_x(original), mirror_z(original), mirror_x(mirror_z(original))]);
    }
    all
}

/// Where the player `index` of `team` stands at kick-off, feet, and the yaw towards the other goal.
pub fn kick_off(team: u8, index: usize) -> ([i32; 3], u16) {
    let [x, z] = KICK_OFF[index % TEAM_MAX].map(|quarters| quarters * QUARTER_METRE);
    if team == 0 { ([-x, 0, z], 0) } else { ([x, 0, -z], 32_768) }
}

/// Where a dead player `index` of `team` comes back: at the sides of the own half.
pub fn respawn(team: u8, index: usize) -> ([i32; 3], u16) {
    let [x, z] = RESPAWN[index % TEAM_MAX].map(|quarters| quarters * QUARTER_METRE);
    if team == 0 { ([-x, 0, z], 0) } else { ([x, 0, -z], 32_768) }
}

/// Centre of the ball at kick-off.
pub fn ball_home() -> [i32; 3] {
    [0, 2 * METRE, 0]
}

/// Centres of the crates at kick-off.
pub fn crate_homes() -> Vec<[i32; 3]> {
    let at = |[x, level, z]: [i32; 3]| [x * QUARTER_METRE, CRATE_HALF + level * 2 * CRATE_HALF, z * QUARTER_METRE];
    CRATES.iter().flat_map(|&[x, level, z]| [at([x, level, z]), at([-x, level, -z])]).collect()
}

type Row = (BlockKind, [i32; 3], [i32; 3]);

// Quarter metres: the field reaches from −96 to 96 along x and from −56 to 56 along z.
const CENTRE: &[Row] =
    &[(BlockKind::Floor, [-112, -8, -64], [112, 0, 64]), (BlockKind::Ceiling, [-112, 40, -64], [112, 44, 64])];

// At +x; mirrored to −x.
const ENDS: &[Row] = &[
    (BlockKind::Wall, [96, 0, -64], [112, 16, -16]),
    (BlockKind::Wall, [96, 0, 16], [112, 16, 64]),
    (BlockKind::Goal, [108, 0, -16], [112, 12, 16]),
    (BlockKind::Goal, [96, 12, -16], [112, 16, 16]),
    (BlockKind::Glass, [96, 16, -64], [112, 40, 64]),
    // A low shield before the goal area.
    (BlockKind::Cover, [56, 0, -4], [58, 4, 4]),
];

// At +z; mirrored to −z.
const SIDES: &[Row] = &[
    (BlockKind::Wall, [-96, 0, 56], [96, 16, 64]),
    (BlockKind::Glass, [-96, 16, 56], [96, 40, 64]),
    // The gallery at the middle line, with stairs at both ends.
    (BlockKind::Platform, [-20, 0, 42], [20, 6, 56]),
    (BlockKind::Step, [20, 0, 44], [22, 5, 56]),
    (BlockKind::Step, [22, 0, 44], [24, 4, 56]),
    (BlockKind::Step, [24, 0, 44], [26, 3, 56]),
    (BlockKind::Step, [26, 0, 44], [28, 2, 56]),
    (BlockKind::Step, [28, 0, 44], [30, 1, 56]),
    (BlockKind::Step, [-22, 0, 44], [-20, 5, 56]),
    (BlockKind::Step, [-24, 0, 44], [-22, 4, 56]),
    (BlockKind::Step, [-26, 0, 44], [-24, 3, 56]),
    (BlockKind::Step, [-28, 0, 44], [-26, 2, 56]),
    (BlockKind::Step, [-30, 0, 44], [-28, 1, 56]),
    // Its parapet towards the field.
    (BlockKind::Cover, [-5, 6, 42], [5, 9, 43]),
];

// At +x +z; mirrored to all four corners.
const CORNERS: &[Row] = &[
    // The corner is cut off by a diagonal of pillars, so that the ball comes back out.
    (BlockKind::Wall, [82, 0, 54], [84, 16, 56]),
    (BlockKind::Wall, [84, 0, 52], [86, 16, 56]),
    (BlockKind::Wall, [86, 0, 50], [88, 16, 56]),
    (BlockKind::Wall, [88, 0, 48], [90, 16, 56]),
    (BlockKind::Wall, [90, 0, 46], [92, 16, 56]),
    (BlockKind::Wall, [92, 0, 44], [94, 16, 56]),
    (BlockKind::Wall, [94, 0, 42], [96, 16, 56]),
    // The perch: jump onto the lower box, then onto the upper one.
    (BlockKind::Platform, [56, 0, 46], [64, 5, 56]),
    (BlockKind::Platform, [64, 0, 44], [74, 10, 56]),
    // A pillar and two walls to hide behind.
    (BlockKind::Cover, [44, 0, 28], [48, 14, 32]),
    (BlockKind::Cover, [30, 0, 14], [33, 5, 24]),
    (BlockKind::Cover, [70, 0, 20], [78, 4, 22]),
    // Goal posts that stand out a little.
    (BlockKind::Goal, [95, 0, 16], [96, 13, 18]),
];

// x towards the own goal, z: team 0 as it looks, team 1 turned by half a turn.
const KICK_OFF: [[i32; 2]; TEAM_MAX] =
    [[24, 0], [38, 16], [38, -16], [84, 0], [28, 34], [28, -34], [62, 10], [62, -10]];
const RESPAWN: [[i32; 2]; TEAM_MAX] =
    [[68, 36], [68, -36], [84, 34], [84, -34], [56, 36], [56, -36], [76, 40], [76, -40]];

// x, level, z; each with its twin at −x −z.
const CRATES: &[[i32; 3]] = &[[16, 0, 26], [16, 0, -26], [52, 0, 12], [52, 0, -12], [52, 1, 12], [80, 0, 30]];

const fn block((kind, min, max): Row) -> Block {
    let mut out = Block { kind, min, max };
    let mut axis = 0;
    while axis < 3 {
        out.min[axis] *= QUARTER_METRE;
        out.max[axis] *= QUARTER_METRE;
        axis += 1;
    }
    out
}

const fn mirror_x(b: Block) -> Block {
    Block { kind: b.kind, min: [-b.max[0], b.min[1], b.min[2]], max: [-b.min[0], b.max[1], b.max[2]] }
}

const fn mirror_z(b: Block) -> Block {
    Block { kind: b.kind, min: [b.min[0], b.min[1], -b.max[2]], max: [b.max[0], b.max[1], -b.min[2]] }
}

#[cfg(test)]
mod tests;
