use proptest::prelude::*;

use super::*;

fn json(text: &str) -> Result<Payload, Code> {
    let payload = Payload { kind: Some(Kind::Json(text.to_owned())) };
    check(Some(payload), 4_096).map_err(|denied| denied.code)
}

#[test]
fn json_is_checked_once() {
    assert!(json(r#"{"a":[1,"[[[[",{"b":null}]}"#).is_ok());
    for bad in ["", "{", "[1,]", "nul", "{} {}", "\u{0}"] {
        assert_eq!(json(bad), Err(Code::MessageInvalid), "{bad:?}");
    }
    let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    assert!(json(&nested(JSON_DEPTH_MAX)).is_ok());
    assert_eq!(json(&nested(JSON_DEPTH_MAX + 1)), Err(Code::MessageInvalid));
    assert_eq!(json(&nested(1_500)), Err(Code::MessageInvalid));
    assert_eq!(json(&"[".repeat(4_000)), Err(Code::MessageInvalid));
}

#[test]
fn nothing_and_too_much_are_refused() {
    assert_eq!(check(None, 10).map_err(|denied| denied.code), Err(Code::MessageEmpty));
    assert_eq!(check(Some(Payload { kind: None }), 10).map_err(|denied| denied.code), Err(Code::MessageEmpty));
    let eleven = Payload { kind: Some(Kind::Text("a".repeat(11))) };
    assert_eq!(check(Some(eleven), 10).map_err(|denied| denied.code), Err(Code::MessageTooLarge));
}

#[test]
fn the_named_member_says_what_changes() {
    let change = |json: &str| {
        let payload = Payload { kind: Some(Kind::Json(json.to_owned())) };
        entry(&payload, "id").map(|change| (change.key, change.removes)).map_err(|denied| denied.code)
    };
    assert_eq!(change(r#"{"id":"a","x":1}"#), Ok(("a".to_owned(), false)));
    assert_eq!(change(r#"{"id":7}"#), Ok(("7".to_owned(), true)));
    let long = format!(r#"{{"id":"{}"}}"#, "a".repeat(ENTRY_BYTES_MAX + 1));
    for wrong in ["[1]", "{}", r#"{"id":null}"#, r#"{"id":""}"#, r#"{"id":{}}"#, "1", &long] {
        assert_eq!(change(wrong), Err(Code::MessageInvalid), "{wrong}");
    }
}

#[test]
fn another_body_has_another_fingerprint() {
    let bodies = [Kind::Text("a".to_owned()), Kind::Json("a".to_owned()), Kind::Text("b".to_owned())];
    let [a, b, c] = bodies.map(|kind| fingerprint(&Payload { kind: Some(kind) }));
    assert!(a != b && b != c && a != c);
}

proptest! {
    #[test]
    fn any_text_is_judged_without_a_panic(text in ".{0,200}") {
        let _ = json(&text);
    }

    #[test]
    fn brackets_in_strings_do_not_count(text in "[\\[\\]{}\"\\\\a]{0,60}") {
        let quoted = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(depth(&quoted), 0);
        prop_assert!(json(&quoted).is_ok());
    }
}
