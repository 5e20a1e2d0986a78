//! A part of the physics, for whoever predicts: chosen things, the blocks near them, and the players.

use rapier3d::prelude::*;

use super::Physics;
use crate::components;
use crate::map::{self, METRE};

/// Blocks this near to a thing that is brought in come with it, units: the way of the fastest thing in a third of a second.
const NEAR: i32 = 10 * METRE;

impl Physics {
    /// Nothing but a capsule per seat: things come with [`hold`](Self::hold).
    pub fn subset(seats: usize) -> Self {
        let mut physics = Self::empty(seats);
        physics.blocks = vec![false; map::blocks().len()];
        physics
    }

    /// Brings a thing into the subset, with the blocks near it, or corrects the one that is there. The ball is 0. A thing that
    /// is where its pose says it is goes on undisturbed.
    pub fn hold(&mut self, index: usize, pose: &components::Pose) {
        if self.body(index).is_some() && self.pose(index) == *pose {
            return;
        }
        let is_new = self.body(index).is_none();
        if is_new {
            self.bring_blocks(pose.centre());
            let handle = self.insert_thing(index, pose.centre());
            if self.things.len() <= index {
                self.things.resize(index + 1, RigidBodyHandle::invalid());
                self.homes.resize(index + 1, pose.centre());
            }
            self.things[index] = handle;
        }
        let is_at_rest = pose.velocity == [0; 3];
        let Some(body) = self.body_mut(index) else { return };
        let turned = Rotation::from_array(pose.rotation.map(|part| f32::from(part) / 511.0)).normalize();
        body.set_translation(Vector::from_array([pose.x, pose.y, pose.z].map(|v| v as f32 / 512.0)), true);
        body.set_rotation(if turned.is_finite() { turned } else { Rotation::IDENTITY }, true);
        body.set_linvel(Vector::from_array(pose.velocity.map(|v| f32::from(v) / 64.0)), true);
        if is_at_rest {
            body.set_angvel(Vector::ZERO, true);
        }
        if is_new && is_at_rest {
            body.sleep();
        }
    }

    /// Takes a thing out of the subset. Its blocks stay.
    pub fn release(&mut self, index: usize) {
        if let Some(handle) = self.things.get_mut(index) {
            let handle = std::mem::replace(handle, RigidBodyHandle::invalid());
            self.world.remove_body(handle);
        }
    }

    fn bring_blocks(&mut self, centre: [i32; 3]) {
        for (number, block) in map::blocks().iter().enumerate() {
            let is_near = (0..3).all(|axis| {
                block.min[axis].saturating_sub(NEAR) < centre[axis]
                    && centre[axis] < block.max[axis].saturating_add(NEAR)
            });
            if is_near && self.blocks.get(number) == Some(&false) {
                self.blocks[number] = true;
                self.add_block(block);
            }
        }
    }
}
