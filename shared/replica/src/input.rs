//! Inputs: what a seat wants in one tick, how it is sent, and where the simulation finds it.

use amphi_shared_wire::limits::{INPUT_BYTES_MAX, INPUTS_PER_DATAGRAM_MAX};
use amphi_shared_wire::{BitReader, BitWriter, OutOfBits, Tick};
use bevy_ecs::prelude::{Resource, World};
use thiserror::Error;

use crate::{FieldKind, Seat};

/// What a person or a bot wants in one tick. Derive it; by hand where a layout of your own is worth it.
pub trait Input: Clone + Default + PartialEq + Send + Sync + 'static {
    /// Name in the schema: letters, digits and `_`; empty when other languages need not know the input.
    const NAME: &'static str = "";

    /// The numbers of a derived input, in the order of their bits.
    fn fields() -> &'static [InputField] {
        &[]
    }

    /// Writes it, at most [`INPUT_BYTES_MAX`] bytes.
    fn encode(&self, writer: &mut BitWriter);

    /// Reads what [`encode`](Self::encode) wrote. Any bits give a value or an error.
    fn decode(reader: &mut BitReader<'_>) -> Result<Self, OutOfBits>;

    /// The nearest value that the rules allow. A fair client's input comes back as it is.
    fn sanitise(self) -> Self;

    /// What is played when the next input is late: held directions, no fresh presses.
    fn decayed(&self) -> Self;
}

/// One number of a derived input, sent as `value - min` in [`bits`](Self::bits) bits, the least significant first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputField {
    /// Name within the input: `aim`, or `aim.0` for a part of an array.
    pub name: &'static str,
    /// What one step means: a positive number or a fraction, `0.01` or `1/4096`.
    pub unit: &'static str,
    /// Type of the number in the input.
    pub kind: FieldKind,
    /// Least number of steps.
    pub min: i64,
    /// Greatest number of steps, less than 2³² above `min`.
    pub max: i64,
    /// What becomes of it when the next input is late.
    pub late: Late,
}

/// What becomes of a number when the next input is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// It stays: a held direction.
    Hold,
    /// It becomes the default: a pressed button.
    Release,
    /// It loses an eighth per tick, towards 0.
    Fade,
}

impl Late {
    /// Lower-case word, as in the schema.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Fade => "fade",
        }
    }
}

impl InputField {
    /// Bits of the number on the wire.
    pub const fn bits(&self) -> u32 {
        u64::BITS - ((self.max - self.min) as u64).leading_zeros()
    }

    /// Writes a number of steps, the nearest that is allowed.
    pub fn write(&self, writer: &mut BitWriter, steps: i64) {
        writer.bits((self.clamp(steps) - self.min) as u32, self.bits());
    }

    /// Reads a number of steps.
    ///
    /// # Errors
    /// The bits end too early.
    pub fn read(&self, reader: &mut BitReader<'_>) -> Result<i64, OutOfBits> {
        Ok(self.clamp(self.min + i64::from(reader.bits(self.bits())?)))
    }

    /// The nearest number of steps that is allowed.
    pub fn clamp(&self, steps: i64) -> i64 {
        steps.clamp(self.min, self.max)
    }

    /// What the number becomes when the next input is late.
    pub fn decayed(&self, steps: i64, default: i64) -> i64 {
        match self.late {
            Late::Hold => steps,
            Late::Release => default,
            Late::Fade => self.clamp(steps * 7 / 8),
        }
    }
}

/// Why bytes are not inputs.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum InputError {
    /// The bits end too early.
    #[error("the input ends too early")]
    Truncated,
    /// An input is longer than [`INPUT_BYTES_MAX`].
    #[error("an input is larger than {INPUT_BYTES_MAX} bytes")]
    TooLarge,
    /// The game has no input type.
    #[error("the game takes no inputs")]
    None,
}

impl From<OutOfBits> for InputError {
    fn from(OutOfBits: OutOfBits) -> Self {
        Self::Truncated
    }
}

/// The inputs of this tick, by seat. The engine writes those of people, a system of the game those of bots.
#[derive(Clone, Debug, Default, Resource)]
pub struct Inputs<I: Input> {
    seats: Vec<I>,
    idle: I,
}

impl<I: Input> Inputs<I> {
    /// Default inputs for this many seats.
    pub fn new(seats: usize) -> Self {
        Self { seats: vec![I::default(); seats], idle: I::default() }
    }

    /// The input of a seat; the default when there is no such seat.
    pub fn get(&self, seat: Seat) -> &I {
        self.seats.get(usize::from(seat.0)).unwrap_or(&self.idle)
    }

    /// Replaces the input of a seat, if there is such a seat.
    pub fn set(&mut self, seat: Seat, input: I) {
        if let Some(slot) = self.seats.get_mut(usize::from(seat.0)) {
            *slot = input;
        }
    }
}

