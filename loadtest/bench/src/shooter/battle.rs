//! The battle: 32 players, 50 projectiles and 8 vehicles on one map.

use amphi_shared_wire::{Rng, Seed};
use rapier3d::prelude::Vector;

use super::projectile::Projectile;
use super::soldier::Soldier;
use super::trace::{Thing, Trace};
use super::vehicle::Vehicle;

pub(super) const PLAYERS: usize = 32;
pub(super) const PROJECTILES: usize = 50;
pub(super) const VEHICLES: usize = 8;
/// Things at any time.
pub(super) const THINGS: usize = PLAYERS + PROJECTILES + VEHICLES;
/// Not recorded: until projectiles no longer fly in step.
const WARM_UP_S: u32 = 10;
const BULLET: f32 = 14.0;
const BLAST: f32 = 45.0;

/// Records a battle of so many ticks.
pub(super) fn record(seed: u64, hz: u32, ticks: usize) -> Trace {
    let mut battle = Battle::new(seed);
    let dt = 1.0 / hz as f32;
    (0..WARM_UP_S * hz).for_each(|_| battle.step(dt));
    let mut trace = Trace::default();
    for _ in 0..ticks {
        battle.step(dt);
        trace.ticks.push(battle.things());
    }
    trace
}

struct Battle {
    soldiers: Vec<Soldier>,
    vehicles: Vec<Vehicle>,
    projectiles: Vec<Projectile>,
    next_id: u32,
    rng: Rng,
}

impl Battle {
    fn new(seed: u64) -> Self {
        let mut rng = Seed(seed).rng();
        let soldiers = (0..PLAYERS).map(|_| Soldier::new(&mut rng)).collect();
        let vehicles = (0..VEHICLES).map(|_| Vehicle::new(&mut rng)).collect();
        let mut battle = Self { soldiers, vehicles, projectiles: Vec::new(), next_id: 0, rng };
        battle.next_id = (PLAYERS + VEHICLES) as u32;
        battle.fire();
        battle
    }

    fn step(&mut self, dt: f32) {
        let places: Vec<(Vector, bool)> =
            self.soldiers.iter().map(|soldier| (soldier.place, soldier.alive())).collect();
        for n in 0..self.soldiers.len() {
            if let Some(hit) = self.soldiers[n].step(&places, dt, &mut self.rng) {
                self.soldiers[hit].hurt(BULLET);
            }
        }
        let Self { soldiers, projectiles, .. } = self;
        projectiles.retain_mut(|projectile| {
            let mut flies = projectile.step(dt);
            for soldier in soldiers.iter_mut().filter(|soldier| soldier.alive() && projectile.hits(soldier.view().0)) {
                soldier.hurt(BLAST);
                flies = false;
            }
            flies
        });
        self.fire();
        self.vehicles.iter_mut().for_each(|vehicle| vehicle.step(dt, &mut self.rng));
    }

    /// As many new projectiles as have hit.
    fn fire(&mut self) {
        while self.projectiles.len() < PROJECTILES {
            let by = &self.soldiers[self.rng.below(PLAYERS as u64) as usize];
            self.next_id += 1;
            self.projectiles.push(Projectile::new(self.next_id, by, &mut self.rng));
        }
    }

    fn things(&self) -> Vec<Thing> {
        let soldiers = self.soldiers.iter().zip(1..).map(|(soldier, id)| soldier.thing(id));
        let vehicles = self.vehicles.iter().zip(1 + PLAYERS as u32..).map(|(vehicle, id)| vehicle.thing(id));
        soldiers.chain(vehicles).chain(self.projectiles.iter().map(Projectile::thing)).collect()
    }
}
