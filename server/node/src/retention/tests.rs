use std::fs::File;

use tempfile::TempDir;

use super::*;

const KIB: usize = 1_024;
const HOUR: Duration = Duration::from_secs(3_600);

/// A data directory with a journal of 1 KiB for each age; match 1 has the first one.
fn journals(ages: &[Duration], now: SystemTime) -> TempDir {
    let data = tempfile::tempdir().unwrap();
    for (id, age) in (1..).zip(ages) {
        let mut journal = Journal::create(data.path(), MatchId::from_bits(id)).unwrap();
        journal.append(&[7; KIB]).unwrap();
        let file = File::options().append(true).open(file(&data, id)).unwrap();
        file.set_modified(now - *age).unwrap();
    }
    data
}

fn file(data: &TempDir, id: u128) -> PathBuf {
    Journal::file_in(&data.path().join("rooms").join(MatchId::from_bits(id).to_string()))
}

/// The matches whose journals are left.
fn left(data: &TempDir, of: u128) -> Vec<u128> {
    (1..=of).filter(|id| file(data, *id).exists()).collect()
}

fn limits(age: Duration, kib_max: u64) -> JournalLimits {
    JournalLimits { age_s_max: age.as_secs(), bytes_max: kib_max * KIB as u64 }
}

#[test]
fn what_is_too_old_goes() {
    let now = SystemTime::now();
    let data = journals(&[HOUR * 3, HOUR, HOUR * 2, HOUR * 4], now);
    let swept = sweep(data.path(), limits(HOUR * 2, 100), now).unwrap();
    assert_eq!(left(&data, 4), [2, 3]);
    assert_eq!((swept.deleted, swept.deleted_bytes, swept.kept_bytes), (2, 2 * KIB as u64, 2 * KIB as u64));
    assert!(!file(&data, 1).parent().unwrap().exists(), "its folder goes with it");
}

#[test]
fn what_is_too_much_goes_oldest_first() {
    let now = SystemTime::now();
    let data = journals(&[HOUR * 3, HOUR, HOUR * 2, HOUR * 4], now);
    sweep(data.path(), limits(HOUR * 100, 2), now).unwrap();
    assert_eq!(left(&data, 4), [2, 3]);
    assert_eq!(sweep(data.path(), limits(HOUR * 100, 2), now).unwrap().deleted, 0);
}

#[test]
fn a_match_that_runs_or_was_just_written_stays() {
    let now = SystemTime::now();
    let data = journals(&[HOUR * 9, HOUR * 9, Duration::from_secs(1)], now);
    let running = Journal::create(data.path(), MatchId::from_bits(1)).unwrap();
    sweep(data.path(), limits(Duration::ZERO, 0), now).unwrap();
    assert_eq!(left(&data, 3), [1, 3]);
    drop(running);
    sweep(data.path(), limits(Duration::ZERO, 0), now).unwrap();
    assert_eq!(left(&data, 3), [3]);
}

#[test]
fn nothing_else_is_touched_and_nothing_is_no_error() {
    let now = SystemTime::now();
    let data = tempfile::tempdir().unwrap();
    assert_eq!(sweep(data.path(), limits(HOUR, 1), now).unwrap(), Swept::default());
    let notes = data.path().join("rooms/notes/journal");
    fs::create_dir_all(notes.parent().unwrap()).unwrap();
    let file = File::create(&notes).unwrap();
    file.set_modified(now - HOUR * 9).unwrap();
    assert_eq!(sweep(data.path(), limits(HOUR, 0), now).unwrap(), Swept::default());
    assert!(notes.exists());
}
