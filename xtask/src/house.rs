//! Where things are: the checkout, the build output, the tools.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::Context;

/// The checkout and the folders it builds into.
pub(crate) struct House {
    root: PathBuf,
    target: PathBuf,
    tools: PathBuf,
}

impl House {
    /// Finds the checkout that `cargo xtask` runs in.
    ///
    /// # Errors
    /// When cargo did not start this program.
    pub(crate) fn find() -> anyhow::Result<Self> {
        // Cargo says it at run time; what it said at build time is another checkout's when both share their output.
        let manifest = env::var_os("CARGO_MANIFEST_DIR").context("start this as `cargo xtask`")?;
        let root = Path::new(&manifest).parent().context("xtask lies in no checkout")?.to_path_buf();
        let cache = cache();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(target) => root.join(target),
            // A CI checkout is thrown away; the cache is not.
            None if env::var("CI").is_ok_and(|ci| ci == "true") => cache.join("amphi-target"),
            None => root.join("target"),
        };
        Ok(Self { root, target, tools: cache.join("amphi-tools") })
    }

    /// The root of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's build output: `target`, or a cache outside the checkout with `CI=true`.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Where tools from PyPI are installed, each in a folder of its own.
    pub(crate) fn tools(&self) -> &Path {
        &self.tools
    }

    /// A program that runs in the checkout, and finds the tools.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("PATH", self.path()).env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// Cargo with arguments.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = self.command(&env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
        command.args(args);
        command
    }

    /// The file that a program on the search path or among the tools is, if there is one.
    pub(crate) fn which(&self, program: &str) -> Option<PathBuf> {
        env::split_paths(&self.path()).map(|folder| folder.join(program)).find(|file| file.is_file())
    }

    fn path(&self) -> OsString {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let tools = fs::read_dir(&self.tools).into_iter().flatten().flatten().map(|tool| tool.path().join("bin"));
        let folders = env::split_paths(&inherited).chain(tools);
        env::join_paths(folders).unwrap_or(inherited)
    }
}

fn cache() -> PathBuf {
    let home = || env::var_os("HOME").map_or_else(env::temp_dir, PathBuf::from).join(".cache");
    env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty()).map_or_else(home, PathBuf::from)
}
