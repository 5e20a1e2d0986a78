//! The simulated half of a room: exactly what a replay repeats.

use amphi_shared_replica::{Game, GameError, InputPort, MatchMode, Seat, SeatState, Sim, SimMode};
use amphi_shared_wire::Seed;

use crate::RoomCommand;

/// Ticks without an input during which the last one goes on as it is; after them it decays.
const HELD_TICKS: u32 = 3;

/// A world that steps on commands alone.
pub(crate) struct World {
    pub(crate) sim: Sim,
    input: Option<InputPort>,
    /// By seat: ticks in a row without an input.
    missing: Vec<u32>,
    bot_names: Vec<String>,
}

impl World {
    pub(crate) fn new(game: &Game, run: SimMode, mode: MatchMode, seed: Seed) -> Result<Self, GameError> {
        let missing = vec![0; mode.seats()];
        let sim = game.build(run, mode, seed)?;
        let bot_names = sim.seats().0.iter().map(|seat| seat.name.clone()).collect();
        Ok(Self { input: sim.input_port(), sim, missing, bot_names })
    }

    /// Applies the commands of the next tick, then simulates it.
    pub(crate) fn step(&mut self, commands: &[RoomCommand]) -> Result<(), GameError> {
        for missing in &mut self.missing {
            *missing = missing.saturating_add(1);
        }
        for command in commands {
            self.apply(command);
        }
        self.decay();
        self.sim.step()
    }

    fn apply(&mut self, command: &RoomCommand) {
        match command {
            RoomCommand::Join { seat, user, name } => {
                let (user, name) = (user.clone(), name.clone());
                self.set_seat(*seat, |state| *state = SeatState { bot: false, connected: true, name, user, ..*state });
            }
            RoomCommand::Leave { seat } => {
                let name = self.bot_names.get(usize::from(*seat)).cloned().unwrap_or_default();
                let user = String::new();
                self.set_seat(*seat, |state| *state = SeatState { bot: true, connected: false, name, user, ..*state });
            }
            RoomCommand::Presence { seat, connected } => {
                if let Some(state) = self.sim.seats_mut().0.get_mut(usize::from(*seat)) {
                    state.connected = *connected;
                }
            }
            RoomCommand::Input { seat, bytes } => {
                let Some(port) = self.input else { return };
                // The bytes were read and sanitised before; a journal of another build may still hold others.
                if port.set(self.sim.world_mut(), Seat(*seat), bytes).is_ok()
                    && let Some(missing) = self.missing.get_mut(usize::from(*seat))
                {
                    *missing = 0;
                }
            }
            RoomCommand::Request { seat, id, kind, body } => self.sim.ask(Seat(*seat), *id, *kind, body),
            RoomCommand::End { .. } => {}
        }
    }

    fn set_seat(&mut self, seat: u8, change: impl FnOnce(&mut SeatState)) {
        let Some(state) = self.sim.seats_mut().0.get_mut(usize::from(seat)) else { return };
        change(state);
        self.missing[usize::from(seat)] = 0;
        if let Some(port) = self.input {
            port.reset(self.sim.world_mut(), Seat(seat));
        }
    }

    fn decay(&mut self) {
        let Some(port) = self.input else { return };
        for (seat, missing) in self.missing.iter().enumerate() {
            let person = self.sim.seats().0.get(seat).is_some_and(|state| !state.bot);
            if person && *missing > HELD_TICKS {
                port.decay(self.sim.world_mut(), Seat(seat as u8));
            }
        }
    }
}
