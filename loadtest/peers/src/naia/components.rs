//! The components of the battle: one property for what changes together, as in naia's own benches.

use naia_bevy_shared::bevy_ecs::component::{Component, Mutable, StorageType};
use naia_bevy_shared::{Message, Property, Replicate, Serde, SignedInteger, SignedVariableFloat, UnsignedInteger};

/// What clients say first.
#[derive(Message)]
pub(super) struct Hello;

/// Numbers of a component, there and back.
pub(super) trait Numbers<const N: usize>:
    naia_shared::ReplicatedComponent + Component<Mutability = Mutable>
{
    fn of(numbers: [i32; N]) -> Self;

    /// Sets the property, only when it is another.
    fn put(&mut self, numbers: [i32; N]);

    fn get(&self) -> [i32; N];
}

/// The derive of `Component` looks up the one Bevy of this crate, which is not naia's.
macro_rules! component {
    ($name:ident, $state:ty, $numbers:literal) => {
        impl Component for $name {
            const STORAGE_TYPE: StorageType = StorageType::Table;
            type Mutability = Mutable;
        }

        impl Numbers<$numbers> for $name {
            fn of(numbers: [i32; $numbers]) -> Self {
                Self::new_complete(<$state>::from(numbers))
            }

            fn put(&mut self, numbers: [i32; $numbers]) {
                let state = <$state>::from(numbers);
                if *self.state != state {
                    *self.state = state;
                }
            }

            fn get(&self) -> [i32; $numbers] {
                <[i32; $numbers]>::from((*self.state).clone())
            }
        }
    };
}

/// A place as in naia's bench: a tile, here 1 m, and an offset in it, here in cm.
#[derive(Clone, PartialEq, Serde)]
pub(super) struct Tile {
    tile: [i16; 3],
    offset: [SignedVariableFloat<14, 0>; 3],
}

impl From<[i32; 3]> for Tile {
    fn from(place: [i32; 3]) -> Self {
        let offset = place.map(|part| SignedVariableFloat::new(part.rem_euclid(100) as f32));
        Self { tile: place.map(|part| part.div_euclid(100) as i16), offset }
    }
}

impl From<Tile> for [i32; 3] {
    fn from(tile: Tile) -> Self {
        std::array::from_fn(|axis| i32::from(tile.tile[axis]) * 100 + tile.offset[axis].get() as i32)
    }
}

#[derive(Replicate)]
pub(super) struct TilePlace {
    state: Property<Tile>,
}

component!(TilePlace, Tile, 3);

/// A place in the bits that the map needs.
#[derive(Clone, PartialEq, Serde)]
pub(super) struct Fixed {
    flat: [UnsignedInteger<15>; 2],
    high: UnsignedInteger<13>,
}

impl From<[i32; 3]> for Fixed {
    fn from([x, y, z]: [i32; 3]) -> Self {
        Self { flat: [x, z].map(UnsignedInteger::new), high: UnsignedInteger::new(y) }
    }
}

impl From<Fixed> for [i32; 3] {
    fn from(place: Fixed) -> Self {
        [place.flat[0].to(), place.high.to(), place.flat[1].to()]
    }
}

#[derive(Replicate)]
pub(super) struct FixedPlace {
    state: Property<Fixed>,
}

component!(FixedPlace, Fixed, 3);

/// A velocity as in naia's bench.
#[derive(Clone, PartialEq, Serde)]
pub(super) struct Variable {
    parts: [SignedVariableFloat<11, 2>; 3],
}

impl From<[i32; 3]> for Variable {
    fn from(speed: [i32; 3]) -> Self {
        Self { parts: speed.map(|part| SignedVariableFloat::new(part as f32 / 100.0)) }
    }
}

impl From<Variable> for [i32; 3] {
    fn from(speed: Variable) -> Self {
        speed.parts.map(|part| (part.get() * 100.0).round() as i32)
    }
}

#[derive(Replicate)]
pub(super) struct VariableSpeed {
    state: Property<Variable>,
}

component!(VariableSpeed, Variable, 3);

/// A velocity in the bits that the fastest thing needs.
#[derive(Clone, PartialEq, Serde)]
pub(super) struct Parts {
    parts: [SignedInteger<12>; 3],
}

impl From<[i32; 3]> for Parts {
    fn from(speed: [i32; 3]) -> Self {
        Self { parts: speed.map(SignedInteger::new) }
    }
}

impl From<Parts> for [i32; 3] {
    fn from(speed: Parts) -> Self {
        speed.parts.map(|part| part.to())
    }
}

#[derive(Replicate)]
pub(super) struct FixedSpeed {
    state: Property<Parts>,
}

component!(FixedSpeed, Parts, 3);

/// Where a player looks.
#[derive(Clone, PartialEq, Serde)]
pub(super) struct View {
    yaw: UnsignedInteger<12>,
    pitch: SignedInteger<10>,
}

impl From<[i32; 2]> for View {
    fn from([yaw, pitch]: [i32; 2]) -> Self {
        Self { yaw: UnsignedInteger::new(yaw), pitch: SignedInteger::new(pitch) }
    }
}

impl From<View> for [i32; 2] {
    fn from(view: View) -> Self {
        [view.yaw.to(), view.pitch.to()]
    }
}

#[derive(Replicate)]
pub(super) struct Aim {
    state: Property<View>,
}

component!(Aim, View, 2);

/// A rotation as smallest three.
#[derive(Clone, PartialEq, Serde)]
pub(super) struct SmallestThree {
    largest: UnsignedInteger<2>,
    parts: [UnsignedInteger<9>; 3],
}

impl From<[i32; 4]> for SmallestThree {
    fn from([largest, a, b, c]: [i32; 4]) -> Self {
        Self { largest: UnsignedInteger::new(largest), parts: [a, b, c].map(UnsignedInteger::new) }
    }
}

impl From<SmallestThree> for [i32; 4] {
    fn from(turn: SmallestThree) -> Self {
        [turn.largest.to(), turn.parts[0].to(), turn.parts[1].to(), turn.parts[2].to()]
    }
}

#[derive(Replicate)]
pub(super) struct Turn {
    state: Property<SmallestThree>,
}

component!(Turn, SmallestThree, 4);

/// How a player is. The two change apart.
#[derive(Replicate)]
pub(super) struct Status {
    health: Property<u8>,
    state: Property<u8>,
}

impl Component for Status {
    const STORAGE_TYPE: StorageType = StorageType::Table;
    type Mutability = Mutable;
}

impl Numbers<2> for Status {
    fn of([health, state]: [i32; 2]) -> Self {
        Self::new_complete(health as u8, state as u8)
    }

    fn put(&mut self, [health, state]: [i32; 2]) {
        if i32::from(*self.health) != health {
            *self.health = health as u8;
        }
        if i32::from(*self.state) != state {
            *self.state = state as u8;
        }
    }

    fn get(&self) -> [i32; 2] {
        [i32::from(*self.health), i32::from(*self.state)]
    }
}
