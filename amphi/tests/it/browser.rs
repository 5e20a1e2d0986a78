//! Two pages, bots and a spectator in real Chromium, driven by `clients/web/e2e`.

use std::path::Path;
use std::process::Command;

use crate::process::Up;

#[test]
fn people_meet_in_a_match_and_a_spectator_chats() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/web");
    // It lies beside the program under test, and stands in front of a host as a bad network.
    let bots = Path::new(env!("CARGO_BIN_EXE_amphi")).with_file_name("amphi-loadtest-bots");
    for (path, help) in [
        (web.join("dist/index.html"), "run `npm run build` in clients/web"),
        (web.join("node_modules"), "run `npm ci` in clients/web"),
        ("/usr/bin/chromium".into(), "run `cargo xtask setup`"),
        (bots.clone(), "run `cargo build --workspace --bin amphi-loadtest-bots`"),
    ] {
        assert!(path.exists(), "{} is missing: {help}", path.display());
    }
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let mut stories = Command::new("npm");
    stories.args(["run", "e2e"]).current_dir(&web).env("AMPHI_URL", &up.url).env("AMPHI_BOTS", &bots);
    let status = stories.status().unwrap();
    assert!(status.success(), "the browser's story failed; its output is above");
}
