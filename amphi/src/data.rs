//! The data directory: keys, certificate, databases, and a note of what runs on it.

use std::fs;
use std::path::{Path, PathBuf};

use amphi_shared_auth::Keyring;
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_store::{Location, OpenError};
use amphi_shared_wire::Micros;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The data directory of one deployment.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    folder: PathBuf,
}

/// What runs on the directory, for commands that are given to a running process.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Running {
    /// Base URL of the live role.
    pub(crate) url: String,
    /// Its process.
    pub(crate) pid: u32,
}

impl Data {
    /// Creates the directory when it is missing, and checks that it can be written.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let probe = folder.join(".writable");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&probe, b""))
            .and_then(|()| fs::remove_file(&probe))
            .map_err(|source| OpenError::Unwritable { folder: folder.to_owned(), source })?;
        let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
        Ok(Self { folder })
    }

    /// The keys that sign every token of this deployment.
    pub(crate) fn keyring(&self) -> Result<Keyring> {
        Ok(Keyring::load_or_create(&self.folder.join("keyring.json"))?)
    }

    /// The certificate of QUIC and WebTransport; a new one when half of its life is over.
    pub(crate) fn certificate(&self, now: Micros) -> Result<Certificate> {
        Ok(Certificate::load_or_create(&self.folder, now)?)
    }

    /// Where a role's database is: an address from the settings, or a file here.
    pub(crate) fn database(&self, address: Option<&String>) -> Location {
        address.map_or_else(
            || Location::Folder(self.folder.clone()),
            |address| {
                let Ok(location) = address.parse();
                location
            },
        )
    }

    /// The directory itself; rooms keep their journals below it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Notes what runs here.
    pub(crate) fn write_running(&self, url: &str) -> Result<()> {
        let note = Running { url: url.to_owned(), pid: std::process::id() };
        let path = self.folder.join("running.json");
        fs::write(&path, serde_json::to_vec(&note)?).with_context(|| path.display().to_string())
    }

    /// What was noted by a process that may or may not still run.
    pub(crate) fn running(&self) -> Option<Running> {
        serde_json::from_slice(&fs::read(self.folder.join("running.json")).ok()?).ok()
    }

    /// Removes the note.
    pub(crate) fn remove_running(&self) {
        // It may be gone already; whoever reads it checks that the process answers.
        let _ = fs::remove_file(self.folder.join("running.json"));
    }
}
