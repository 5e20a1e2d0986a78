//! Seeded days of a match role that is ended again and again: whatever happens, nobody may enter two running matches.

use std::collections::{BTreeMap, BTreeSet};

use amphi_shared_wire::proto::MatchResult;
use amphi_shared_wire::{Code, Rng, Seed};
use serde_json::{Value, json};

use crate::house::{House, Person};

const PEOPLE: u64 = 5;
const STEPS: usize = 80;

/// What happened so far, as the people and the fleet know it.
#[derive(Default)]
struct Day {
    tickets: BTreeMap<String, String>,
    /// Matches that each person holds a token for.
    entered: BTreeMap<String, BTreeSet<String>>,
    running: BTreeSet<String>,
    grants: usize,
}

impl Day {
    fn got(&mut self, person: &Person, grant: &Value) {
        self.grants += 1;
        let match_id = grant["match_id"].as_str().unwrap().to_owned();
        self.entered.entry(person.id.clone()).or_default().insert(match_id);
    }

    fn check(&self, seed: u64) {
        for (person, entered) in &self.entered {
            let open: Vec<&String> = entered.intersection(&self.running).collect();
            assert!(open.len() <= 1, "seed {seed}: {person} may enter {open:?}");
        }
    }
}

async fn step(house: &House, day: &mut Day, rng: &mut Rng) {
    let person = house.person(u128::from(rng.below(PEOPLE)), "Someone");
    match rng.below(10) {
        0..=2 => {
            let mode = if rng.chance(300) { "1v1" } else { "2v2" };
            let (status, ticket) = house.post(&person, "/api/v1/matchmaking/queue", &json!({ "mode": mode })).await;
            if matches!(status, 200 | 201) {
                let path = format!("/api/v1/matchmaking/queue/{}", ticket["ticket"].as_str().unwrap());
                day.tickets.insert(person.id.clone(), path);
                if ticket["match"].is_object() {
                    day.got(&person, &ticket["match"]);
                }
            }
        }
        3..=5 => {
            if let Some(ticket) = day.tickets.get(&person.id) {
                let (_, body) = house.get(&person, &format!("{ticket}?wait_ms=200")).await;
                if body["match"].is_object() {
                    day.got(&person, &body["match"]);
                }
            }
        }
        6 => {
            if let Some(ticket) = day.tickets.get(&person.id) {
                house.delete(&person, ticket).await;
            }
        }
        7 | 8 => {
            let Some(match_id) = pick(&day.running, rng) else { return };
            let (status, grant) = house.post(&person, &format!("/api/v1/matches/{match_id}/seat"), &json!({})).await;
            if status == 200 {
                day.got(&person, &grant);
            }
        }
        _ => {
            let Some(match_id) = pick(&day.running, rng) else { return };
            house.fleet.set_state(&match_id, "ended");
            day.running.remove(&match_id);
            let result = MatchResult {
                match_id,
                version: 1,
                app: "default".to_owned(),
                mode: "2v2".to_owned(),
                outcome: "finished".to_owned(),
                ..MatchResult::default()
            };
            house.result(&result).await.unwrap();
        }
    }
}

fn pick(matches: &BTreeSet<String>, rng: &mut Rng) -> Option<String> {
    matches.iter().nth(rng.below(matches.len() as u64) as usize).cloned()
}

#[tokio::test]
async fn nobody_enters_two_matches_however_often_the_process_ends() {
    let mut grants = 0;
    for seed in 0..4 {
        let mut rng = Seed(seed).rng();
        let (mut house, mut day) = (House::open().await, Day::default());
        for _ in 0..STEPS {
            if rng.chance(100) {
                house.fleet.refuse(&[Code::Unavailable]);
            }
            step(&house, &mut day, &mut rng).await;
            if rng.chance(80) {
                house = house.restart().await;
            }
            day.running = house.fleet.running();
            day.check(seed);
        }
        grants += day.grants;
    }
    assert!(grants > 20, "only {grants} ways into a match were given out: the days were too quiet");
}
