//! Documents tell the truth about the tree.

use super::Finding;
use super::tree::{Tree, line_of};

/// Looks like a path below the root, but is a protocol's name.
const NOT_PATHS: [&str; 1] = ["amphi/1"];
/// Parts of paths that a build writes.
const BUILT: [&str; 3] = ["dist", "node_modules", "target"];
const DECISIONS: &str = "docs/decisions/";

/// Every path that a document names exists.
pub(super) fn documents(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".md").filter(|(path, _)| !path.starts_with("changelog.d/")) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let spans = code_spans(text).filter_map(|(at, span)| Some((at, named_path(tree, span)?.to_owned())));
        let links = link_targets(text).map(|(at, target)| (at, resolved(folder, target)));
        for (at, named) in spans.chain(links).filter(|(_, named)| !tree.has(named)) {
            findings.push(Finding {
                path: path.to_owned(),
                line: line_of(text, at),
                rule: "doc-path",
                what: format!("`{named}` is not there"),
                help: "name what exists, or leave it out".to_owned(),
            });
        }
    }
    findings
}

/// Every page of the decisions stands in their index.
pub(super) fn decisions(tree: &Tree) -> Vec<Finding> {
    let index = tree.text("docs/decisions/README.md").unwrap_or_default();
    let pages = tree.ending(".md").filter_map(|(path, _)| path.strip_prefix(DECISIONS));
    let missing = pages.filter(|page| *page != "README.md" && !index.contains(&format!("({page})")));
    missing
        .map(|page| Finding {
            path: format!("{DECISIONS}{page}"),
            line: 0,
            rule: "decision-index",
            what: "this page is not in docs/decisions/README.md".to_owned(),
            help: "add a row with its link and what it is about".to_owned(),
        })
        .collect()
}

/// The path that a code span names, if it names one: its first part stands in the root, and it holds no pattern.
fn named_path<'a>(tree: &Tree, span: &'a str) -> Option<&'a str> {
    let (first, rest) = span.split_once('/')?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    let built = rest.split('/').any(|part| BUILT.contains(&part));
    let looks_like_one = !first.is_empty() && !built && span.chars().all(is_plain) && !NOT_PATHS.contains(&span);
    (looks_like_one && tree.has(first)).then(|| span.trim_end_matches('/'))
}

/// Text between single backticks outside fenced blocks, with its place.
fn code_spans(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    let mut spans = Vec::new();
    let mut fenced = false;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let mut place = at;
            for (number, part) in line.split('`').enumerate() {
                if number % 2 == 1 {
                    spans.push((place, part));
                }
                place += part.len() + 1;
            }
        }
        at += line.len();
    }
    spans.into_iter()
}

/// Targets of links within the tree, with their place.
fn link_targets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices("](").filter_map(|(at, _)| {
        let target = text[at + 2..].split(')').next()?.split('#').next()?;
        let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
        (!outside).then_some((at, target))
    })
}

/// A relative link of a document in `folder`, as a path from the root.
fn resolved(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
