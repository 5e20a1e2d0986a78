//! An authoritative game server and the live audience around it.
//!
//! A studio's own game is a Bevy plugin and one call:
//!
//! ```no_run
//! use amphi::prelude::*;
//!
//! #[derive(Clone)]
//! struct MyGame;
//!
//! impl Plugin for MyGame {
//!     fn build(&self, app: &mut App) {
//!         app.modes(&[Mode { name: "duel", teams: 2, team_size: 1, duration_s: 60 }]);
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     amphi::run(MyGame)
//! }
//! ```
//!
//! The program then understands `up`, `live`, `match`, `fleet`, `game`, `user`, `token`, `key`, `schema`, `tables`, `new` and
//! `config`; see `--help`.

#![forbid(unsafe_code)]

mod api;
mod cli;
mod config;
mod data;
mod game;
mod key;
mod ops;
mod page;
mod project;
mod proxy;
mod roles;
pub mod schema;
mod tables;
mod token;
mod user;
mod words;

use std::process::ExitCode;

use amphi_shared_replica::Game;
use amphi_streaming_node::{KeyWish, TokenWish};
use anyhow::{Context, Result};
use bevy_app::Plugin;
use clap::Parser;

use crate::cli::{Cli, Command, Key, New, Schema, Tables, Token, User};
use crate::config::Settings;
use crate::roles::{Role, Roles};

/// What a game needs: the engine's registration API, and Bevy's app and ECS.
pub mod prelude {
    pub use amphi_shared_replica::{
        Asked, Begin, BitReader, BitWriter, Done, Field, FieldKind, Game, GameEvents, Importance, Input, InputError,
        InputField, Inputs, Interest, Late, Lerp, MatchBoard, MatchMode, Mode, NetId, OutOfBits, Reach, Reckon,
        ReplicaApp, Replicate, Request, Requests, Row, Seat, SeatState, Seats, SeenBy, SimMode, SimRng, SimTick,
        Simulate, SpawnFor, SpawnedFor, VisibleTo, authority, blend,
    };
    pub use amphi_shared_wire::{Rng, Seed, Tick};
    // Bevy's derive macros name its crates by path.
    pub use bevy_app::{self, prelude::*};
    pub use bevy_ecs::{self, prelude::*};
}

/// Runs a game's server: reads the command line, runs the wanted role until it is told to stop.
///
/// Exits with 0 after an orderly stop, with 1 after an error (one clear line on stderr), with 2 for a wrong command line.
pub fn run<P: Plugin + Clone + Send + Sync + 'static>(plugin: P) -> ExitCode {
    let cli = Cli::parse();
    // An error says that the program around us has chosen one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let game = Game::of(plugin);
    match start(cli, game) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            words::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli, game: Game) -> Result<()> {
    let flags = cli.command.flags();
    if let Command::Game = cli.command {
        return runtime()?.block_on(game::run(game));
    }
    if let Command::New(New { name, amphi }) = &cli.command {
        return project::create(name, amphi.as_deref());
    }
    if let Command::Schema { command } = cli.command {
        return print_schema(&game, command);
    }
    if let Command::Tables { command: Tables::Train(train) } = &cli.command {
        return tables::train(&game, train);
    }
    let settings = Settings::read(cli.config.as_deref(), &flags)?;
    match cli.command {
        Command::Up(_) => runtime()?.block_on(Roles::run(settings, game, &[Role::Live, Role::Match, Role::Fleet])),
        Command::Live(_) => runtime()?.block_on(Roles::run(settings, game, &[Role::Live])),
        Command::Match(_) => runtime()?.block_on(Roles::run(settings, game, &[Role::Match])),
        Command::Fleet(_) => runtime()?.block_on(Roles::run(settings, game, &[Role::Fleet])),
        // Done above: they need no settings.
        Command::Game | Command::New(_) | Command::Schema { .. } | Command::Tables { .. } => Ok(()),
        Command::User { command: User::Add { name, role, .. } } => {
            runtime()?.block_on(user::add(&settings, &name, role))
        }
        Command::Token { command: Token::Mint { subscribe, ttl, user, name, .. } } => {
            let wish =
                TokenWish { user: user.unwrap_or_default(), name: name.unwrap_or_default(), subscribe, ttl_s: ttl };
            runtime()?.block_on(token::mint(&settings, wish))
        }
        Command::Token { command: Token::Revoke { what, .. } } => runtime()?.block_on(token::revoke(&settings, &what)),
        Command::Key { command } => runtime()?.block_on(async {
            match command {
                Key::Create { name, scope, topic, ttl, rate, .. } => {
                    let wish = KeyWish { name, scopes: scope, topics: topic, ttl_s: ttl, calls_per_s: rate };
                    key::create(&settings, wish).await
                }
                Key::List { json, .. } => key::list(&settings, json).await,
                Key::Revoke { what, .. } => key::revoke(&settings, &what).await,
            }
        }),
        Command::Config(_) => {
            words::plain(&settings.to_toml()?);
            Ok(())
        }
    }
}

fn print_schema(game: &Game, command: Schema) -> Result<()> {
    let (text, out) = match command {
        Schema::Export { out } => (schema::export(game)? + "\n", out),
        Schema::Generate { lang, out } => (schema::generate(game, lang), out),
    };
    match out {
        Some(path) => std::fs::write(&path, text).with_context(|| format!("`{}` cannot be written", path.display())),
        None => {
            words::plain(text.trim_end());
            Ok(())
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads for the network")
}
