//! Rising order, and errors that name the key.

use std::fs;

use super::*;

fn read(toml: &str, flags: &[(&str, String)]) -> Result<Settings> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("amphi.toml");
    fs::write(&file, toml)?;
    Settings::read(Some(&file), flags)
}

#[test]
fn flags_beat_the_file_and_the_file_beats_defaults() {
    let settings = read("listen = '127.0.0.1:7100'\n[fleet]\nhosts_max = 2\n", &[]).unwrap();
    assert_eq!((settings.listen.port(), settings.fleet.hosts_max, settings.fleet.rooms_per_host), (7100, 2, 8));
    let flags = [("listen", "127.0.0.1:7200".to_owned())];
    assert_eq!(read("listen = '127.0.0.1:7100'", &flags).unwrap().listen.port(), 7200);
    assert_eq!(read("[live]\norigins = ['https://a.example']", &[]).unwrap().live.origins, ["https://a.example"]);
}

#[test]
fn a_wrong_key_or_value_names_itself() {
    for (toml, word) in [
        ("listn = 1", "listn"),
        ("listen = 'nowhere'", "listen"),
        ("[fleet]\nhosts = 2", "hosts"),
        ("[fleet]\nhosts_max = 'many'", "hosts_max"),
        ("public_url = 'example.org'", "public_url"),
        ("app = 'My App'", "app"),
        ("log = 'xml'", "xml"),
        ("[tls]\nkey = 'a.pem'", "tls.certificate"),
    ] {
        let error = format!("{:#}", read(toml, &[]).unwrap_err());
        assert!(error.contains(word), "{toml}: {error}");
    }
}

#[test]
fn a_certificate_makes_the_address_https() {
    let settings = read("[tls]\ncertificate = 'a.pem'\nkey = 'b.pem'", &[]).unwrap();
    let files = settings.tls.files().unwrap();
    assert_eq!((files.certificate, files.key), (PathBuf::from("a.pem"), PathBuf::from("b.pem")));
    assert_eq!(settings.public_url(settings.listen), "https://127.0.0.1:7000");
}

#[test]
fn hosts_are_where_people_find_this_process() {
    let at = |toml: &str| {
        let settings = read(toml, &[]).unwrap();
        let (listen, name) = settings.hosts_at(settings.listen);
        format!("{listen} {name}")
    };
    assert_eq!(at(""), "127.0.0.1:0 127.0.0.1");
    assert_eq!(at("listen = '0.0.0.0:7000'\npublic_url = 'https://play.example:8443/x'"), "0.0.0.0:0 play.example");
    assert_eq!(at("[fleet]\nhost_listen = '10.0.0.3:0'\npublic_host = 'h3.example'"), "10.0.0.3:0 h3.example");
}

#[test]
fn the_relay_is_where_people_reach_the_live_role() {
    let at = |toml: &str| {
        let settings = read(toml, &[]).unwrap();
        settings.relay_url(settings.listen)
    };
    assert_eq!(at(""), "ws://127.0.0.1:7000/session");
    assert_eq!(at("[live]\nurl = 'http://10.0.0.2:7000/'"), "ws://10.0.0.2:7000/session");
    assert_eq!(at("public_url = 'https://play.example/'"), "wss://play.example/session");
}
