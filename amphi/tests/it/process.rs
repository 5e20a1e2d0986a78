//! A running `amphi up`, ended when it is dropped.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Longest time to wait for a process; only a broken one needs it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) fn amphi() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amphi"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A running `amphi up`.
pub(crate) struct Up {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// Everything it has said until the address was known.
    pub(crate) greeting: Vec<String>,
    /// Where it is.
    pub(crate) url: String,
}

impl Up {
    /// Starts everything on a free port, with `data` as its directory.
    pub(crate) fn start(data: &Path, args: &[&str]) -> Self {
        let mut command = amphi();
        command.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = read_lines(child.stderr.take().unwrap());
        let mut greeting = Vec::new();
        let url = loop {
            let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no address in: {greeting:#?}"));
            greeting.push(line.clone());
            if let Some(url) = line.trim().strip_prefix("Open ") {
                break url.to_owned();
            }
        };
        Self { child, lines, greeting, url }
    }

    /// The next line on stderr that contains `word`.
    pub(crate) fn line_with(&self, word: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line with `{word}`"));
            if line.contains(word) {
                return line;
            }
        }
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        signal(self.child.id(), "TERM");
        self.child.wait().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // A second signal ends running matches at once; two that arrive together would count as one.
            signal(self.child.id(), "TERM");
            while self.lines.recv_timeout(PATIENCE).is_ok_and(|line| !line.contains("Draining")) {}
            signal(self.child.id(), "TERM");
            let _ = self.child.wait();
        }
    }
}

/// Runs the program to its end: its exit code, stdout and stderr.
pub(crate) fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
}

fn read_lines(stderr: ChildStderr) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr.take(64 * 1024 * 1024)).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
