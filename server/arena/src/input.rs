//! What a player, a person or a bot, wants in one tick.

use amphi_shared_replica::Input;

/// Steepest look up or down, 65,536 per turn (about 82°).
pub const PITCH_MAX: i16 = 15_000;

const JUMP: u8 = 1;
const SHOVE: u8 = 2;
const FIRE: u8 = 4;

/// Buttons, direction of running and direction of view of one tick.
///
/// When it is late, the player slows down within a few ticks and lets go of all buttons; the view stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Input)]
pub struct ArenaInput {
    /// Bit 0 jump, bit 1 shove, bit 2 fire.
    #[input(range = "0..=7", late = "release")]
    pub buttons: u8,
    /// Running to the right, −127 to 127 of the full speed.
    #[input(range = "-127..=127", unit = "1/127", late = "fade")]
    pub move_x: i8,
    /// Running ahead, −127 to 127 of the full speed.
    #[input(range = "-127..=127", unit = "1/127", late = "fade")]
    pub move_y: i8,
    /// Direction of view, 65,536 per turn: 0 looks along +x, a quarter turn along −z.
    pub yaw: u16,
    /// Direction of view above the horizon, 65,536 per turn, between −[`PITCH_MAX`] and [`PITCH_MAX`].
    #[input(range = "-15000..=15000")]
    pub pitch: i16,
}

impl ArenaInput {
    /// The jump button is down.
    pub fn jump(&self) -> bool {
        self.buttons & JUMP != 0
    }

    /// The shove button is down.
    pub fn shove(&self) -> bool {
        self.buttons & SHOVE != 0
    }

    /// The fire button is down.
    pub fn fire(&self) -> bool {
        self.buttons & FIRE != 0
    }

    /// The same with these buttons.
    pub fn with_buttons(self, jump: bool, shove: bool, fire: bool) -> Self {
        let bit = |down: bool, bit: u8| if down { bit } else { 0 };
        Self { buttons: bit(jump, JUMP) | bit(shove, SHOVE) | bit(fire, FIRE), ..self }
    }
}

#[cfg(test)]
mod tests;
