//! The journal of a room on disk: what the room must survive is written before anyone hears of it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use amphi_shared_wire::MatchId;

/// Appends to `rooms/<match>/journal`. Written, not synced: the page cache outlives the process. The file is locked while
/// its match runs, so that no sweep of any host deletes it; the lock ends with the process.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Nothing more is written after the first failure: a journal with a hole is worse than a short one.
    file: Option<File>,
}

impl Journal {
    /// Opens the journal of a match under the data directory; fails when another host runs the match.
    pub(crate) fn create(data_dir: &Path, match_id: MatchId) -> io::Result<Self> {
        let dir = data_dir.join("rooms").join(match_id.to_string());
        fs::create_dir_all(&dir)?;
        let file = OpenOptions::new().create(true).append(true).open(Self::file_in(&dir))?;
        file.try_lock()?;
        Ok(Self { file: Some(file) })
    }

    /// The journal in the folder of a match.
    pub(crate) fn file_in(folder: &Path) -> PathBuf {
        folder.join("journal")
    }

    /// Whether a running match writes the journal in this folder.
    pub(crate) fn is_open(folder: &Path) -> bool {
        let file = OpenOptions::new().append(true).open(Self::file_in(folder));
        file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Appends one record of the room.
    pub(crate) fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.write_all(record).inspect_err(|_| self.file = None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_in_the_file_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let id = MatchId::from_bits(5);
        let mut journal = Journal::create(dir.path(), id).unwrap();
        journal.append(b"one").unwrap();
        journal.append(b"two").unwrap();
        let path = dir.path().join("rooms").join(id.to_string()).join("journal");
        assert_eq!(fs::read(path).unwrap(), b"onetwo");
    }
}
