//! Files that must be equal.

use super::Finding;
use super::tree::Tree;

/// Rooms that decide only; each has a copy of the ban list, because the nearest clippy file replaces its parent.
const CORES: [&str; 7] = [
    "fleet/core",
    "matchmaker/core",
    "server/core",
    "shared/replica",
    "shared/session",
    "shared/wire",
    "streaming/core",
];

/// The copy that the others must equal.
const PATTERN: &str = "server/core/clippy.toml";

/// Every core has the same ban list.
pub(super) fn core_bans(tree: &Tree) -> Vec<Finding> {
    let pattern = tree.text(PATTERN);
    let copies = CORES.iter().map(|core| format!("{core}/clippy.toml"));
    let differing = copies.filter(|copy| pattern.is_none() || tree.text(copy) != pattern);
    differing
        .map(|path| Finding {
            path,
            line: 0,
            rule: "core-bans",
            what: "the ban list of this core is missing or differs from the others".to_owned(),
            help: format!("copy {PATTERN} here; a change belongs in all of them"),
        })
        .collect()
}
