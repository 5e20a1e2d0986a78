use amphi_shared_wire::{AppId, UserId};

use super::*;
use crate::Role;

fn parse(text: &str) -> Result<String, Code> {
    let payload = Payload { kind: Some(Kind::Text(text.to_owned())) };
    ChatLine::parse(&payload).map(|line| line.0).map_err(|denied| denied.code)
}

#[test]
fn control_characters_go_and_the_rest_stays() {
    assert_eq!(parse("  hi\u{0}\u{7}\u{1b}[31m\nthere\u{202e} "), Ok("hi[31m there".to_owned()));
    assert_eq!(parse("👩‍🚀 привет שלום"), Ok("👩‍🚀 привет שלום".to_owned()));
    assert_eq!(parse(" \n\u{202e}\u{0} "), Err(Code::MessageEmpty));
    assert_eq!(parse(&"ж".repeat(CHAT_CHARS_MAX)), Ok("ж".repeat(CHAT_CHARS_MAX)));
    assert_eq!(parse(&"ж".repeat(CHAT_CHARS_MAX + 1)), Err(Code::MessageTooLarge));
    let json = Payload { kind: Some(Kind::Json("{}".to_owned())) };
    assert_eq!(ChatLine::parse(&json).map_err(|denied| denied.code), Err(Code::MessageInvalid));
}

#[test]
fn markup_and_sql_are_text() {
    let text = r#"<script>alert('x')</script> '); DROP TABLE users;-- " \ &amp;"#;
    let person = Person {
        user: UserId::from_bits(7),
        app: AppId::default(),
        name: "<b>Bobby\"; DROP</b>".to_owned(),
        role: Role::Guest,
        grants: None,
    };
    let payload = Payload { kind: Some(Kind::Text(text.to_owned())) };
    let line = ChatLine::parse(&payload).unwrap().publication(&person, Micros(9));
    let record = Record { offset: 3, at: Micros(9), flags: 0, entry: None, payload: line.encode_to_vec().into() };
    let Some(Kind::Json(json)) = decode(&with_id(&record)).kind else { panic!("a chat line is JSON") };
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["text"], text);
    assert_eq!(value["from"]["name"], person.name);
    assert_eq!(value["from"]["role"], "guest");
    assert_eq!(value["from"]["id"], person.user.to_string());
    assert_eq!((value["id"].as_u64(), value["at_us"].as_u64()), (Some(3), Some(9)));
}

#[test]
fn what_a_service_says_in_a_chat_stays_json() {
    for (published, shown) in [("{}", r#"{"id":3}"#), ("{ }", r#"{"id":3 }"#), (r#"{"a":1}"#, r#"{"id":3,"a":1}"#)] {
        let payload = Payload { kind: Some(Kind::Json(published.to_owned())) };
        let record =
            Record { offset: 3, at: Micros(9), flags: 0, entry: None, payload: payload.encode_to_vec().into() };
        assert_eq!(decode(&with_id(&record)).kind, Some(Kind::Json(shown.to_owned())));
    }
}
