//! Names are checked.

use super::*;

#[test]
fn names_are_checked() {
    assert!("match:mch_0a:view:0".parse::<Topic>().is_ok());
    assert_eq!("".parse::<Topic>(), Err(TopicError::Length));
    assert_eq!("a".repeat(129).parse::<Topic>(), Err(TopicError::Length));
    for bad in ["a::b", ":", "a:", "A", "a b", "ä", "a\u{0}"] {
        assert_eq!(bad.parse::<Topic>(), Err(TopicError::Character), "{bad:?}");
    }
    let id = MatchId::from_bits(u128::MAX);
    assert!(Topic::match_view(id, u32::MAX).as_str().parse::<Topic>().is_ok());
}
