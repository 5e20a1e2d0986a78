//! What the command line says, and how it ends.

use std::fs;
use std::net::TcpListener;

use crate::process::{Up, amphi, run};

#[test]
fn help_is_complete_and_wrong_words_name_themselves() {
    let (code, help, _) = run(amphi().arg("--help"));
    assert_eq!(code, Some(0));
    for word in [
        "up", "live", "match", "fleet", "game", "user", "token", "key", "schema", "tables", "new", "config", "--config",
    ] {
        assert!(help.contains(word), "--help lacks {word}: {help}");
    }
    for (args, word) in [
        (vec!["upp"], "upp"),
        (vec!["up", "--listn", "1"], "--listn"),
        (vec!["up", "--listen", "nowhere"], "nowhere"),
        (vec!["user", "add", "Ada", "--role", "king"], "king"),
        (vec!["token", "mint", "--ttl", "1y"], "for example 1h"),
        (vec!["token", "mint", "--ttl", "91d"], "1s to 90d"),
        (vec!["token", "revoke"], "WHAT"),
        (vec!["key", "create", "--name", "cms", "--scope", "topics.all"], "topics.publish, topics.read"),
        (vec!["key", "create", "--name", "cms", "--scope", "topics.read", "--topic", "News"], "a-z, 0-9"),
        (vec!["key", "create", "--name", "cms"], "--scope"),
        (vec!["key", "revoke"], "WHAT"),
        (vec!["schema", "generate", "--lang", "cobol"], "cobol"),
        (vec!["new"], "NAME"),
        (vec!["tables", "train"], "--out"),
    ] {
        let (code, _, said) = run(amphi().args(&args));
        assert_eq!(code, Some(2), "{args:?}");
        assert!(said.contains(word), "{args:?}: {said}");
    }
}

#[test]
fn tables_are_made_of_matches_with_bots() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("arena.tables");
    let train = |args: &[&str]| run(amphi().args(["tables", "train", "--out"]).arg(&out).args(args));
    let (code, said, error) = train(&["--mode", "1v1", "--matches", "2", "--seconds", "3"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(said.contains("in the plain codes") && error.contains("match 1 of 1: 1v1, 3 s with bots"), "{said}{error}");
    assert!(fs::read(&out).unwrap().starts_with(b"AMTB"));
    let (code, _, error) = train(&["--mode", "chess"]);
    assert!(code == Some(1) && error.contains("1v1, 2v2"), "{error}");
    let (code, _, error) = train(&["--matches", "1"]);
    assert!(code == Some(1) && error.contains("two matches"), "{error}");
    let (code, _, error) = train(&["no-such-journal", "nor-this"]);
    assert!(code == Some(1) && error.contains("no-such-journal"), "{error}");
}

#[test]
fn a_new_project_is_four_files_and_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said, error) = run(amphi().current_dir(folder.path()).args(["new", "my-tag"]));
    assert_eq!(code, Some(0), "{error}");
    let project = folder.path().join("my-tag");
    for file in ["Cargo.toml", "README.md", "src/main.rs", "tests/plays.rs"] {
        assert!(said.contains(file) && project.join(file).is_file(), "{file}: {said}");
    }
    let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("name = \"my-tag\"") && manifest.contains("amphi = { path = \"/"), "{manifest}");
    let (code, _, said) = run(amphi().current_dir(folder.path()).args(["new", "my-tag"]));
    assert!(code == Some(1) && said.contains("is there already"), "{said}");
    let (code, _, said) = run(amphi().current_dir(folder.path()).args(["new", "My_Tag"]));
    assert!(code == Some(1) && said.contains("lower-case letters"), "{said}");
    let (code, _, said) = run(amphi().current_dir(folder.path()).args(["new", "other", "--amphi", "."]));
    assert!(code == Some(1) && said.contains("does not hold Amphi's source"), "{said}");
    assert!(!folder.path().join("other").exists());
}

#[test]
fn settings_come_in_rising_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("amphi.toml");
    fs::write(&file, "drain_s = 7\n[fleet]\nhosts_max = 3\nrooms_per_host = 4\n").unwrap();
    let mut command = amphi();
    command.env("AMPHI_FLEET__HOSTS_MAX", "5").arg("--config").arg(&file);
    let (code, settings, said) = run(command.args(["config", "--listen", "127.0.0.1:7123"]));
    assert_eq!(code, Some(0), "{said}");
    for line in ["drain_s = 7", "hosts_max = 5", "rooms_per_host = 4", "listen = \"127.0.0.1:7123\""] {
        assert!(settings.contains(line), "{line} is not in:\n{settings}");
    }
    let (code, _, said) = run(amphi().env("AMPHI_FLEET__HOSTS_MAX", "many").arg("config"));
    assert_eq!(code, Some(1));
    assert!(said.contains("hosts_max"), "{said}");
    let (code, _, said) = run(amphi().args(["--config", "/nowhere/amphi.toml", "config"]));
    assert_eq!(code, Some(1));
    assert!(said.contains("/nowhere/amphi.toml"), "{said}");
}

