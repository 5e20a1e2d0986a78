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

#[test]
fn patterns_match_part_by_part() {
    let check = |pattern: &str, fits: &[&str], others: &[&str]| {
        let parsed: TopicPattern = pattern.parse().unwrap();
        assert_eq!(parsed.to_string(), pattern);
        for name in fits {
            assert!(parsed.matches(&name.parse().unwrap()), "{pattern} {name}");
        }
        for name in others {
            assert!(!parsed.matches(&name.parse().unwrap()), "{pattern} {name}");
        }
    };
    let others = ["match:a:view", "match:a:view:0:x", "match:a:chat:0", "march:a:view:0"];
    check("match:*:view:*", &["match:a:view:0"], &others);
    check("news:**", &["news", "news:a", "news:a:b"], &["newspaper", "old:news"]);
    check("room:*:**", &["room:a", "room:a:b"], &["room"]);
    for wrong in ["", "match::chat", "Match:*", "**", "a:**:b", "a*", "a:***"] {
        assert!(wrong.parse::<TopicPattern>().is_err(), "{wrong}");
    }
}
