//! The rules of the house that a compiler does not know. Each rule reads the [`Tree`] and gives findings.

mod copies;
mod layers;
mod names;
mod paths;
mod rust;
mod tree;

use std::path::Path;

use tree::Tree;

use crate::terminal;

/// A broken rule at a place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Finding {
    path: String,
    /// From 1; 0 when the whole file is meant.
    line: usize,
    rule: &'static str,
    what: String,
    help: String,
}

/// A rule: from the files of the checkout to what breaks it.
type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: [Rule; 9] = [
    layers::directions,
    layers::manifests,
    names::files,
    names::sample_game,
    rust::roots,
    rust::unfinished,
    copies::core_bans,
    paths::documents,
    paths::decisions,
];

/// Runs all rules over the checkout and prints what they find; says whether they found nothing.
///
/// # Errors
/// When the checkout cannot be read.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let tree = Tree::read(root)?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.sort();
    for Finding { path, line, rule, what, help } in &findings {
        let place = if *line == 0 { path.clone() } else { format!("{path}:{line}") };
        terminal::finding(rule, what, &place, help);
    }
    Ok(findings.is_empty())
}

#[cfg(test)]
mod tests;
