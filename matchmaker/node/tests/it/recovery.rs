use amphi_shared_wire::Code;
use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn the_queue_outlives_its_process() {
    let house = House::open().await;
    let (ann, bob) = (house.person(1, "Ann"), house.person(2, "Bob"));
    let ticket_a = house.queue(&ann, "1v1").await;
    let house = house.restart().await;
    let (_, body) = house.get(&ann, &ticket_a).await;
    assert_eq!(body["state"], "queued", "{body}");
    let ticket_b = house.queue(&bob, "1v1").await;
    let (a, b) = tokio::join!(house.ended(&ann, &ticket_a), house.ended(&bob, &ticket_b));
    assert_eq!(a["match"]["match_id"], b["match"]["match_id"]);
    assert_eq!(a["state"], "matched");
}

#[tokio::test]
async fn a_claim_without_a_host_is_asked_for_again_after_a_restart() {
    let house = House::open().await;
    house.fleet.refuse(&[Code::Unavailable; 50]);
    let ann = house.person(1, "Ann");
    let ticket = house.queue(&ann, "2v2").await;
    house.fleet.asked().await;
    let (status, problem) = house.post(&ann, "/api/v1/matchmaking/queue", &json!({ "mode": "1v1" })).await;
    assert_eq!((status, &problem["code"]), (409, &json!("A0402")), "a claimed player waits for that match");
    let house = house.restart().await;
    house.fleet.stop_refusing();
    let ended = house.ended(&ann, &ticket).await;
    assert_eq!(ended["state"], "matched", "{ended}");
    let asked = house.fleet.allocations();
    assert!(asked.len() > 1 && asked.iter().all(|request| request.match_id == asked[0].match_id));
    assert_eq!(ended["match"]["match_id"], asked[0].match_id.as_str());
}

#[tokio::test]
async fn a_matched_ticket_is_still_known_after_a_restart() {
    let house = House::open().await;
    let ann = house.person(1, "Ann");
    let ticket = house.queue(&ann, "2v2").await;
    let before = house.ended(&ann, &ticket).await;
    let house = house.restart().await;
    let after = house.ended(&ann, &ticket).await;
    assert_eq!(after["match"]["match_id"], before["match"]["match_id"]);
    assert_eq!(after["match"]["team"], before["match"]["team"]);
}

#[tokio::test]
async fn whoever_leaves_a_claim_is_free_and_the_claim_is_given_up() {
    let house = House::open().await;
    house.fleet.refuse(&[Code::Unavailable; 50]);
    let ann = house.person(1, "Ann");
    let ticket = house.queue(&ann, "2v2").await;
    house.fleet.asked().await;
    assert_eq!(house.delete(&ann, &ticket).await.0, 204);
    let house = house.restart().await;
    house.fleet.stop_refusing();
    let first = house.fleet.allocations()[0].match_id.clone();
    assert_ne!(house.matched(&ann).await["match_id"], first.as_str());
}

#[tokio::test]
async fn a_drained_role_answers_whoever_waits_and_ends() {
    let house = House::open().await;
    let ann = house.person(1, "Ann");
    let ticket = house.queue(&ann, "1v1").await;
    let path = format!("{ticket}?wait_ms=20000");
    let waiting = house.get(&ann, &path);
    let ending = async {
        house.shutdown.trigger();
        house.role.finished().await;
    };
    let ((status, body), ()) = tokio::join!(waiting, ending);
    assert!(status == 200 || body["code"] == "A0116", "{status} {body}");
    assert_eq!(house.role.overview().await, amphi_matchmaker_node::MatchOverview::default());
}
