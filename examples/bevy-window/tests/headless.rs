//! The client plays against a running server, without a window.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longest time to wait for the server; only a broken one needs it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server and what it says, ended when it is dropped.
struct Server {
    child: Child,
    lines: Receiver<String>,
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut server = Command::new(env!("CARGO_BIN_EXE_server"));
        server.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(data).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = server.spawn().expect("the server starts");
        let stderr = BufReader::new(child.stderr.take().expect("its words are read"));
        let (sender, lines) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// Where it is.
    fn url(&self) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("it says where it is");
            if let Some(url) = line.trim().strip_prefix("Open ") {
                return url.to_owned();
            }
        }
    }

    fn terminate(&self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The first word drains, so its match hosts end with it; a second one ends running matches at once.
        self.terminate();
        while self.lines.recv_timeout(PATIENCE).is_ok_and(|line| !line.contains("Draining")) {}
        self.terminate();
        let _ = self.child.wait();
    }
}

#[test]
fn the_client_sees_the_world_move() {
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bevy-window-{}", std::process::id()));
    let server = Server::start(&data);
    let url = server.url();
    let client = Command::new(env!("CARGO_BIN_EXE_bevy-window")).args(["--headless", "--ticks", "240", &url]).output();
    let client = client.expect("the client starts");
    let words: Vec<String> = server.lines.try_iter().collect();
    drop(server);
    let _ = std::fs::remove_dir_all(&data);
    let said = [client.stdout, client.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(client.status.success(), "{said:?}\n{}", words.join("\n"));
}
