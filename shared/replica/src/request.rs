//! What people ask of a game beside their inputs: requests with answers.

use bevy_ecs::prelude::{Resource, World};

use crate::{MessageError, Replicate, Seat, decode_message};

/// Something a client asks for, reliably and in order: buy, vote, pick a side.
pub trait Request: Replicate + Send + Sync + 'static {
    /// What the game answers. [`Done`] when there is nothing to say.
    type Answer: Replicate;
}

/// An answer without content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Replicate)]
pub struct Done;

/// A request with who asked. Keep it to answer in a later tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<R> {
    /// The person's seat.
    pub seat: Seat,
    /// The room's number for it.
    pub id: u32,
    /// What is asked.
    pub request: R,
}

/// The requests of this tick, in the order in which they arrived. The engine empties it after the tick.
#[derive(Debug, Resource)]
pub struct Requests<R: Request>(Vec<Asked<R>>);

impl<R: Request> Requests<R> {
    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Asked<R>> {
        self.0.iter()
    }
}

/// A request type behind functions that know it.
#[derive(Clone, Copy, Debug)]
pub struct RequestPort {
    check: fn(&[u8]) -> Result<(), MessageError>,
    init: fn(&mut World),
    push: fn(&mut World, Seat, u32, &[u8]) -> Result<(), MessageError>,
    clear: fn(&mut World),
}

impl RequestPort {
    pub(crate) fn of<R: Request>() -> Self {
        Self {
            check: |body| decode_message::<R>(body).map(|_| ()),
            init: |world| world.insert_resource(Requests::<R>(Vec::new())),
            push: |world, seat, id, body| {
                let request = decode_message::<R>(body)?;
                world.resource_mut::<Requests<R>>().0.push(Asked { seat, id, request });
                Ok(())
            },
            clear: |world| world.resource_mut::<Requests<R>>().0.clear(),
        }
    }

    /// Whether bytes are a body of this request.
    ///
    /// # Errors
    /// [`MessageError`] when they are not.
    pub fn check(&self, body: &[u8]) -> Result<(), MessageError> {
        (self.check)(body)
    }

    pub(crate) fn init(&self, world: &mut World) {
        (self.init)(world);
    }

    pub(crate) fn push(&self, world: &mut World, seat: Seat, id: u32, body: &[u8]) -> Result<(), MessageError> {
        (self.push)(world, seat, id, body)
    }

    pub(crate) fn clear(&self, world: &mut World) {
        (self.clear)(world);
    }
}
