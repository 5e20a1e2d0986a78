//! Where a store lives.

use std::path::PathBuf;
use std::str::FromStr;

/// Where a store lives.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder with one SQLite file per role. It is created when it is missing.
    Folder(PathBuf),
    /// A PostgreSQL database (`postgres://user:password@host:port/database`) with one schema per role.
    Postgres(String),
}

impl FromStr for Location {
    type Err = std::convert::Infallible;
    /// An address that starts with `postgres://` or `postgresql://`; everything else is a folder.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        Ok(Self::Folder(PathBuf::from(text)))
    }
}

impl std::fmt::Debug for Location {
    /// Without the address of a database: it may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder) => f.debug_tuple("Folder").field(folder).finish(),
            Self::Postgres(_) => f.write_str("Postgres(…)"),
        }
    }
}
