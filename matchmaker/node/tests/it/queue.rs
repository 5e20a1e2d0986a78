use amphi_shared_wire::{Code, Micros};
use serde_json::json;

use crate::house::{House, config};

#[tokio::test]
async fn two_people_meet_and_get_tokens_for_one_match() {
    let house = House::open().await;
    let (ann, bob) = (house.person(1, "Ann"), house.person(2, "Bob"));
    let (ticket_a, ticket_b) = (house.queue(&ann, "1v1").await, house.queue(&bob, "1v1").await);
    let (a, b) = tokio::join!(house.ended(&ann, &ticket_a), house.ended(&bob, &ticket_b));
    assert_eq!((&a["state"], &b["state"]), (&json!("matched"), &json!("matched")), "{a} {b}");
    let (token_a, token_b) = (house.connect_token(&a["match"]), house.connect_token(&b["match"]));
    assert_eq!(token_a.match_id, token_b.match_id);
    assert_eq!(token_a.match_id.to_string(), a["match"]["match_id"]);
    assert_ne!(token_a.id, token_b.id);
    assert_ne!(token_a.team, token_b.team);
    assert_eq!((token_a.name.as_str(), token_a.user.to_string()), ("Ann", ann.id.clone()));
    let endpoint = &a["match"]["endpoints"][0];
    assert_eq!(endpoint["url"], "quic://127.0.0.1:7001");
    assert_eq!(endpoint["cert_sha256"][0], "ab".repeat(32));
    let asked = house.fleet.allocations();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].teams, asked[0].team_size, asked[0].seats.len()), (2, 1, 2));
    let (_, again) = house.get(&ann, &ticket_a).await;
    let token = house.connect_token(&again["match"]);
    assert!(token.match_id == token_a.match_id && token.id != token_a.id, "a lost answer costs nothing");
    assert_eq!(house.role.overview().await.matched_total, 2);
}

#[tokio::test]
async fn bots_fill_at_once_when_the_mode_says_so() {
    let house = House::open().await;
    let ann = house.person(1, "Ann");
    let grant = house.matched(&ann).await;
    assert_eq!(house.connect_token(&grant).team.map(u64::from), grant["team"].as_u64());
    assert_eq!(house.fleet.allocations()[0].seats.len(), 1);
}

#[tokio::test]
async fn a_waiting_ticket_says_why_and_can_be_taken_back() {
    let house = House::open().await;
    let ann = house.person(1, "Ann");
    let ticket = house.queue(&ann, "1v1").await;
    let (status, body) = house.get(&ann, &format!("{ticket}?wait_ms=1")).await;
    assert_eq!((status, &body["state"]), (200, &json!("queued")));
    assert_eq!(body["explain"][0], "Nobody else is waiting: 1 of 2 players.");
    let overview = house.role.overview().await;
    assert_eq!((overview.queues[0].mode.as_str(), overview.queues[0].players), ("1v1", 1));
    let (status, problem) = house.post(&ann, "/api/v1/matchmaking/queue", &json!({ "mode": "2v2" })).await;
    assert_eq!((status, &problem["code"]), (409, &json!("A0402")), "one ticket at a time");
    let (status, same) = house.post(&ann, "/api/v1/matchmaking/queue", &json!({ "mode": "1v1" })).await;
    assert_eq!(status, 200, "whoever asks again gets the ticket back: {same}");
    assert!(ticket.ends_with(same["ticket"].as_str().unwrap()));
    assert_eq!(house.delete(&ann, &ticket).await.0, 204);
    assert_eq!(house.ended(&ann, &ticket).await["state"], "cancelled");
    let (status, problem) = house.delete(&ann, &ticket).await;
    assert_eq!((status, &problem["code"]), (409, &json!("A0408")));
    house.queue(&ann, "1v1").await;
}

