//! The map: 200 m by 200 m of gentle hills.

use rapier3d::prelude::Vector;

/// Side of the map, m. Places lie between 0 and this.
pub(super) const SIDE_M: f32 = 200.0;
/// Lowest ground, m.
const LOWEST_M: f32 = 1.0;
/// x, z, height and half width of a hill, m.
const HILLS: [[f32; 4]; 6] = [
    [40.0, 50.0, 6.0, 25.0],
    [150.0, 40.0, 9.0, 35.0],
    [100.0, 100.0, 4.0, 18.0],
    [60.0, 160.0, 8.0, 30.0],
    [170.0, 150.0, 5.0, 22.0],
    [120.0, 180.0, 3.0, 12.0],
];

/// Height of the ground below or above a place, m.
pub(super) fn height(place: Vector) -> f32 {
    let hill = |[x, z, high, wide]: [f32; 4]| {
        let (dx, dz) = ((place.x - x) / wide, (place.z - z) / wide);
        high / (1.0 + dx * dx + dz * dz)
    };
    LOWEST_M + HILLS.into_iter().map(hill).sum::<f32>()
}

/// The direction that points out of the ground.
pub(super) fn normal(place: Vector) -> Vector {
    const STEP_M: f32 = 0.5;
    let along = |step: Vector| (height(place + step) - height(place - step)) / (2.0 * STEP_M);
    Vector::new(-along(Vector::new(STEP_M, 0.0, 0.0)), 1.0, -along(Vector::new(0.0, 0.0, STEP_M))).normalize()
}

/// The same place within the map.
pub(super) fn inside(place: Vector) -> Vector {
    const EDGE_M: f32 = 1.0;
    Vector::new(place.x.clamp(EDGE_M, SIDE_M - EDGE_M), place.y, place.z.clamp(EDGE_M, SIDE_M - EDGE_M))
}

/// The place is on the map.
pub(super) fn contains(place: Vector) -> bool {
    (0.0..SIDE_M).contains(&place.x) && (0.0..SIDE_M).contains(&place.z)
}
