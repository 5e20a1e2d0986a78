use serde_json::{Value, json};

use crate::house::House;

fn seat_of(grant: &Value) -> String {
    format!("/api/v1/matches/{}/seat", grant["match_id"].as_str().unwrap())
}

#[tokio::test]
async fn a_person_takes_the_seat_of_a_bot_in_the_team_with_fewer_people() {
    let house = House::open().await;
    let (ann, bob) = (house.person(1, "Ann"), house.person(2, "Bob"));
    let running = house.matched(&ann).await;
    let match_id = running["match_id"].as_str().unwrap();
    house.fleet.set_roster(match_id, &[(0, &ann.id), (0, ""), (1, ""), (1, "")]);
    let (status, grant) = house.post(&bob, &seat_of(&running), &json!({})).await;
    assert_eq!((status, &grant["team"]), (200, &json!(1)), "{grant}");
    let token = house.connect_token(&grant);
    assert_eq!((token.match_id.to_string().as_str(), token.team), (match_id, Some(1)));
    let (_, wanted) = house.post(&house.person(3, "Cem"), &seat_of(&running), &json!({ "team": 0 })).await;
    assert_eq!(wanted["team"], 0);
    let (_, again) = house.post_raw(&bob, &seat_of(&running), "").await;
    assert_eq!(again["team"], 1, "asking again is coming back");
}

#[tokio::test]
async fn a_seat_is_refused_when_there_is_none() {
    let house = House::open().await;
    let (ann, bob) = (house.person(1, "Ann"), house.person(2, "Bob"));
    let running = house.matched(&ann).await;
    let (path, match_id) = (seat_of(&running), running["match_id"].as_str().unwrap());
    house.fleet.set_roster(match_id, &[(0, &ann.id), (1, "usr_other")]);
    let code = |(status, problem): (u16, Value)| (status, problem["code"].as_str().unwrap().to_owned());
    assert_eq!(code(house.post(&bob, &path, &json!({})).await), (409, "A0209".to_owned()));
    house.fleet.set_roster(match_id, &[(0, ""), (1, "usr_other")]);
    assert_eq!(code(house.post(&bob, &path, &json!({ "team": 1 })).await), (409, "A0209".to_owned()));
    assert_eq!(code(house.post(&bob, &path, &json!({ "team": 2 })).await).0, 400);
    house.fleet.set_state(match_id, "starting");
    house.fleet.set_roster(match_id, &[]);
    let (status, problem) = house.post(&bob, &path, &json!({})).await;
    assert_eq!((status, &problem["retry_after_ms"]), (503, &json!(500)), "{problem}");
    house.fleet.set_state(match_id, "ended");
    assert_eq!(code(house.post(&bob, &path, &json!({})).await), (410, "A0210".to_owned()));
    let unknown = "/api/v1/matches/mch_00000000000000000000000009/seat";
    assert_eq!(code(house.post(&bob, unknown, &json!({})).await), (404, "A0207".to_owned()));
}

#[tokio::test]
async fn nobody_takes_a_seat_beside_another_match() {
    let house = House::open().await;
    let (ann, bob) = (house.person(1, "Ann"), house.person(2, "Bob"));
    let (of_ann, of_bob) = (house.matched(&ann).await, house.matched(&bob).await);
    house.fleet.set_roster(of_ann["match_id"].as_str().unwrap(), &[(0, &ann.id), (1, "")]);
    let (status, problem) = house.post(&bob, &seat_of(&of_ann), &json!({})).await;
    assert_eq!((status, &problem["code"]), (409, &json!("A0402")), "{problem}");
    house.fleet.set_state(of_bob["match_id"].as_str().unwrap(), "lost");
    assert_eq!(house.post(&bob, &seat_of(&of_ann), &json!({})).await.0, 200);
}

#[tokio::test]
async fn whoever_takes_a_seat_leaves_the_queue() {
    let house = House::open().await;
    let (ann, bob) = (house.person(1, "Ann"), house.person(2, "Bob"));
    let running = house.matched(&ann).await;
    house.fleet.set_roster(running["match_id"].as_str().unwrap(), &[(0, &ann.id), (1, "")]);
    let ticket = house.queue(&bob, "1v1").await;
    assert_eq!(house.post(&bob, &seat_of(&running), &json!({})).await.0, 200);
    assert_eq!(house.ended(&bob, &ticket).await["state"], "cancelled");
}
