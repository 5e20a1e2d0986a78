use amphi_shared_edge::service::ServiceFailure;
use amphi_shared_wire::Code;
use amphi_shared_wire::proto::{MatchResult, PlayerResult};
use serde_json::{Value, json};

use crate::house::{House, Person};

fn player(team: u32, user: &str) -> PlayerResult {
    PlayerResult {
        team,
        user: user.to_owned(),
        bot: user.is_empty(),
        present_permille: 1_000,
        ..PlayerResult::default()
    }
}

fn result(match_id: &Value, team_scores: &[u32], players: Vec<PlayerResult>) -> MatchResult {
    MatchResult {
        match_id: match_id.as_str().unwrap().to_owned(),
        version: 1,
        app: "default".to_owned(),
        mode: "2v2".to_owned(),
        team_scores: team_scores.to_vec(),
        players,
        outcome: "finished".to_owned(),
        ..MatchResult::default()
    }
}

async fn rating(house: &House, person: &Person) -> Option<(f64, u64)> {
    let (status, body) = house.get(person, "/api/v1/ratings/me").await;
    assert_eq!(status, 200);
    let row = body["ratings"].as_array().unwrap().iter().find(|row| row["mode"] == "2v2")?;
    assert!(row["uncertainty"].as_f64().unwrap() < 25.0 / 3.0);
    Some((row["rating"].as_f64().unwrap(), row["matches"].as_u64().unwrap()))
}

#[tokio::test]
async fn a_result_counts_once_and_frees_its_players() {
    let house = House::open().await;
    let (ann, bob) = (house.person(1, "Ann"), house.person(2, "Bob"));
    let grant = house.matched(&ann).await;
    let mut over =
        result(&grant["match_id"], &[3, 1], vec![player(0, &ann.id), player(0, ""), player(1, &bob.id), player(1, "")]);
    assert!(house.result(&over).await.unwrap().counted);
    let (winner, loser) = (rating(&house, &ann).await.unwrap(), rating(&house, &bob).await.unwrap());
    assert!(winner.0 > 25.0 && loser.0 < 25.0, "{winner:?} {loser:?}");
    assert!(!house.result(&over).await.unwrap().counted);
    over.version = 2;
    assert!(house.result(&over).await.unwrap().counted, "another version is another result");
    assert_eq!(rating(&house, &ann).await, Some(winner), "but a match is rated once");
    assert_eq!(winner.1, 1);
    let next = house.matched(&ann).await;
    assert_ne!(next["match_id"], grant["match_id"], "its players are free");
}

#[tokio::test]
async fn only_finished_matches_and_people_who_were_there_are_rated() {
    let house = House::open().await;
    let (ann, bob) = (house.person(1, "Ann"), house.person(2, "Bob"));
    let lost = MatchResult {
        outcome: "lost".to_owned(),
        ..result(&json!("mch_00000000000000000000000001"), &[1, 0], vec![player(0, &ann.id), player(1, "")])
    };
    assert!(house.result(&lost).await.unwrap().counted);
    let absent = PlayerResult { present_permille: 50, ..player(1, &bob.id) };
    let finished = result(&json!("mch_00000000000000000000000002"), &[1, 0], vec![player(0, &ann.id), absent]);
    assert!(house.result(&finished).await.unwrap().counted);
    assert_eq!(rating(&house, &ann).await.map(|(_, matches)| matches), Some(1));
    assert_eq!(rating(&house, &bob).await, None);
}

#[tokio::test]
async fn strange_results_are_refused_or_change_nothing() {
    let house = House::open().await;
    let ann = house.person(1, "Ann");
    let id = json!("mch_00000000000000000000000001");
    let refused = |failure: ServiceFailure| failure.code();
    let nameless = MatchResult { match_id: "x".to_owned(), ..result(&id, &[], vec![]) };
    assert_eq!(house.result(&nameless).await.map_err(refused), Err(Code::RequestInvalid));
    let foreign = MatchResult { app: "shop".to_owned(), ..result(&id, &[], vec![]) };
    assert_eq!(house.result(&foreign).await.map_err(refused), Err(Code::TokenWrongApp));
    let crowded = result(&id, &[1, 0], vec![player(0, ""); 65]);
    assert_eq!(house.result(&crowded).await.map_err(refused), Err(Code::RequestInvalid));
    let odd = result(&id, &[1], vec![player(7, &ann.id), player(0, &ann.id), player(0, "nobody")]);
    assert!(house.result(&odd).await.unwrap().counted, "an unknown team, one person twice, an id that is none");
    let no_teams = result(&json!("mch_00000000000000000000000003"), &[], vec![player(0, &ann.id)]);
    assert!(house.result(&no_teams).await.unwrap().counted);
}