/// The payload of a datagram on the input lane: the newest tick, then one input per tick, oldest first.
///
/// Layout: `tick` 32 bits, `count - 1` 5 bits, the first input, then for each later one a bit "same as before" or
/// the bit 0 and the input. The ticks are the last `count` up to `tick`.
pub fn encode_inputs<I: Input>(newest: Tick, inputs: &[I]) -> Vec<u8> {
    encode_inputs_with(newest, inputs, I::encode)
}

/// As [`encode_inputs`], with inputs written by a function: for a host that reads more or fewer numbers, see
/// [`SchemaFit::write_input`](crate::SchemaFit::write_input).
pub fn encode_inputs_with<I: Input>(newest: Tick, inputs: &[I], encode: impl Fn(&I, &mut BitWriter)) -> Vec<u8> {
    let inputs = &inputs[inputs.len().saturating_sub(INPUTS_PER_DATAGRAM_MAX)..];
    let mut writer = BitWriter::new();
    writer.bits(newest.0, 32);
    writer.bits(inputs.len().saturating_sub(1) as u32, 5);
    for (i, input) in inputs.iter().enumerate() {
        let same = i > 0 && *input == inputs[i - 1];
        if i > 0 {
            writer.bit(same);
        }
        if !same {
            encode(input, &mut writer);
        }
    }
    writer.finish()
}

/// The input type of a game behind functions that know it.
#[derive(Clone, Copy, Debug)]
pub struct InputPort {
    name: &'static str,
    fields: fn() -> &'static [InputField],
    read: fn(&mut BitReader<'_>) -> Result<Vec<u8>, InputError>,
    init: fn(&mut World, usize),
    set: fn(&mut World, Seat, &[u8]) -> Result<(), InputError>,
    decay: fn(&mut World, Seat),
    reset: fn(&mut World, Seat),
}

impl InputPort {
    pub(crate) fn of<I: Input>() -> Self {
        Self {
            name: I::NAME,
            fields: I::fields,
            read: read::<I>,
            init: |world, seats| world.insert_resource(Inputs::<I>::new(seats)),
            set: set::<I>,
            decay: |world, seat| {
                let mut inputs = world.resource_mut::<Inputs<I>>();
                let decayed = inputs.get(seat).decayed();
                inputs.set(seat, decayed);
            },
            reset: |world, seat| world.resource_mut::<Inputs<I>>().set(seat, I::default()),
        }
    }

    /// Name in the schema; empty when the input is written by hand.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The numbers of a derived input.
    pub fn fields(&self) -> &'static [InputField] {
        (self.fields)()
    }

    /// Reads the payload of a datagram: inputs with their ticks, oldest first, each sanitised and in bytes that
    /// [`set`](Self::set) takes.
    pub fn read_datagram(&self, payload: &[u8]) -> Result<Vec<(Tick, Vec<u8>)>, InputError> {
        let mut reader = BitReader::new(payload);
        let newest = Tick(reader.bits(32)?);
        let count = reader.bits(5)? + 1;
        let mut inputs: Vec<(Tick, Vec<u8>)> = Vec::with_capacity(count as usize);
        for i in 0..count {
            let bytes = match inputs.last() {
                Some((_, before)) if reader.bit()? => before.clone(),
                Some(_) | None => (self.read)(&mut reader)?,
            };
            // An input for a tick before 0 cannot be; it must still be read.
            if let Some(tick) = newest.0.checked_sub(count - 1 - i) {
                inputs.push((Tick(tick), bytes));
            } else if inputs.is_empty() {
                inputs.push((Tick(0), bytes));
            }
        }
        Ok(inputs)
    }

    pub(crate) fn init(&self, world: &mut World, seats: usize) {
        (self.init)(world, seats);
    }

    /// Replaces the input of a seat.
    pub fn set(&self, world: &mut World, seat: Seat, bytes: &[u8]) -> Result<(), InputError> {
        (self.set)(world, seat, bytes)
    }

    /// Lets the input of a seat decay: its next one is late.
    pub fn decay(&self, world: &mut World, seat: Seat) {
        (self.decay)(world, seat);
    }

    /// Puts the default input on a seat.
    pub fn reset(&self, world: &mut World, seat: Seat) {
        (self.reset)(world, seat);
    }
}

fn read<I: Input>(reader: &mut BitReader<'_>) -> Result<Vec<u8>, InputError> {
    let input = I::decode(reader)?.sanitise();
    let mut writer = BitWriter::new();
    input.encode(&mut writer);
    let bytes = writer.finish();
    if bytes.len() > INPUT_BYTES_MAX { Err(InputError::TooLarge) } else { Ok(bytes) }
}

fn set<I: Input>(world: &mut World, seat: Seat, bytes: &[u8]) -> Result<(), InputError> {
    let input = I::decode(&mut BitReader::new(bytes))?.sanitise();
    world.resource_mut::<Inputs<I>>().set(seat, input);
    Ok(())
}
