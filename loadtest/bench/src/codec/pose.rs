//! Cubes as components on Fiedler's grid: positions to 1/512 m in 18, 14 and 18 bits, rotations as smallest three with
//! 9 bits per part.

use amphi_shared_replica::{Field, FieldKind, Game, Lerp, Mode, ReplicaApp, Replicate, Sim, SimMode};
use amphi_shared_wire::Seed;
use anyhow::Context;
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::{Component, Entity};

use super::cubes::HZ;
use super::trace::{Motion, Trace};

const STEPS_PER_METRE: f64 = 512.0;
/// x and z lie within ±`PLANE_MAX`, y from 0 to `HEIGHT_MAX`.
pub(super) const PLANE_MAX: i32 = (1 << 17) - 1;
pub(super) const HEIGHT_MAX: i32 = (1 << 14) - 1;
/// Greatest part of a rotation.
pub(super) const PART_MAX: i32 = 511;

/// Where a cube is: x, y, z, which part of its rotation is the largest, and the other three.
#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CubePose(pub(super) [i32; 7]);

const fn length(name: &'static str) -> Field {
    Field { name, unit: "1/512", kind: FieldKind::F32, lerp: Lerp::Linear, tolerance: 0 }
}

/// A number of a rotation as smallest three.
pub(crate) const fn part(name: &'static str) -> Field {
    Field { name, unit: "1/511", kind: FieldKind::I32, lerp: Lerp::SmallestThree, tolerance: 0 }
}

impl Replicate for CubePose {
    const NAME: &'static str = "CubePose";

    fn fields() -> &'static [Field] {
        const FIELDS: [Field; 7] = [
            length("x"),
            length("y"),
            length("z"),
            part("rotation.0"),
            part("rotation.1"),
            part("rotation.2"),
            part("rotation.3"),
        ];
        &FIELDS
    }

    fn write(&self, row: &mut [i32]) {
        row.copy_from_slice(&self.0);
    }

    fn read(row: &[i32]) -> Self {
        let mut pose = Self::default();
        pose.0.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
        pose
    }
}

impl CubePose {
    /// The nearest pose on the grid.
    pub(super) fn of(motion: &Motion) -> Self {
        let [x, y, z] = motion.position.map(|metres| (f64::from(metres) * STEPS_PER_METRE).round() as i32);
        let [largest, a, b, c] = smallest_three(motion.rotation);
        let (x, z) = (x.clamp(-PLANE_MAX, PLANE_MAX), z.clamp(-PLANE_MAX, PLANE_MAX));
        Self([x, y.clamp(0, HEIGHT_MAX), z, largest, a, b, c])
    }
}

/// A rotation as smallest three: which part is the largest, and the others.
pub(crate) fn smallest_three(rotation: [f32; 4]) -> [i32; 4] {
    let rotation = rotation.map(f64::from);
    let largest = (1..4).fold(0, |most, n| if rotation[n].abs() > rotation[most].abs() { n } else { most });
    let sign = rotation[largest].signum();
    let others: Vec<f64> = (0..4).filter(|n| *n != largest).map(|n| rotation[n] * sign).collect();
    let part = |n: usize| {
        let share = (others[n] * std::f64::consts::SQRT_2 + 1.0) / 2.0;
        ((share * f64::from(PART_MAX)).round() as i32).clamp(0, PART_MAX)
    };
    [largest as i32, part(0), part(1), part(2)]
}

/// The poses of a trace, frame by frame.
pub(super) fn frames(trace: &Trace) -> Vec<Vec<CubePose>> {
    (0..trace.frames()).map(|frame| trace.frame(frame).iter().map(CubePose::of).collect()).collect()
}

/// A world of cubes that are put where a trace wants them.
pub(super) struct CubeWorld {
    pub(super) sim: Sim,
    cubes: Vec<Entity>,
}

#[derive(Clone)]
struct Cubes;

impl Plugin for Cubes {
    fn build(&self, app: &mut App) {
        let mode = Mode { name: "trace", teams: 1, team_size: 1, duration_s: 3_600 };
        app.interpolate::<CubePose>().modes(&[mode]);
    }
}

impl CubeWorld {
    /// A world with this many cubes.
    pub(super) fn new(cubes: usize) -> anyhow::Result<Self> {
        let game = Game::new("cubes", Cubes);
        let mode = game.mode("trace").context("the mode is gone")?;
        let mut sim = game.build(SimMode::Authority, mode.at(HZ), Seed(0))?;
        let cubes = (0..cubes).map(|_| sim.world_mut().spawn(CubePose::default()).id()).collect();
        Ok(Self { sim, cubes })
    }

    /// Plays one frame.
    pub(super) fn step(&mut self, frame: &[CubePose]) -> anyhow::Result<()> {
        for (cube, pose) in self.cubes.iter().zip(frame) {
            self.sim.world_mut().entity_mut(*cube).insert(*pose);
        }
        self.sim.step()?;
        Ok(())
    }
}
