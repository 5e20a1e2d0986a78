use amphi_shared_wire::limits::{HTTP_BODY_BYTES_MAX, TICKETS_PER_10_S};
use serde_json::json;

use crate::house::{House, Person};

const QUEUE: &str = "/api/v1/matchmaking/queue";

#[tokio::test]
async fn names_are_data() {
    let house = House::open().await;
    for (id, name) in (1..).zip(["'; DROP TABLE tickets; --", "<script>alert(1)</script>", "\" OR 1=1", "${x}\\u0000"])
    {
        let person = house.person(id, name);
        let grant = house.matched(&person).await;
        assert_eq!(house.connect_token(&grant).name, name);
        assert_eq!(house.fleet.allocations().last().unwrap().seats[0].name, name);
    }
    let house = house.restart().await;
    house.matched(&house.person(99, "after all of them")).await;
}

#[tokio::test]
async fn bad_requests_are_refused_with_their_numbers() {
    let house = House::open().await;
    let ann = house.person(1, "Ann");
    let cases = [
        ("", 400, "A0500"),
        ("{", 400, "A0500"),
        ("[]", 400, "A0500"),
        (r#"{"mode":7}"#, 400, "A0500"),
        (r#"{"mode":"9v9"}"#, 400, "A0403"),
        (r#"{"mode":"'; DROP TABLE claims; --"}"#, 400, "A0403"),
        (r#"{"mode":"1v1","players":["usr_00000000000000000000000009"]}"#, 400, "A0500"),
        (r#"{"mode":"1v1","players":["x","y"]}"#, 400, "A0500"),
        (r#"{"mode":"1v1","latencies":{"eu":-1}}"#, 400, "A0500"),
    ];
    for (body, status, code) in cases {
        let (got, problem) = house.post_raw(&ann, QUEUE, body).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{body}: {problem}");
    }
    let (status, problem) = house.post_raw(&ann, QUEUE, "x".repeat(HTTP_BODY_BYTES_MAX + 1)).await;
    assert_eq!((status, problem["code"].as_str()), (413, Some("A0504")));
    for ticket in ["x", "tkt_", "mch_00000000000000000000000001", "tkt_00000000000000000000000001"] {
        let (status, problem) = house.get(&ann, &format!("{QUEUE}/{ticket}")).await;
        assert_eq!((status, problem["code"].as_str()), (404, Some("A0401")), "{ticket}");
    }
    let ticket = house.queue(&ann, "1v1").await;
    assert_eq!(house.get(&ann, &format!("{ticket}?wait_ms=soon")).await.0, 400);
}

#[tokio::test]
async fn every_route_asks_for_its_token() {
    let house = House::open().await;
    let nobody = Person { id: String::new(), token: "nonsense".to_owned() };
    let stranger = house.person_of("shop", 1, "Ann");
    let code = |(_, problem): (u16, serde_json::Value)| problem["code"].as_str().unwrap_or_default().to_owned();
    let paths = ["/api/v1/ratings/me", "/api/v1/matchmaking/queue/tkt_00000000000000000000000001"];
    for path in paths {
        assert_eq!(code(house.get(&nobody, path).await), "A0201");
        assert_eq!(code(house.get(&stranger, path).await), "A0205");
    }
    for path in [QUEUE, "/api/v1/matches/mch_00000000000000000000000001/seat"] {
        assert_eq!(code(house.post(&nobody, path, &json!({ "mode": "1v1" })).await), "A0201");
        assert_eq!(code(house.post(&stranger, path, &json!({ "mode": "1v1" })).await), "A0205");
    }
    let (status, modes) = house.get(&nobody, "/api/v1/modes").await;
    assert_eq!((status, &modes["game"]), (200, &json!("duel")));
    assert_eq!((status, &modes["modes"][0]["name"], &modes["modes"][1]["team_size"]), (200, &json!("1v1"), &json!(2)));
}

#[tokio::test]
async fn whoever_asks_for_too_many_tickets_is_slowed_down() {
    let house = House::open().await;
    let (ann, bob) = (house.person(1, "Ann"), house.person(2, "Bob"));
    let mut answers = Vec::new();
    for _ in 0..TICKETS_PER_10_S * 2 {
        answers.push(house.post(&ann, QUEUE, &json!({ "mode": "1v1" })).await);
    }
    let (status, slowed) = answers.last().unwrap();
    assert_eq!((*status, slowed["code"].as_str()), (429, Some("A0114")), "{slowed}");
    assert!(slowed["retry_after_ms"].as_u64().unwrap() <= 10_000);
    assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), TICKETS_PER_10_S as usize - 1);
    house.queue(&bob, "1v1").await;
}
