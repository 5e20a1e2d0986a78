//! A Redis server of this test: fresh, on a free port of the loopback interface, gone with the test.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const INSTALL: &str = "Redis is missing: run `apt-get update && apt-get install -y redis-server`, then test again";

/// A running server. It stops when it is dropped.
pub(crate) struct Redis {
    folder: TempDir,
    port: u16,
    durable: bool,
    /// The certificate of a server that speaks TLS, PEM.
    pub(crate) certificate: Option<String>,
    process: Child,
}

impl Redis {
    /// Starts a server that writes an append-only file.
    ///
    /// # Panics
    /// When Redis is not installed, with the command that installs it.
    pub(crate) fn start() -> Self {
        Self::start_with(true)
    }

    /// Starts a server with or without an append-only file.
    pub(crate) fn start_with(durable: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap().port();
        let process = run(&folder, port, durable, false);
        Self { folder, port, durable, certificate: None, process }
    }

    /// Starts a server that speaks TLS only, with a certificate that nobody vouches for.
    pub(crate) fn start_tls() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = made.cert.pem();
        std::fs::write(folder.path().join("certificate.pem"), &certificate).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap().port();
        let process = run(&folder, port, true, true);
        Self { folder, port, durable: true, certificate: Some(certificate), process }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Kills the server without a word. It is gone when this returns.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the server again where it was, with what it has on its disk.
    pub(crate) fn restart(&mut self) {
        self.process = run(&self.folder, self.port, self.durable, self.certificate.is_some());
    }

    /// Takes everything away from a server that was killed.
    pub(crate) fn wipe(&mut self) {
        self.folder = tempfile::tempdir().unwrap();
    }

    /// The answer to a command.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        let output = cli.args(["-p", &self.port.to_string()]).args(words).output().expect(INSTALL);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a server and reads its log up to the line that says it is ready.
fn run(folder: &TempDir, port: u16, durable: bool, tls: bool) -> Child {
    let mut redis = Command::new("redis-server");
    if tls {
        redis.args(["--port", "0", "--tls-auth-clients", "no", "--tls-port", &port.to_string()]);
        redis.args(["--tls-cert-file", "certificate.pem", "--tls-key-file", "key.pem"]).current_dir(folder.path());
    } else {
        redis.args(["--port", &port.to_string()]);
    }
    redis.args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]);
    redis.args(["--appendonly", if durable { "yes" } else { "no" }, "--appendfsync", "everysec"]);
    redis.arg("--dir").arg(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = redis.spawn().expect(INSTALL);
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let ready = lines.by_ref().any(|line| line.unwrap().contains("Ready to accept connections"));
    assert!(ready, "redis-server ended before it was ready");
    // Read on, so that the server never blocks on its log.
    std::thread::spawn(move || lines.for_each(drop));
    process
}
