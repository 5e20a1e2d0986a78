//! Names: of files, and of the one game that the engine does not know.

use super::Finding;
use super::tree::{Tree, line_of};

/// File names that hide what is inside.
const BANNED_STEMS: [&str; 9] =
    ["common", "helper", "helpers", "manager", "misc", "stuff", "util", "utilities", "utils"];

/// Endings of files that hold code or say how to build it.
const SOURCES: [&str; 12] =
    [".css", ".cs", ".h", ".html", ".json", ".proto", ".rs", ".sql", ".toml", ".ts", ".tsx", ".yaml"];

/// Where the sample game may be named: itself, the binary and its tests, the page, the proof, its vectors, and the
/// lists that name every crate.
const SAMPLE_GAME_ROOMS: [&str; 9] = [
    "amphi/Cargo.toml",
    "amphi/src/main.rs",
    "amphi/tests/",
    "clients/web/",
    "loadtest/",
    "server/arena/",
    "shared/vectors/arena-",
    "xtask/",
    "Cargo.toml",
];

/// No file is called `mod.rs`, or by a word that fits everything.
pub(super) fn files(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, _) in tree.files() {
        let name = path.rsplit('/').next().unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        let is_source = SOURCES.iter().any(|ending| name.ends_with(ending));
        let (what, help) = if name == "mod.rs" {
            ("a `mod.rs`", "call it after its folder, beside the folder: `foo.rs` and `foo/`")
        } else if is_source && BANNED_STEMS.contains(&stem) {
            ("a file name that fits everything", "call it after the one noun inside")
        } else {
            continue;
        };
        findings.push(Finding {
            path: path.to_owned(),
            line: 0,
            rule: "file-name",
            what: what.to_owned(),
            help: help.to_owned(),
        });
    }
    findings
}

/// Outside its own rooms nothing names the sample game, so a studio's own game is no second-class citizen.
pub(super) fn sample_game(tree: &Tree) -> Vec<Finding> {
    const SAMPLE_GAME: &str = "arena";
    let mut findings = Vec::new();
    for (path, text) in tree.files() {
        let allowed = SAMPLE_GAME_ROOMS.iter().any(|room| path.starts_with(room));
        if allowed || !SOURCES.iter().any(|ending| path.ends_with(ending)) {
            continue;
        }
        let lower = text.to_ascii_lowercase();
        let mut lines: Vec<usize> = lower.match_indices(SAMPLE_GAME).map(|(byte, _)| line_of(text, byte)).collect();
        lines.dedup();
        findings.extend(lines.into_iter().map(|line| Finding {
            path: path.to_owned(),
            line,
            rule: "sample-game",
            what: "this names the sample game".to_owned(),
            help: "only server/arena, the binary, the page and loadtest know Arena; say it for any game".to_owned(),
        }));
    }
    findings
}
