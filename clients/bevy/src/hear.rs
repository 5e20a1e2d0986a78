//! Events and effects of the game as messages of their own type.

use amphi_shared_replica::Replicate;
use amphi_shared_wire::Tick;
use bevy_app::{App, PreUpdate};
use bevy_ecs::prelude::{IntoScheduleConfigs, Message, MessageReader, MessageWriter, Res};

use crate::news::RawSaid;
use crate::plugin::{AmphiSystems, GameOf};

/// The game has said `E`. Read it with `MessageReader<Heard<E>>`.
#[derive(Clone, Copy, Debug, Message, PartialEq, Eq)]
pub struct Heard<E: Send + Sync + 'static> {
    /// When.
    pub tick: Tick,
    /// The own prediction says it: it is shown at once, and the host's word for it is not heard again.
    pub predicted: bool,
    /// What.
    pub event: E,
}

/// Registration of what a client listens to.
pub trait HearApp {
    /// Writes a [`Heard<E>`] for each event or effect `E` of the game.
    fn hear<E: Replicate + Send + Sync + 'static>(&mut self) -> &mut Self;
}

impl HearApp for App {
    fn hear<E: Replicate + Send + Sync + 'static>(&mut self) -> &mut Self {
        self.add_message::<RawSaid>().add_message::<Heard<E>>();
        self.add_systems(PreUpdate, hear::<E>.in_set(AmphiSystems::Read))
    }
}

fn hear<E: Replicate + Send + Sync + 'static>(
    game: Option<Res<'_, GameOf>>,
    mut said: MessageReader<'_, '_, RawSaid>,
    mut heard: MessageWriter<'_, Heard<E>>,
) {
    let Some(game) = game else { return };
    for RawSaid(said) in said.read() {
        if let Some(event) = said.read::<E>(&game.0) {
            heard.write(Heard { tick: said.tick, predicted: said.predicted, event });
        }
    }
}
