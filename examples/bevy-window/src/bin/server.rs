//! The server of the game, so that everything is at hand: `cargo run --bin server -- up`.

#[allow(dead_code, reason = "the server needs the plugin, not `main`")]
#[path = "../../../own-game/src/main.rs"]
mod game;

fn main() -> std::process::ExitCode {
    amphi::run(game::tag)
}
