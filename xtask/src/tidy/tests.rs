use super::rust::code_only;
use super::tree::Tree;
use super::{Rule, copies, layers, names, paths, rust};

/// Runs one rule over files; `expected` holds a place and a part of what is said there, for each finding in order.
fn check(rule: Rule, files: &[(&str, &str)], expected: &[(&str, &str)]) {
    let findings = rule(&Tree::of(files));
    let found: Vec<String> = findings.iter().map(|f| format!("{}:{} {}", f.path, f.line, f.what)).collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, (place, what)) in found.iter().zip(expected) {
        assert!(line.starts_with(&format!("{place} ")) && line.contains(what), "{line}: expected {place} {what}");
    }
}

fn manifest(folder: &str, dependencies: &str) -> String {
    let name = format!("amphi-{}", folder.replace('/', "-"));
    format!("[package]\nname = \"{name}\"\n\n[dependencies]\n{dependencies}\n\n[lints]\nworkspace = true\n")
}

/// One crate with one dependency line (the fifth of its manifest).
fn check_arrow(folder: &str, dependency: &str, expected: Option<&str>) {
    let text = manifest(folder, dependency);
    let (path, place) = (format!("{folder}/Cargo.toml"), format!("{folder}/Cargo.toml:5"));
    let expected: Vec<(&str, &str)> = expected.into_iter().map(|what| (place.as_str(), what)).collect();
    check(layers::directions, &[(&path, &text)], &expected);
}

#[test]
fn dependencies_point_down() {
    check_arrow("fleet/core", "amphi-shared-wire.workspace = true", None);
    check_arrow("fleet/node", "amphi-fleet-core.workspace = true", None);
    check_arrow("server/node", "amphi-shared-replica.workspace = true", None);
    check_arrow("shared/replica", "amphi-shared-replica-derive.workspace = true", None);
    check_arrow("loadtest/sim", "amphi-server-core = { workspace = true }", None);

    check_arrow("fleet/node", "amphi-matchmaker-node.workspace = true", Some("depends on `matchmaker/node`"));
    check_arrow("fleet/node", "amphi-matchmaker-core.workspace = true", Some("depends on `matchmaker/core`"));
    check_arrow("fleet/node", "amphi-shared-replica.workspace = true", Some("depends on `shared/replica`"));
    check_arrow("clients/rust", "amphi-server-core.workspace = true", Some("depends on `server/core`"));
    check_arrow("clients/rust", "amphi-server-node = { workspace = true }", Some("depends on `server/node`"));
    check_arrow("shared/edge", "amphi-streaming-node.workspace = true", Some("depends on `streaming/node`"));
    check_arrow("shared/wire", "amphi-shared-session.workspace = true", Some("depends on `shared/session`"));
    check_arrow("server/core", "amphi-server-arena.workspace = true", Some("depends on `server/arena`"));
    check_arrow("fleet/core", "amphi-loadtest-sim.workspace = true", Some("depends on `loadtest/sim`"));
}

#[test]
fn cores_are_pure_and_sockets_stay_at_the_edge() {
    check_arrow("server/core", "tokio.workspace = true", Some("depends on `tokio`"));
    check_arrow("shared/session", "rand = { workspace = true }", Some("depends on `rand`"));
    check_arrow("streaming/core", "quinn.workspace = true", Some("depends on `quinn`"));
    check_arrow("streaming/node", "axum.workspace = true", Some("depends on `axum`"));
    check_arrow("streaming/node", "tokio.workspace = true", None);
    check_arrow("shared/edge", "axum.workspace = true", None);
    check_arrow("clients/rust", "quinn = { workspace = true, optional = true }", None);
}

#[test]
fn every_section_of_a_manifest_counts() {
    let text = "[package]\nname = \"amphi-fleet-core\"\n[dev-dependencies]\ntokio.workspace = true\n\
                [target.'cfg(unix)'.build-dependencies]\nmio.workspace = true\n";
    let expected = [("fleet/core/Cargo.toml:4", "`tokio`"), ("fleet/core/Cargo.toml:6", "`mio`")];
    check(layers::directions, &[("fleet/core/Cargo.toml", text)], &expected);
}

#[test]
fn the_binary_s_tests_may_be_clients_but_the_binary_may_not() {
    let amphi =
        |section: &str| format!("[package]\nname = \"amphi\"\n[{section}]\namphi-clients-rust.workspace = true\n");
    check(layers::directions, &[("amphi/Cargo.toml", &amphi("dev-dependencies"))], &[]);
    let expected = [("amphi/Cargo.toml:4", "depends on `clients/rust`")];
    check(layers::directions, &[("amphi/Cargo.toml", &amphi("dependencies"))], &expected);
}

#[test]
fn a_folder_without_a_level_is_told() {
    check(
        layers::directions,
        &[("billing/core2/Cargo.toml", &manifest("billing/core2", ""))],
        &[("billing/core2/Cargo.toml:0", "`billing/core2` has no level")],
    );
}

#[test]
fn manifests_follow_the_workspace() {
    let good = manifest("fleet/core", "serde.workspace = true\nthiserror = { workspace = true }");
    check(layers::manifests, &[("fleet/core/Cargo.toml", &good)], &[]);
    let named = manifest("fleet/brain", "");
    check(
        layers::manifests,
        &[("fleet/core/Cargo.toml", &named)],
        &[("fleet/core/Cargo.toml:2", "not called `amphi-fleet-core`")],
    );
    let versioned = manifest("fleet/core", "serde = \"1\"");
    check(layers::manifests, &[("fleet/core/Cargo.toml", &versioned)], &[("fleet/core/Cargo.toml:5", "`serde`")]);
    let unlinted = "[package]\nname = \"amphi-fleet-core\"\n";
    check(layers::manifests, &[("fleet/core/Cargo.toml", unlinted)], &[("fleet/core/Cargo.toml:0", "lints are off")]);
    let own_workspace =
        "[package]\nname = \"own-game\"\n[dependencies]\namphi = { path = \"../../amphi\" }\n[workspace]\n";
    check(layers::manifests, &[("examples/own-game/Cargo.toml", own_workspace)], &[]);
}

