use super::*;

fn history(messages_max: usize, bytes_max: usize, keyframes: bool) -> History {
    let kind = if keyframes { HistoryKind::Keyframes } else { HistoryKind::Stream };
    History::new(HistoryLimits { messages_max, bytes_max, age: Micros::from_secs(60), kind })
}

fn record(offset: u64, keyframe: bool) -> Record {
    let payload = Bytes::from(vec![offset as u8; 10]);
    Record { offset, at: Micros::from_secs(offset), flags: u8::from(keyframe), entry: None, payload }
}

fn offsets(found: Vec<&Entry>) -> Vec<u64> {
    found.iter().map(|entry| entry.record.offset).collect()
}

#[test]
fn count_and_bytes_drop_the_oldest() {
    let mut by_count = history(3, 1_000, false);
    let mut by_bytes = history(100, 35, false);
    for offset in 1..=5 {
        by_count.push(record(offset, false));
        by_bytes.push(record(offset, false));
    }
    for kept in [by_count, by_bytes] {
        assert_eq!(kept.after(5, 5).map(offsets), Some(vec![]));
        assert_eq!(kept.after(3, 5).map(offsets), Some(vec![4, 5]));
        assert_eq!(kept.after(2, 5).map(offsets), Some(vec![3, 4, 5]));
        assert!(kept.after(1, 5).is_none());
        assert!(kept.after(6, 5).is_none(), "a position nobody gave out");
        assert_eq!(offsets(kept.newcomer(2)), [4, 5]);
    }
}

#[test]
fn a_publication_beyond_the_budget_leaves_nothing_behind() {
    let mut small = history(3, 8, false);
    assert_eq!(small.push(record(1, false)), 1);
    assert!(small.is_empty());
    assert!(small.after(0, 1).is_none());
    assert_eq!(small.after(1, 1).map(offsets), Some(vec![]));
}

#[test]
fn a_keyframe_drops_what_lies_before_it() {
    let mut view = history(4, 1_000, true);
    view.push(record(1, false));
    assert!(view.newcomer(100).is_empty(), "nothing to start from");
    for offset in 2..=4 {
        view.push(record(offset, offset == 2));
    }
    assert_eq!(offsets(view.newcomer(100)), [2, 3, 4]);
    assert_eq!(view.after(1, 4).map(offsets), Some(vec![2, 3, 4]));
    assert!(view.after(0, 4).is_none());
    view.push(record(5, false));
    view.push(record(6, false));
    assert!(view.newcomer(100).is_empty(), "its keyframe was pushed out by the count");
    assert_eq!(view.after(4, 6).map(offsets), Some(vec![5, 6]), "a returning reader has the keyframe");
}

#[test]
fn age_drops_the_oldest() {
    let mut aging = history(100, 1_000, false);
    for offset in [1, 2, 50, 61] {
        aging.push(record(offset, false));
    }
    assert_eq!(offsets(aging.newcomer(9)), [1, 2, 50, 61], "the oldest is as old as it may be");
    assert_eq!(aging.expire(Micros::from_secs(63)), 2);
    assert_eq!(offsets(aging.newcomer(9)), [50, 61]);
}

#[test]
fn a_state_keeps_the_newest_of_each_entry() {
    let limits = HistoryLimits { kind: HistoryKind::State, ..history(3, 1_000, false).limits };
    let mut state = History::new(limits);
    let change = |key: &str, removes| Some(EntryChange { key: key.to_owned(), removes });
    let steps = [("a", false), ("b", false), ("a", false), ("c", false), ("b", true)];
    for (offset, (key, removes)) in (1..).zip(steps) {
        state.push(Record { entry: change(key, removes), ..record(offset, false) });
    }
    assert_eq!(offsets(state.newcomer(0)), [3, 4]);
    assert_eq!(state.after(2, 5).map(offsets), Some(vec![3, 4, 5]), "who returns sees the removal");
    assert!(state.after(1, 5).is_none());
    for n in 0..STATE_ENTRIES_MAX - 2 {
        state.push(Record { entry: change(&format!("k{n}"), false), ..record(6, false) });
    }
    assert!(!state.has_room(change("one more", false).as_ref(), 1));
    assert!(state.has_room(change("a", false).as_ref(), 1) && state.has_room(change("a", true).as_ref(), 1));
    assert!(!state.has_room(change("a", false).as_ref(), HISTORY_BYTES_MAX));
}
