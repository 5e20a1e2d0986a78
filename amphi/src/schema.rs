//! A game's schema for other languages: the JSON of `amphi schema export`, and readers and writers made from it.

mod cpp;
mod cs;
mod members;
mod ts;

use amphi_shared_replica::Game;
use clap::ValueEnum;

/// A language that readers and writers are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// TypeScript: a module without dependencies
    Ts,
    /// C#: one file, C# 7, for Unity and .NET
    Cs,
    /// C++17: one header
    Cpp,
}

/// The types of a game's components, input, events, requests and answers in a language, with functions that read and write
/// them as docs/wire.md lays them out.
///
/// An input that the game writes by hand, and the engine's own component `Seat`, are left out.
pub fn generate(game: &Game, language: Language) -> String {
    match language {
        Language::Ts => ts::generate(game),
        Language::Cs => cs::generate(game),
        Language::Cpp => cpp::generate(game),
    }
}

/// The schema as JSON, one field per line.
///
/// # Errors
/// The game's schema is no JSON, which its registration rules out.
pub fn export(game: &Game) -> serde_json::Result<String> {
    let mut schema: serde_json::Map<String, serde_json::Value> = serde_json::from_str(game.schema().to_json())?;
    schema.insert("game".to_owned(), game.name().into());
    schema.insert("version".to_owned(), game.version().into());
    schema.insert("hash".to_owned(), format!("{:016x}", game.schema().hash()).into());
    serde_json::to_string_pretty(&schema)
}