#[tokio::test]
async fn a_long_poll_hears_the_end_of_its_ticket() {
    let house = House::open().await;
    let ann = house.person(1, "Ann");
    let ticket = house.queue(&ann, "1v1").await;
    let path = format!("{ticket}?wait_ms=20000");
    let (waited, cancelled) = tokio::join!(house.get(&ann, &path), house.delete(&ann, &ticket));
    assert_eq!((waited.1["state"].as_str(), cancelled.0), (Some("cancelled"), 204));
}

#[tokio::test]
async fn tickets_of_others_do_not_exist() {
    let house = House::open().await;
    let (ann, eve) = (house.person(1, "Ann"), house.person(2, "Eve"));
    let ticket = house.queue(&ann, "1v1").await;
    for (status, problem) in [house.get(&eve, &ticket).await, house.delete(&eve, &ticket).await] {
        assert_eq!((status, &problem["code"]), (404, &json!("A0401")));
    }
    house.delete(&ann, &ticket).await;
    assert_eq!(house.get(&eve, &ticket).await.0, 404, "nor when they have ended");
}

#[tokio::test]
async fn a_player_comes_back_to_a_running_match_and_queues_again_after_it() {
    let house = House::open().await;
    let ann = house.person(1, "Ann");
    let first = house.matched(&ann).await;
    let (status, back) = house.post(&ann, "/api/v1/matchmaking/queue", &json!({ "mode": "1v1" })).await;
    assert_eq!((status, &back["state"]), (201, &json!("matched")), "{back}");
    assert_eq!(back["match"]["match_id"], first["match_id"], "nobody is in two matches");
    let path = format!("/api/v1/matchmaking/queue/{}", back["ticket"].as_str().unwrap());
    assert_eq!(house.get(&ann, &path).await.1["match"]["match_id"], first["match_id"]);
    house.fleet.set_state(first["match_id"].as_str().unwrap(), "ended");
    let second = house.matched(&ann).await;
    assert_ne!(second["match_id"], first["match_id"]);
}

#[tokio::test]
async fn a_seat_nobody_came_for_binds_nobody_once_its_token_is_over() {
    let house =
        House::open_with(amphi_matchmaker_node::MatchRoleConfig { connect_token_life: Micros(0), ..config() }).await;
    let ann = house.person(1, "Ann");
    let ticket = house.queue(&ann, "2v2").await;
    house.ended(&ann, &ticket).await;
    let first = house.fleet.allocations()[0].match_id.clone();
    house.fleet.set_roster(&first, &[(0, ""), (1, "")]);
    let ticket = house.queue(&ann, "2v2").await;
    house.ended(&ann, &ticket).await;
    assert_ne!(house.fleet.allocations()[1].match_id, first);
    let second = house.fleet.allocations()[1].match_id.clone();
    house.fleet.set_roster(&second, &[(0, &ann.id), (1, "")]);
    let (_, back) = house.post(&ann, "/api/v1/matchmaking/queue", &json!({ "mode": "2v2" })).await;
    assert_eq!(back["match"]["match_id"], second.as_str(), "who sits in a match is in it");
}

#[tokio::test]
async fn without_a_host_the_ticket_fails_and_says_so() {
    let house = House::open().await;
    house.fleet.refuse(&[Code::NoCapacity]);
    let ann = house.person(1, "Ann");
    let ticket = house.queue(&ann, "2v2").await;
    let ended = house.ended(&ann, &ticket).await;
    assert_eq!((&ended["state"], &ended["code"]), (&json!("failed"), &json!("A0404")));
    assert_eq!(ended["explain"][0], "No host had room for the match; try again.");
    house.matched(&ann).await;
}

#[tokio::test]
async fn a_fleet_that_stumbles_is_asked_again_for_the_same_match() {
    let house = House::open().await;
    house.fleet.refuse(&[Code::Unavailable, Code::Draining]);
    let ann = house.person(1, "Ann");
    house.matched(&ann).await;
    let asked = house.fleet.allocations();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|request| *request == asked[0]));
}
