//! Rust sources: roots that forbid unsafe code, and nothing unfinished.

use super::Finding;
use super::tree::Tree;

/// The C bindings, the one crate that may need unsafe code, and examples: a studio's code is its own.
const FREE_ROOMS: [&str; 2] = ["clients/c/", "examples/"];

/// Code that says it is not done, or a test that does not run.
const UNFINISHED: [(&str, &str); 3] = [
    ("todo!", "finish it, or leave it out and say so in README.md"),
    ("unimplemented!", "finish it, or leave it out and say so in README.md"),
    ("#[ignore", "a test runs, or it is not there"),
];

/// Every crate root forbids unsafe code.
pub(super) fn roots(tree: &Tree) -> Vec<Finding> {
    let roots =
        tree.ending(".rs").filter(|(path, _)| is_root(path) && !FREE_ROOMS.iter().any(|room| path.starts_with(room)));
    let open = roots.filter(|(_, text)| !text.contains("#![forbid(unsafe_code)]"));
    open.map(|(path, _)| Finding {
        path: path.to_owned(),
        line: 0,
        rule: "unsafe",
        what: "this root does not forbid unsafe code".to_owned(),
        help: "add `#![forbid(unsafe_code)]` below its docs".to_owned(),
    })
    .collect()
}

/// No code is unfinished and no test is switched off.
pub(super) fn unfinished(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".rs") {
        for (number, line) in code_only(text).lines().enumerate() {
            for (word, help) in UNFINISHED.iter().filter(|(word, _)| line.contains(word)) {
                findings.push(Finding {
                    path: path.to_owned(),
                    line: number + 1,
                    rule: "unfinished",
                    what: format!("`{word}` in the tree"),
                    help: (*help).to_owned(),
                });
            }
        }
    }
    findings
}

fn is_root(path: &str) -> bool {
    path.ends_with("src/lib.rs") || path.ends_with("src/main.rs") || path.contains("src/bin/")
}

/// A source with its comments and string literals blanked; line breaks stay.
pub(super) fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let hidden = hidden_length(rest);
        if hidden == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..hidden].chars().filter(|letter| *letter == '\n'));
            code.push(' ');
            rest = &rest[hidden..];
        }
    }
    code
}

/// Bytes of the comment or literal that a text starts with; 0 when it starts with code.
fn hidden_length(text: &str) -> usize {
    let raw = text.strip_prefix('r').map(|rest| rest.len() - rest.trim_start_matches('#').len());
    if text.starts_with("//") {
        text.find('\n').unwrap_or(text.len())
    } else if text.starts_with("/*") {
        text.find("*/").map_or(text.len(), |end| end + 2)
    } else if text.starts_with('"') {
        quoted_length(text, '"')
    } else if let Some(hashes) = raw.filter(|hashes| text[1 + hashes..].starts_with('"')) {
        let end = format!("\"{}", "#".repeat(hashes));
        text[hashes + 2..].find(&end).map_or(text.len(), |at| hashes + 2 + at + end.len())
    } else if is_character(text) {
        quoted_length(text, '\'')
    } else {
        0
    }
}

/// Whether a text starts with a character literal; `'a` alone is a lifetime.
fn is_character(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next() == Some('\'') && (letters.next() == Some('\\') || letters.next() == Some('\''))
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        if letter == quote && !escaped {
            return at + 1;
        }
        escaped = letter == '\\' && !escaped;
    }
    text.len()
}