#[test]
fn an_issuer_that_cannot_be_trusted_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("amphi.toml");
    let issuer = "[[auth.issuers]]\nissuer = \"https://login.example.org/\"\naudience = \"arena\"\n";
    for (rest, words) in [
        ("", "one of jwks_url, jwks_file and secret_file"),
        ("jwks_url = \"http://login.example.org/keys\"\n", "is not https://"),
        ("jwks_file = \"a\"\nsecret_file = \"b\"\n", "one of jwks_url"),
        ("jwks = \"a\"\n", "jwks"),
        ("jwks_file = \"a\"\nalgorithms = [\"HS256\"]\n", "`HS256` is none of RS256, ES256 and EdDSA"),
        ("secret_file = \"a\"\nalgorithms = [\"RS256\"]\n", "signs with HS256"),
        ("jwks_file = \"a\"\n[auth.issuers.scopes.chat]\nread = [\"No Topic\"]\n", "scopes.chat: `No Topic`"),
    ] {
        fs::write(&file, format!("{issuer}{rest}")).unwrap();
        let (code, _, said) = run(amphi().arg("--config").arg(&file).arg("config"));
        assert_eq!(code, Some(1), "{rest}");
        assert!(said.contains(words), "{said}");
    }
    fs::write(&file, format!("{issuer}jwks_url = \"https://login.example.org/keys\"\n")).unwrap();
    let (code, settings, said) = run(amphi().arg("--config").arg(&file).arg("config"));
    assert_eq!(code, Some(0), "{said}");
    assert!(settings.contains("role = \"user\"") && settings.contains("audience = \"arena\""), "{settings}");
    fs::write(&file, "[auth]\nrotate_days = 3\n").unwrap();
    let (_, _, said) = run(amphi().arg("--config").arg(&file).arg("config"));
    assert!(said.contains("rotate_days"), "{said}");
}

#[test]
fn a_token_is_minted_and_revoked_whether_the_service_runs_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let mint = || {
        let mut command = amphi();
        command.args(["token", "mint", "--subscribe", "match:mch_1:chat", "--ttl", "5m", "--data"]);
        let (code, token, said) = run(command.arg(folder.path()));
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(token.trim().split('.').count(), 3, "{token}");
        token.trim().to_owned()
    };
    let revoke = |what: &str| run(amphi().args(["token", "revoke", what, "--data"]).arg(folder.path()));
    let before = mint();
    let (code, _, said) = revoke(&before);
    assert!(code == Some(0) && said.contains("Revoked tok_"), "{said}");
    let up = Up::start(folder.path(), &[]);
    let during = mint();
    for token in [&before, &during] {
        // The first is revoked already; the second is now.
        let (code, _, said) = revoke(token);
        assert_eq!(code == Some(0), token == &during, "{said}");
    }
    let (code, _, said) = revoke("nobody");
    assert!(code == Some(1) && said.contains("A0500") && said.contains("usr_"), "{said}");
    drop(up);
}

#[test]
fn a_key_is_made_listed_and_revoked_whether_the_service_runs_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let key = |args: &[&str]| run(amphi().arg("key").args(args).arg("--data").arg(folder.path()));
    let create = |name: &str| {
        let (code, key, said) =
            key(&["create", "--name", name, "--scope", "topics.publish", "--topic", "news:**", "--ttl", "1h"]);
        assert!(code == Some(0) && said.contains("topics.publish of news:**; it is not shown again"), "{said}");
        assert!(key.starts_with("amk_"), "{key}");
        key.trim().to_owned()
    };
    let (code, out, said) = key(&["list"]);
    assert!(code == Some(0) && out.is_empty() && said.contains("none"), "{said}");
    let before = create("before");
    let up = Up::start(folder.path(), &[]);
    let during = create("during");
    let (code, _, said) = key(&["revoke", &before]);
    assert!(code == Some(0) && said.contains("Revoked key_"), "{said}");
    let (code, _, said) = key(&["revoke", &before]);
    assert!(code == Some(1) && said.contains("A0218"), "{said}");
    assert!(up.terminate().success());
    let (code, table, said) = key(&["list"]);
    assert_eq!(code, Some(0), "{said}");
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[1].contains("before  revoked  never") && rows[2].contains("during  valid"), "{table}");
    assert!(!table.contains(&during[4..]), "{table}");
    let (_, json, _) = key(&["list", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["state"], &json[1]["topics"][0]), (&"revoked".into(), &"news:**".into()));
    let (code, _, said) = key(&["create", "--name", "x", "--scope", "topics.read"]);
    assert!(code == Some(1) && said.contains("name topics"), "{said}");
}

#[test]
fn what_is_in_the_way_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let (code, _, said) = run(amphi().args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path()));
    assert_eq!(code, Some(1));
    assert!(said.contains("in use by another process") && said.contains("help: amphi already runs"), "{said}");
    drop(up);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let other = tempfile::tempdir().unwrap();
    let (code, _, said) = run(amphi().args(["up", "--listen", &address, "--data"]).arg(other.path()));
    assert_eq!(code, Some(1));
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");

    // Root may write everywhere, so a file stands where the directory should be.
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let (code, _, said) = run(amphi().args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(file.join("data")));
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot be written") && said.contains("--data"), "{said}");
}

#[test]
fn a_host_without_a_fleet_says_what_to_run_instead() {
    let (code, _, said) = run(amphi().arg("game"));
    assert_eq!(code, Some(1));
    assert!(said.contains("amphi up"), "{said}");
}
