//! `amphi new`: a project of one's own, made from `examples/own-game`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::words;

/// The files of a project, by path.
const FILES: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../../examples/own-game/Cargo.toml")),
    ("README.md", include_str!("../../examples/own-game/README.md")),
    ("src/main.rs", include_str!("../../examples/own-game/src/main.rs")),
    ("tests/plays.rs", include_str!("../../examples/own-game/tests/plays.rs")),
];
/// Longest name.
const NAME_BYTES_MAX: usize = 32;
/// How the example names the engine.
const EXAMPLE_ENGINE: &str = "amphi = { path = \"../../amphi\", default-features = false }";

/// Creates the project in a directory of its name here. `amphi` is the engine's source when it is not a published version.
pub(crate) fn create(name: &str, amphi: Option<&Path>) -> Result<()> {
    check_name(name)?;
    let directory = PathBuf::from(name);
    ensure!(!directory.exists(), "`{name}` is there already: choose another name, or remove it");
    let engine = engine(amphi)?;
    for (path, text) in FILES {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("`{}` cannot be made", parent.display()))?;
        }
        fs::write(&path, fill(text, name, &engine))
            .with_context(|| format!("`{}` cannot be written", path.display()))?;
        words::plain(&format!("     Created {}", path.display()));
    }
    words::plain(&format!("\nYour game runs as it is:\n\n  cd {name}\n  cargo test\n  cargo run -- up\n"));
    Ok(())
}

/// A file of the example as the project's.
fn fill(text: &str, name: &str, engine: &str) -> String {
    let plugin = name.replace('-', "_");
    text.replace(EXAMPLE_ENGINE, engine)
        .replace("name = \"own-game\"", &format!("name = \"{name}\""))
        .replace("Game::new(\"tag\"", &format!("Game::new(\"{name}\""))
        .replace("game::tag", &format!("game::{plugin}"))
        .replace("fn tag(", &format!("fn {plugin}("))
        .replace("amphi::run(tag)", &format!("amphi::run({plugin})"))
}

fn check_name(name: &str) -> Result<()> {
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !letters || !starts || name.ends_with('-') || name.len() > NAME_BYTES_MAX {
        bail!(
            "`{name}` is no name for a game: 1 to {NAME_BYTES_MAX} lower-case letters, digits and `-`, a letter first"
        );
    }
    ensure!(
        !matches!(name, "amphi" | "test" | "core" | "std"),
        "`{name}` is the name of a crate already: choose another"
    );
    Ok(())
}

/// The line of `Cargo.toml` that names the engine: a given source, the source this program was built from while it is
/// there, else the published version.
fn engine(amphi: Option<&Path>) -> Result<String> {
    let source = match amphi {
        Some(given) => {
            let crates = [given.to_owned(), given.join("amphi")];
            let found = crates.into_iter().find(|path| is_engine(path));
            Some(found.with_context(|| format!("`{}` does not hold Amphi's source", given.display()))?)
        }
        None => Some(PathBuf::from(env!("CARGO_MANIFEST_DIR"))).filter(|path| is_engine(path)),
    };
    let Some(source) = source else {
        return Ok(format!("amphi = {{ version = \"{}\", default-features = false }}", env!("CARGO_PKG_VERSION")));
    };
    let source = source.canonicalize().with_context(|| format!("`{}` cannot be read", source.display()))?;
    Ok(format!("amphi = {{ path = {:?}, default-features = false }}", source.display().to_string()))
}

fn is_engine(path: &Path) -> bool {
    fs::read_to_string(path.join("Cargo.toml")).is_ok_and(|text| text.contains("name = \"amphi\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["tag", "space-tag2"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "Tag", "2tag", "-tag", "tag-", "a/b", "..", "amphi", "tag_x", &"x".repeat(33)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_example_still_has_every_place_that_is_filled() {
        let all: String = FILES.iter().map(|(_, text)| *text).collect();
        for place in [EXAMPLE_ENGINE, "name = \"own-game\"", "Game::new(\"tag\"", "fn tag(", "amphi::run(tag)"] {
            assert!(all.contains(place), "{place}");
        }
        let main = fill(FILES[2].1, "my-game", "");
        assert!(main.contains("fn my_game(app") && main.contains("amphi::run(my_game)"));
    }
}
