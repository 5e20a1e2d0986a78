//! Two pages, bots and a spectator in real Chromium, driven by `clients/web/e2e`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Up;

/// The folder of the page, with all that its stories need.
fn web() -> PathBuf {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/web");
    for (path, help) in [
        (web.join("dist/index.html"), "run `npm run build` in clients/web"),
        (web.join("node_modules"), "run `npm ci` in clients/web"),
        ("/usr/bin/chromium".into(), "run `cargo xtask setup`"),
    ] {
        assert!(path.exists(), "{} is missing: {help}", path.display());
    }
    web
}

#[test]
fn people_meet_in_a_match_and_a_spectator_chats() {
    let web = web();
    // It lies beside the program under test, and stands in front of a host as a bad network.
    let bots = Path::new(env!("CARGO_BIN_EXE_amphi")).with_file_name("amphi-loadtest-bots");
    assert!(bots.exists(), "run `cargo build --workspace --bin amphi-loadtest-bots`");
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let mut stories = Command::new("npm");
    stories.args(["run", "e2e"]).current_dir(web).env("AMPHI_URL", &up.url).env("AMPHI_BOTS", &bots);
    let status = stories.status().unwrap();
    assert!(status.success(), "the browser's story failed; its output is above");
}

#[test]
fn a_page_of_another_origin_chats() {
    let mut story = Command::new("npm");
    // It starts the program itself: whom the program lets in is known when the page has a port.
    story.args(["run", "e2e:site-chat"]).current_dir(web()).env("AMPHI_PROGRAM", env!("CARGO_BIN_EXE_amphi"));
    let status = story.status().unwrap();
    assert!(status.success(), "the browser's story failed; its output is above");
}
