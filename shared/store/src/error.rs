//! What can go wrong with a store.

use std::path::PathBuf;

use thiserror::Error;

/// Why a store did not open. Each message is one sentence for the person who started the program.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("{what} is in use by another process")]
    Taken {
        /// The lock file, or the database and role.
        what: String,
    },
    /// The folder cannot be created or written.
    #[error("the data folder {folder} cannot be written: {source}", folder = folder.display())]
    Unwritable {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A newer version of the program has been here.
    #[error("{what} was written by a newer version of this program; update the program or restore an older copy")]
    Newer {
        /// The database.
        what: String,
    },
    /// The address of the database cannot be read.
    #[error("the database address is not understood: {reason}")]
    Address {
        /// Which part, without any password.
        reason: String,
    },
    /// The database itself refused.
    #[error("{what} cannot be opened: {source}")]
    Database {
        /// The database.
        what: String,
        /// What it said.
        source: sqlx::Error,
    },
}

/// Why a statement did not do its work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database refused or is gone.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A row holds what this program did not write.
    #[error("column `{column}` holds a value that cannot be read")]
    Corrupt {
        /// The column.
        column: &'static str,
    },
    /// Another process has opened this database since: nothing was written.
    #[error("another process has taken over this database")]
    Fenced,
}
