//! A match as entities of a Bevy app: for a game's own client, with a window or without.
//!
//! ```no_run
//! use amphi_clients_bevy::{AmphiClientPlugin, Invitation, Own, PlayerInput};
//! use amphi_shared_replica::{Input, ReplicaApp, Replicate};
//! use bevy_app::{App, Update};
//! use bevy_ecs::prelude::*;
//!
//! #[derive(Clone, Component, Copy, Replicate)]
//! struct Runner {
//!     at: [i32; 2],
//! }
//!
//! #[derive(Clone, Default, PartialEq, Input)]
//! struct Stick {
//!     right: bool,
//! }
//!
//! /// The same plugin as on the server: what it adds does not run in this app, but where the client predicts.
//! fn my_game(app: &mut App) {
//!     app.predict::<Runner>().interpolate::<Runner>().input::<Stick>();
//! }
//!
//! fn press(mut input: ResMut<PlayerInput<Stick>>) {
//!     input.0.right = true;
//! }
//!
//! fn draw(runners: Query<(&Runner, Has<Own>)>) {
//!     for (Runner { at }, own) in &runners {
//!         // …
//!     }
//! }
//!
//! fn client(answer_of_the_queue: &str) -> Result<(), Box<dyn std::error::Error>> {
//!     let invitation = Invitation::from_json(answer_of_the_queue)?;
//!     App::new()
//!         .add_plugins(AmphiClientPlugin::<Stick>::new(my_game).joining(invitation))
//!         .add_systems(Update, (press, draw))
//!         .run();
//!     Ok(())
//! }
//! ```
//!
//! The connection lives on a thread of its own. A frame never waits for the network; it waits, at most, while that thread reads
//! a packet that has already arrived.

#![forbid(unsafe_code)]

mod ask;
mod driver;
mod hear;
mod invitation;
mod link;
mod news;
mod plugin;
mod show;

pub use amphi_clients_rust::{ClientStats, Joined};
pub use ask::{Answered, Ask, AskApp};
pub use hear::{HearApp, Heard};
pub use invitation::{Invitation, InvitationError};
pub use link::{MatchLink, Phase};
pub use news::News;
pub use plugin::{AmphiClientPlugin, AmphiSystems, Own, PlayerInput};
