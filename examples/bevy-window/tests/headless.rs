//! The client plays against a running server, without a window.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running server, ended when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_client_sees_the_world_move() {
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bevy-window-{}", std::process::id()));
    let mut server = Command::new(env!("CARGO_BIN_EXE_server"));
    server.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(&data).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut server = Server(server.spawn().expect("the server starts"));
    let mut lines = BufReader::new(server.0.stderr.take().expect("its words are read")).lines();
    let url =
        lines.by_ref().map_while(Result::ok).find_map(|line| line.trim().strip_prefix("Open ").map(str::to_owned));
    let url = url.expect("it says where it is");
    // What it says later must go somewhere.
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());

    let client = Command::new(env!("CARGO_BIN_EXE_bevy-window")).args(["--headless", "--ticks", "240", &url]).output();
    let client = client.expect("the client starts");
    drop(server);
    let words = rest.join().expect("its words are read").join("\n");
    let _ = std::fs::remove_dir_all(&data);
    let said = [client.stdout, client.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(client.status.success(), "{said:?}\n{words}");
}
