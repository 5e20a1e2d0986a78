//! What a player, a person or a bot, wants in one tick.

use amphi_shared_replica::Input;
use amphi_shared_wire::{BitReader, BitWriter, OutOfBits};

/// Steepest look up or down, 65,536 per turn (about 82°).
pub const PITCH_MAX: i16 = 15_000;

const JUMP: u8 = 1;
const SHOVE: u8 = 2;
const FIRE: u8 = 4;
const BUTTONS: u8 = JUMP | SHOVE | FIRE;

/// Buttons, direction of running and direction of view of one tick.
///
/// Encoded in 51 bits, least significant bit first: `buttons` 3 (bit 0 jump, bit 1 shove, bit 2 fire),
/// `move_x` 8 and `move_y` 8 (two's complement), `yaw` 16, `pitch` 16 (two's complement).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArenaInput {
    /// Bit 0 jump, bit 1 shove, bit 2 fire.
    pub buttons: u8,
    /// Running to the right, −127 to 127 of the full speed.
    pub move_x: i8,
    /// Running ahead, −127 to 127 of the full speed.
    pub move_y: i8,
    /// Direction of view, 65,536 per turn: 0 looks along +x, a quarter turn along −z.
    pub yaw: u16,
    /// Direction of view above the horizon, 65,536 per turn, between −15,000 and 15,000.
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

impl Input for ArenaInput {
    fn encode(&self, writer: &mut BitWriter) {
        writer.bits(u32::from(self.buttons & BUTTONS), 3);
        writer.bits(u32::from(self.move_x as u8), 8);
        writer.bits(u32::from(self.move_y as u8), 8);
        writer.bits(u32::from(self.yaw), 16);
        writer.bits(u32::from(self.pitch as u16), 16);
    }

    fn decode(reader: &mut BitReader<'_>) -> Result<Self, OutOfBits> {
        Ok(Self {
            buttons: reader.bits(3)? as u8,
            move_x: reader.bits(8)? as u8 as i8,
            move_y: reader.bits(8)? as u8 as i8,
            yaw: reader.bits(16)? as u16,
            pitch: reader.bits(16)? as u16 as i16,
        })
    }

    fn sanitise(self) -> Self {
        Self {
            buttons: self.buttons & BUTTONS,
            move_x: self.move_x.max(-127),
            move_y: self.move_y.max(-127),
            yaw: self.yaw,
            pitch: self.pitch.clamp(-PITCH_MAX, PITCH_MAX),
        }
    }

    /// Slows down within a few ticks and lets go of all buttons; the view stays.
    fn decayed(&self) -> Self {
        let slower = |speed: i8| (i16::from(speed) * 7 / 8) as i8;
        Self { buttons: 0, move_x: slower(self.move_x), move_y: slower(self.move_y), ..*self }
    }
}

#[cfg(test)]
mod tests;
