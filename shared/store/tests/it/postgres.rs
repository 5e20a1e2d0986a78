//! A PostgreSQL server of this test: fresh, on a free port of the loopback interface, gone with the test.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const INSTALL: &str = "PostgreSQL is missing: run `apt-get update && apt-get install -y postgresql`, then test again";

/// A running server. It stops when it is dropped.
pub(crate) struct Server {
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    folder: TempDir,
    port: u16,
    process: Child,
}

impl Server {
    /// Starts a server.
    ///
    /// # Panics
    /// When PostgreSQL is not installed, with the command that installs it.
    pub(crate) fn start() -> Self {
        let programs = programs();
        let folder = tempfile::tempdir().expect("a folder");
        let owner = owner(folder.path());
        if let Some((user, group)) = owner {
            chown(folder.path(), Some(user), Some(group)).expect("root may give a folder away");
        }
        let data = folder.path().join("data");
        let mut initdb = command(&programs, "initdb", owner);
        initdb.arg("-D").arg(&data).args(["-U", "amphi", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        let output = initdb.output().expect("initdb runs");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let mut postgres = command(&programs, "postgres", owner);
        postgres.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-F"]);
        postgres.args(["-c", "unix_socket_directories="]).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut process = postgres.spawn().expect("postgres starts");
        let log = process.stderr.take().expect("its log is piped");
        wait_until_ready(log);
        Self { programs, owner, folder, port, process }
    }

    /// Address of a fresh database of this name.
    pub(crate) fn database(&self, name: &str) -> String {
        let mut createdb = command(&self.programs, "createdb", self.owner);
        createdb.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "amphi", name]);
        let output = createdb.output().expect("createdb runs");
        assert!(output.status.success(), "createdb: {}", String::from_utf8_lossy(&output.stderr));
        format!("postgres://amphi@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = command(&self.programs, "pg_ctl", self.owner);
        stop.args(["stop", "-m", "immediate", "-D"]).arg(self.folder.path().join("data"));
        let stopped = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// The folder of the newest installed version's programs.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").is_file()).collect();
    found.sort();
    found.pop().expect(INSTALL)
}

/// Whom the server runs as: PostgreSQL refuses root, so then the user that its package made.
fn owner(folder: &Path) -> Option<(u32, u32)> {
    let root = fs::metadata(folder).expect("the folder exists").uid() == 0;
    root.then(|| {
        let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
        let line = users.lines().find(|line| line.starts_with("postgres:")).expect(INSTALL);
        let mut fields = line.split(':').skip(2).map(|field| field.parse().expect("a number"));
        (fields.next().expect("a user id"), fields.next().expect("a group id"))
    })
}

fn command(programs: &Path, name: &str, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(programs.join(name));
    command
        .current_dir("/")
        .env_remove("PGHOST")
        .env_remove("PGPORT")
        .env_remove("PGDATABASE")
        .env("LC_ALL", "C.UTF-8");
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command
}

/// Reads the log up to the line that says so, and keeps reading the rest so that the server never blocks on it.
fn wait_until_ready(log: impl Read + Send + 'static) {
    let mut lines = BufReader::new(log).lines();
    let mut seen = String::new();
    for line in lines.by_ref() {
        let line = line.expect("the log is text");
        if line.contains("ready to accept connections") {
            std::thread::spawn(move || lines.for_each(drop));
            return;
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    panic!("postgres ended before it was ready:\n{seen}");
}
