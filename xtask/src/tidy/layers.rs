//! Which way dependencies point: from every manifest, against the table of the design.

use toml::{Table, Value};

use super::Finding;
use super::tree::Tree;

/// What a room of the house may depend on.
struct Room {
    /// A folder, or a pattern whose `*` stands for one part of the path.
    folder: &'static str,
    kind: Kind,
    /// House folders; `.` stands for the room's own service (`./core`).
    may: &'static [&'static str],
}

/// What outside crates a room may see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Decides: no runtime, socket, database or source of randomness.
    Pure,
    /// Touches the operating system, but not the wire: sockets and their types belong to `shared/edge`.
    Effects,
    /// May see anything.
    Open,
}

const NODE: &[&str] = &["./core", "shared/edge", "shared/session", "shared/auth", "shared/store", "shared/wire"];
const SERVER_NODE: &[&str] =
    &["./core", "shared/edge", "shared/session", "shared/auth", "shared/store", "shared/wire", "shared/replica"];
const OFFICE: &[&str] =
    &["./catalog", "./media", "shared/edge", "shared/session", "shared/auth", "shared/store", "shared/wire"];
const AMPHI: &[&str] = &["*/node", "streaming/office", "shared/*", "server/arena"];

/// The first match counts.
const ROOMS: [Room; 22] = [
    Room { folder: "shared/wire", kind: Kind::Pure, may: &[] },
    Room { folder: "shared/replica-derive", kind: Kind::Pure, may: &[] },
    Room { folder: "streaming/media", kind: Kind::Pure, may: &[] },
    Room { folder: "shared/replica", kind: Kind::Pure, may: &["shared/wire", "shared/replica-derive"] },
    Room { folder: "shared/session", kind: Kind::Pure, may: &["shared/wire"] },
    Room { folder: "shared/auth", kind: Kind::Effects, may: &["shared/wire"] },
    Room { folder: "shared/store", kind: Kind::Effects, may: &["shared/wire"] },
    Room { folder: "server/core", kind: Kind::Pure, may: &["shared/wire", "shared/replica"] },
    Room { folder: "server/arena", kind: Kind::Pure, may: &["shared/wire", "shared/replica"] },
    Room { folder: "*/core", kind: Kind::Pure, may: &["shared/wire"] },
    Room { folder: "streaming/catalog", kind: Kind::Effects, may: &["shared/wire", "shared/store"] },
    Room { folder: "shared/edge", kind: Kind::Open, may: &["shared/wire", "shared/session", "shared/auth"] },
    Room { folder: "server/node", kind: Kind::Effects, may: SERVER_NODE },
    Room { folder: "streaming/office", kind: Kind::Effects, may: OFFICE },
    Room { folder: "*/node", kind: Kind::Effects, may: NODE },
    Room { folder: "clients/bevy", kind: Kind::Open, may: &["clients/rust", "shared/wire", "shared/replica"] },
    Room { folder: "clients/*", kind: Kind::Open, may: &["shared/wire", "shared/session", "shared/replica"] },
    Room { folder: "amphi", kind: Kind::Effects, may: AMPHI },
    Room { folder: "loadtest/*", kind: Kind::Open, may: &["amphi", "*/*"] },
    Room { folder: "loadtest/*/*", kind: Kind::Open, may: &["amphi", "*/*"] },
    Room { folder: "examples/*", kind: Kind::Open, may: &["amphi", "clients/bevy", "shared/replica"] },
    Room { folder: "xtask", kind: Kind::Open, may: &[] },
];

/// Crates that reach the operating system: never in a [`Kind::Pure`] room.
const EFFECT_CRATES: [&str; 17] = [
    "async-std",
    "chrono",
    "getrandom",
    "mio",
    "rand",
    "redis",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "sqlx",
    "time",
    "tokio",
    "tokio-tungstenite",
    "tokio-util",
    "tower",
    "tower-http",
];

/// Crates of the wire: never in a [`Kind::Pure`] or [`Kind::Effects`] room.
const EDGE_CRATES: [&str; 6] = ["axum", "hyper", "quinn", "quinn-proto", "quinn-udp", "web-transport-quinn"];

const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// A dependency as a manifest names it.
struct Dependency<'a> {
    name: &'a str,
    section: &'static str,
    value: &'a Value,
}

/// Dependencies point down the levels, and pure rooms stay pure.
pub(super) fn directions(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text, manifest) in manifests_of(tree) {
        let folder = folder_of(path);
        let Some(room) = ROOMS.iter().find(|room| matches(room.folder, folder)) else {
            findings.push(Finding {
                path: path.to_owned(),
                line: 0,
                rule: "layers",
                what: format!("`{folder}` has no level"),
                help: "add it to the table in xtask/src/tidy/layers.rs, and to the map in README.md".to_owned(),
            });
            continue;
        };
        for dependency in dependencies(&manifest) {
            if let Some((what, help)) = judge(room, folder, &dependency) {
                let line = line_of_dependency(text, dependency.section, dependency.name);
                findings.push(Finding { path: path.to_owned(), line, rule: "layers", what, help });
            }
        }
    }
    findings
}

