use super::*;

fn history(messages_max: usize, bytes_max: usize, keyframes: bool) -> History {
    History::new(HistoryLimits { messages_max, bytes_max, keyframes })
}

fn body(offset: u64) -> Bytes {
    Bytes::from(vec![offset as u8; 10])
}

fn offsets(found: Vec<&Entry>) -> Vec<u8> {
    found.iter().map(|entry| entry.bytes[0]).collect()
}

#[test]
fn count_and_bytes_drop_the_oldest() {
    let mut by_count = history(3, 1_000, false);
    let mut by_bytes = history(100, 35, false);
    for offset in 1..=5 {
        by_count.push(offset, false, body(offset));
        by_bytes.push(offset, false, body(offset));
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
    assert_eq!(small.push(1, false, body(1)), 1);
    assert!(small.is_empty());
    assert!(small.after(0, 1).is_none());
    assert_eq!(small.after(1, 1).map(offsets), Some(vec![]));
}

#[test]
fn a_keyframe_drops_what_lies_before_it() {
    let mut view = history(4, 1_000, true);
    view.push(1, false, body(1));
    assert!(view.newcomer(100).is_empty(), "nothing to start from");
    for offset in 2..=4 {
        view.push(offset, offset == 2, body(offset));
    }
    assert_eq!(offsets(view.newcomer(100)), [2, 3, 4]);
    assert_eq!(view.after(1, 4).map(offsets), Some(vec![2, 3, 4]));
    assert!(view.after(0, 4).is_none());
    view.push(5, false, body(5));
    view.push(6, false, body(6));
    assert!(view.newcomer(100).is_empty(), "its keyframe was pushed out by the count");
    assert_eq!(view.after(4, 6).map(offsets), Some(vec![5, 6]), "a returning reader has the keyframe");
}