#[test]
fn file_names_are_nouns() {
    let files =
        [("server/core/src/room.rs", ""), ("server/core/src/room/mod.rs", ""), ("clients/web/src/utils.ts", "")];
    let expected = [("clients/web/src/utils.ts:0", "fits everything"), ("server/core/src/room/mod.rs:0", "`mod.rs`")];
    check(names::files, &files, &expected);
}

#[test]
fn only_its_own_rooms_name_the_sample_game() {
    let files = [
        ("amphi/src/main.rs", "amphi::run(Arena)"),
        ("amphi/src/lib.rs", "//! A game.\nuse amphi_server_arena::Arena;\n"),
        ("clients/web/app/arena.ts", "arena"),
        ("docs/wire.md", "Arena"),
        ("server/arena/src/lib.rs", "Arena"),
        ("server/core/src/room.rs", "// like Arena, ARENA\n"),
        ("shared/vectors/arena-move/walk.json", "arena"),
    ];
    let expected = [("amphi/src/lib.rs:2", "sample game"), ("server/core/src/room.rs:1", "sample game")];
    check(names::sample_game, &files, &expected);
}

#[test]
fn roots_forbid_unsafe_code() {
    let files = [
        ("clients/c/src/lib.rs", ""),
        ("examples/own-game/src/main.rs", ""),
        ("fleet/core/src/fleet.rs", ""),
        ("fleet/core/src/lib.rs", "//! Docs.\n#![forbid(unsafe_code)]\n"),
        ("fleet/node/src/lib.rs", "//! Docs.\n"),
        ("loadtest/bots/src/main.rs", "fn main() {}"),
    ];
    let expected = [("fleet/node/src/lib.rs:0", "unsafe"), ("loadtest/bots/src/main.rs:0", "unsafe")];
    check(rust::roots, &files, &expected);
}

#[test]
fn nothing_is_unfinished() {
    let source = "// todo!() in words\nfn a() { let s = \"unimplemented!()\"; }\nfn b() { todo!() }\n#[ignore]\nfn c() {}\n\
                  fn d() { unimplemented!(\"later\") }\n";
    let expected = [("a.rs:3", "`todo!`"), ("a.rs:4", "`#[ignore`"), ("a.rs:6", "`unimplemented!`")];
    check(rust::unfinished, &[("a.rs", source)], &expected);
}

#[test]
fn literals_and_comments_are_no_code() {
    let check = |source: &str, expected: &str| assert_eq!(code_only(source), expected, "{source}");
    check("let a = \"x \\\" y\"; b", "let a =  ; b");
    check("r#\"a \" b\"# c r\"d\" e", "  c   e");
    check("'\"' + '\\'' + 'a + 'b'", "  +   + 'a +  ");
    check("a /* b\n c */ d // e\nf", "a \n  d  \nf");
    check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
    check("\"never closed", " ");
}

#[test]
fn ban_lists_are_equal_copies() {
    let cores = ["fleet", "matchmaker", "server", "streaming"].map(|service| format!("{service}/core/clippy.toml"));
    let shared = ["replica", "session", "wire"].map(|name| format!("shared/{name}/clippy.toml"));
    let all: Vec<(&str, &str)> = cores.iter().chain(&shared).map(|path| (path.as_str(), "bans")).collect();
    check(copies::core_bans, &all, &[]);
    let mut changed = all.clone();
    changed[0].1 = "fewer bans";
    check(copies::core_bans, &changed, &[("fleet/core/clippy.toml:0", "missing or differs")]);
    check(copies::core_bans, &all[1..], &[("fleet/core/clippy.toml:0", "missing or differs")]);
}

#[test]
fn documents_name_what_exists() {
    let text = "See `shared/wire` and `shared/wire/src/lib.rs`.\nNot `shared/wires` nor [this](docs/gone.md).\n\
                [Good](docs/wire.md#framing), [web](https://example.org/a), `amphi/1`, `clients/web/dist/`, `POST /a/b`.\n\
                `shared/*`, `other/thing`\n```\nshared/gone `shared/gone`\n```\n";
    let files = [
        ("README.md", text),
        ("amphi/src/lib.rs", ""),
        ("clients/web/package.json", ""),
        ("docs/guide.md", "[up](../README.md) [gone](gone.md)"),
        ("docs/wire.md", ""),
        ("shared/wire/src/lib.rs", ""),
    ];
    let expected =
        [("README.md:2", "`shared/wires`"), ("README.md:2", "`docs/gone.md`"), ("docs/guide.md:1", "`docs/gone.md`")];
    check(paths::documents, &files, &expected);
}

#[test]
fn decisions_stand_in_their_index() {
    let files = [
        ("docs/decisions/0001-one.md", ""),
        ("docs/decisions/0002-two.md", ""),
        ("docs/decisions/README.md", "| [0001](0001-one.md) | one |"),
    ];
    check(paths::decisions, &files, &[("docs/decisions/0002-two.md:0", "not in docs/decisions/README.md")]);
}
