//! Journals of matches that are over: how long they stay, and how many bytes of them.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use amphi_shared_edge::host::JournalLimits;
use amphi_shared_wire::MatchId;

use crate::journal::Journal;

/// Interval of sweeps; the first one is at the start.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// Journals that one sweep looks at. Beyond: the next sweep goes on.
const JOURNALS_PER_SWEEP_MAX: usize = 100_000;
/// A journal is left alone this long after its last record: its host may just be opening it, or have just died.
const REST: Duration = Duration::from_secs(60);

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) deleted: u64,
    pub(crate) deleted_bytes: u64,
    /// Bytes of the journals that stayed.
    pub(crate) kept_bytes: u64,
}

/// The journal of one match on disk.
struct Shelved {
    folder: PathBuf,
    written: SystemTime,
    bytes: u64,
}

/// Deletes, oldest first, what is beyond the limits under the data directory. Hosts of one machine share the directory
/// and may sweep at the same time; a journal that one of them writes is locked, and stays.
pub(crate) fn sweep(data_dir: &Path, limits: JournalLimits, now: SystemTime) -> io::Result<Swept> {
    let mut shelf = shelf(data_dir)?;
    shelf.sort_by_key(|journal| journal.written);
    let mut swept = Swept { kept_bytes: shelf.iter().map(|journal| journal.bytes).sum(), ..Swept::default() };
    for Shelved { folder, written, bytes } in shelf {
        // A clock that was set back makes files of the future: they have no age.
        let age = now.duration_since(written).unwrap_or_default();
        let beyond = age.as_secs() > limits.age_s_max || swept.kept_bytes > limits.bytes_max;
        if !beyond || age < REST || Journal::is_open(&folder) {
            continue;
        }
        match fs::remove_dir_all(&folder) {
            Ok(()) => {
                swept.deleted += 1;
                swept.deleted_bytes += bytes;
                swept.kept_bytes -= bytes;
            }
            // Another host was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => swept.kept_bytes -= bytes,
            Err(error) => tracing::warn!(folder = %folder.display(), %error, "a journal cannot be deleted"),
        }
    }
    Ok(swept)
}

/// The journals of matches; whatever else lies there is not ours.
fn shelf(data_dir: &Path) -> io::Result<Vec<Shelved>> {
    let entries = match fs::read_dir(data_dir.join("rooms")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let of_match = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<MatchId>().ok();
    let folders = entries.flatten().map(|entry| entry.path()).filter(|folder| of_match(folder).is_some());
    Ok(folders.filter_map(shelved).take(JOURNALS_PER_SWEEP_MAX).collect())
}

/// `None` when it has just been deleted.
fn shelved(folder: PathBuf) -> Option<Shelved> {
    let journal = fs::metadata(Journal::file_in(&folder)).or_else(|_| fs::metadata(&folder)).ok()?;
    let bytes = if journal.is_file() { journal.len() } else { 0 };
    Some(Shelved { folder, written: journal.modified().ok()?, bytes })
}

#[cfg(test)]
mod tests;