/// A crate is named after its folder, takes versions from the workspace and keeps the workspace's lints.
pub(super) fn manifests(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text, manifest) in manifests_of(tree) {
        let folder = folder_of(path);
        let mut find = |line, what: String, help: &str| {
            findings.push(Finding { path: path.to_owned(), line, rule: "manifest", what, help: help.to_owned() });
        };
        let name = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
        let expected = crate_of(folder);
        if !folder.starts_with("examples/") && name != Some(expected.as_str()) {
            let line = line_of_dependency(text, "package", "name");
            find(line, format!("this crate is not called `{expected}`"), "a crate is named after its folder");
        }
        if manifest.contains_key("workspace") {
            continue;
        }
        if !manifest.get("lints").is_some_and(is_inherited) {
            find(0, "the workspace's lints are off".to_owned(), "add `[lints]` with `workspace = true`");
        }
        for dependency in dependencies(&manifest).filter(|dependency| !is_inherited(dependency.value)) {
            let line = line_of_dependency(text, dependency.section, dependency.name);
            let what = format!("`{}` has a version of its own", dependency.name);
            find(line, what, "put it in `[workspace.dependencies]` and write `workspace = true` here");
        }
    }
    findings
}

/// Why a room may not have a dependency: what, and help.
fn judge(room: &Room, folder: &str, dependency: &Dependency<'_>) -> Option<(String, String)> {
    let name = dependency.name;
    if let Some(target) = house_folder(name) {
        let service = folder.split('/').next().unwrap_or_default();
        let may = |allowed: &&str| matches(&allowed.replace("./", &format!("{service}/")), &target);
        // Tests of the whole binary may also be its clients.
        let tests = folder == "amphi" && dependency.section == "dev-dependencies" && matches("clients/*", &target);
        if target == folder || tests || room.may.iter().any(may) {
            return None;
        }
        let list = if room.may.is_empty() { "nothing of the house".to_owned() } else { room.may.join(", ") };
        return Some((format!("`{folder}` depends on `{target}`"), format!("it may depend on: {list}")));
    }
    let pure = room.kind == Kind::Pure;
    if pure && EFFECT_CRATES.contains(&name) {
        let help = "it decides only: effects belong to a node, or to shared/edge and shared/store".to_owned();
        return Some((format!("`{folder}` depends on `{name}`"), help));
    }
    if room.kind != Kind::Open && EDGE_CRATES.contains(&name) {
        let help = "sockets and their types belong to shared/edge".to_owned();
        return Some((format!("`{folder}` depends on `{name}`"), help));
    }
    None
}

/// The manifests of all crates: path, text, parsed. The workspace's own is none of them.
fn manifests_of(tree: &Tree) -> impl Iterator<Item = (&str, &str, Table)> {
    let manifests = tree.ending("/Cargo.toml");
    manifests.filter_map(|(path, text)| {
        let manifest: Table = text.parse().ok()?;
        manifest.contains_key("package").then_some((path, text, manifest))
    })
}

fn dependencies(manifest: &Table) -> impl Iterator<Item = Dependency<'_>> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(|targets| targets.values());
    let tables = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    tables.flat_map(|table| SECTIONS.map(|section| (section, table.get(section)))).flat_map(|(section, found)| {
        let entries = found.and_then(Value::as_table).into_iter().flatten();
        entries.map(move |(name, value)| Dependency { name, section, value })
    })
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

fn folder_of(manifest: &str) -> &str {
    manifest.strip_suffix("/Cargo.toml").unwrap_or_default()
}

fn crate_of(folder: &str) -> String {
    match folder {
        "amphi" | "xtask" => folder.to_owned(),
        _ => format!("amphi-{}", folder.replace('/', "-")),
    }
}

/// The folder of a house crate: `amphi-shared-replica-derive` is `shared/replica-derive`.
fn house_folder(name: &str) -> Option<String> {
    match name {
        "amphi" | "xtask" => Some(name.to_owned()),
        _ => Some(name.strip_prefix("amphi-")?.replacen('-', "/", 1)),
    }
}

/// Whether a folder fits a pattern; `*` stands for one part.
fn matches(pattern: &str, folder: &str) -> bool {
    let (mut wanted, mut parts) = (pattern.split('/'), folder.split('/'));
    loop {
        match (wanted.next(), parts.next()) {
            (None, None) => return true,
            (Some(wanted), Some(part)) if wanted == "*" || wanted == part => {}
            _ => return false,
        }
    }
}

/// The line of a key in a section of a manifest, or 0.
fn line_of_dependency(text: &str, section: &str, name: &str) -> usize {
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.contains(section) && (section != "dependencies" || !line.contains("-dependencies"));
            if inside && line.contains(&format!(".{name}]")) {
                return number + 1;
            }
        }
        let key = line.trim_start().trim_start_matches('"').strip_prefix(name);
        if inside && key.is_some_and(|rest| rest.starts_with(['.', ' ', '=', '"'])) {
            return number + 1;
        }
    }
    0
}
