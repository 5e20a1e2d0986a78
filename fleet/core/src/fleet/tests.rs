//! The fleet under scripts and under a seeded world in which hosts die, refuse and fall silent.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const SECOND: Micros = Micros::from_secs(1);

fn request(n: u64) -> (MatchId, AllocateRequest) {
    let id = MatchId::from_bits(u128::from(n));
    (
        id,
        AllocateRequest {
            match_id: id.to_string(),
            mode: "2v2".to_owned(),
            teams: 2,
            team_size: 2,
            ..Default::default()
        },
    )
}

fn outputs(fleet: &mut Fleet) -> Vec<Output> {
    std::iter::from_fn(|| fleet.poll_output()).collect()
}

fn started(outputs: &[Output]) -> Vec<(HostId, LeaseId)> {
    outputs
        .iter()
        .filter_map(|output| if let Output::StartHost { host, lease } = output { Some((*host, *lease)) } else { None })
        .collect()
}

fn asked(outputs: &[Output]) -> Vec<(HostId, String)> {
    outputs
        .iter()
        .filter_map(|output| {
            if let Output::CreateRoom { host, request } = output {
                Some((*host, request.match_id.clone()))
            } else {
                None
            }
        })
        .collect()
}

fn decided(outputs: &[Output]) -> Vec<(MatchId, Result<HostId, Code>)> {
    outputs
        .iter()
        .filter_map(|output| {
            if let Output::Allocated { match_id, outcome } = output { Some((*match_id, *outcome)) } else { None }
        })
        .collect()
}

fn results(outputs: &[Output]) -> Vec<(String, String)> {
    outputs
        .iter()
        .filter_map(|output| {
            if let Output::Result(result) = output {
                Some((result.match_id.clone(), result.outcome.clone()))
            } else {
                None
            }
        })
        .collect()
}

fn report(host: HostId, lease: LeaseId, sequence: u64, rooms: Vec<RoomReport>) -> HostReport {
    HostReport { host_id: host.to_string(), lease_id: lease.to_string(), sequence, rooms, ..Default::default() }
}

fn ended(match_id: MatchId) -> RoomReport {
    let result = MatchResult { match_id: match_id.to_string(), outcome: "finished".to_owned(), ..Default::default() };
    RoomReport { match_id: match_id.to_string(), state: "ended".to_owned(), result: Some(result), ..Default::default() }
}

/// A fleet with one ready host.
fn warm() -> (Fleet, HostId, LeaseId) {
    let mut fleet = Fleet::new(FleetConfig::default(), Seed(1));
    fleet.handle_timeout(SECOND);
    let (host, lease) = started(&outputs(&mut fleet))[0];
    fleet.handle_host_ready(SECOND, host, "http://127.0.0.1:1".to_owned(), Vec::new());
    outputs(&mut fleet);
    (fleet, host, lease)
}

#[test]
fn endpoints_that_a_host_reports_are_those_of_its_matches() {
    let (mut fleet, host, lease) = warm();
    let (id, ask) = request(7);
    fleet.handle_allocate(SECOND, id, ask);
    fleet.handle_room_created(id, host);
    outputs(&mut fleet);
    let endpoint = Endpoint { url: "ws://x/session".to_owned(), ..Endpoint::default() };
    let news = |sequence| HostReport { endpoints: vec![endpoint.clone()], ..report(host, lease, sequence, Vec::new()) };
    fleet.handle_report(SECOND, &news(1));
    let [Output::HostChanged { host: stored }, Output::MatchChanged { match_id }] = outputs(&mut fleet)[..] else {
        panic!("both are written down");
    };
    assert_eq!((stored, match_id), (host, id));
    assert_eq!(fleet.match_record(id).unwrap().info().endpoints, std::slice::from_ref(&endpoint));
    fleet.handle_report(SECOND, &news(2));
    fleet.handle_report(SECOND, &report(host, lease, 3, Vec::new()));
    assert!(outputs(&mut fleet).is_empty());
    assert_eq!(fleet.host(host).unwrap().endpoints, [endpoint]);
}

#[test]
fn a_match_goes_from_request_to_result() {
    let (mut fleet, host, lease) = warm();
    let (id, ask) = request(7);
    fleet.handle_allocate(SECOND, id, ask.clone());
    assert_eq!(asked(&outputs(&mut fleet)), [(host, id.to_string())]);
    fleet.handle_room_created(id, host);
    assert_eq!(decided(&outputs(&mut fleet)), [(id, Ok(host))]);

    fleet.handle_allocate(SECOND, id, ask);
    assert_eq!(decided(&outputs(&mut fleet)), [(id, Ok(host))], "asking again gives the same host");

    let answer = fleet.handle_report(SECOND, &report(host, lease, 1, vec![ended(id)]));
    assert_eq!(answer, ReportAnswer { lease_valid: true, drain: false });
    assert_eq!(results(&outputs(&mut fleet)), [(id.to_string(), "finished".to_owned())]);
    assert_eq!(fleet.host(host).unwrap().rooms_free(), 8);
}

#[test]
fn a_dead_host_loses_its_matches_and_is_replaced() {
    let (mut fleet, host, _) = warm();
    let (id, ask) = request(1);
    fleet.handle_allocate(SECOND, id, ask);
    fleet.handle_room_created(id, host);
    outputs(&mut fleet);
    fleet.handle_host_exited(SECOND, host);
    let said = outputs(&mut fleet);
    assert_eq!(results(&said), [(id.to_string(), "lost".to_owned())]);
    assert_eq!(started(&said).len(), 1, "a warm host takes its place");
}

#[test]
fn an_allocation_outlives_a_host_that_dies_before_it_has_the_room() {
    let (mut fleet, host, _) = warm();
    let (id, ask) = request(1);
    fleet.handle_allocate(SECOND, id, ask);
    outputs(&mut fleet);
    fleet.handle_host_exited(SECOND, host);
    let (next, _) = started(&outputs(&mut fleet))[0];
    fleet.handle_host_ready(SECOND, next, String::new(), Vec::new());
    assert_eq!(asked(&outputs(&mut fleet)), [(next, id.to_string())]);
}

#[test]
fn a_program_that_never_starts_is_tried_again_ever_more_slowly() {
    let mut fleet = Fleet::new(FleetConfig::default(), Seed(1));
    let mut now = SECOND;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        fleet.handle_timeout(now);
        let (host, _) = started(&outputs(&mut fleet))[0];
        fleet.handle_host_exited(now, host);
        assert!(started(&outputs(&mut fleet)).is_empty());
        let (at, why) = fleet.poll_timeout().unwrap();
        assert_eq!(why, "host restart");
        pauses.push(at.since(now).as_millis());
        now = at;
    }
    assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
}

#[test]
fn silence_ends_a_lease() {
    let (mut fleet, host, lease) = warm();
    let (at, why) = fleet.poll_timeout().unwrap();
    assert_eq!((at, why), (SECOND + Micros::from_secs(6), "host lease"));
    fleet.handle_timeout(at);
    assert!(outputs(&mut fleet).iter().any(|o| matches!(o, Output::KillHost { host: h } if *h == host)));
    let answer = fleet.handle_report(at, &report(host, lease, 1, Vec::new()));
    assert!(!answer.lease_valid);
    assert_eq!(fleet.stats().reports_refused, 1);
}

#[test]
fn a_busy_host_gets_a_room_only_when_no_other_comes_in_time() {
    let (mut fleet, host, lease) = warm();
    let slow =
        RoomReport { match_id: request(9).0.to_string(), tick_hz: 60, tick_us_p99: 16_000, ..Default::default() };
    fleet.handle_report(SECOND, &report(host, lease, 1, vec![slow]));
    let (id, ask) = request(1);
    fleet.handle_allocate(SECOND, id, ask);
    let said = outputs(&mut fleet);
    assert!(asked(&said).is_empty());
    assert_eq!(started(&said).len(), 1, "its free rooms do not count, so another host is started");
    let patience = SECOND + Micros::from_secs(3);
    assert_eq!(fleet.poll_timeout(), Some((patience, "busy hosts")));
    fleet.handle_timeout(patience);
    assert_eq!(asked(&outputs(&mut fleet)), [(host, id.to_string())]);
    assert!(fleet.poll_timeout().unwrap().0 > patience);
}

#[test]
fn a_drained_fleet_takes_nothing_and_empties() {
    let (mut fleet, host, lease) = warm();
    fleet.drain(SECOND);
    let (id, ask) = request(1);
    fleet.handle_allocate(SECOND, id, ask);
    let said = outputs(&mut fleet);
    assert!(said.iter().any(|o| matches!(o, Output::DrainHost { host: h } if *h == host)));
    assert_eq!(decided(&said), [(id, Err(Code::Draining))]);
    assert!(fleet.handle_report(SECOND, &report(host, lease, 1, Vec::new())).drain);
    fleet.handle_host_exited(SECOND, host);
    assert!(started(&outputs(&mut fleet)).is_empty());
    assert!(fleet.is_empty());
}

#[test]
fn a_restarted_fleet_takes_back_hosts_that_report() {
    let (mut fleet, host, lease) = warm();
    let (id, ask) = request(1);
    fleet.handle_allocate(SECOND, id, ask);
    fleet.handle_room_created(id, host);
    let hosts = fleet.hosts().cloned().collect();
    let matches = fleet.matches().cloned().collect();

    let mut next = Fleet::new(FleetConfig::default(), Seed(2));
    next.restore(SECOND, hosts, matches);
    assert!(next.handle_report(SECOND, &report(host, lease, 5, vec![ended(id)])).lease_valid);
    assert_eq!(results(&outputs(&mut next)), [(id.to_string(), "finished".to_owned())]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever dies, refuses or falls silent: every match is decided, none runs on two hosts, and no host is overfull.
    #[test]
    fn every_match_is_decided_once(seed: u64) {
        let mut rng = Seed(seed).rng();
        let config = FleetConfig { hosts_max: 3, rooms_per_host: 2, warm_rooms: 1, ..FleetConfig::default() };
        let mut fleet = Fleet::new(config, Seed(seed));
        let mut now = SECOND;
        let mut leases: Vec<(HostId, LeaseId)> = Vec::new();
        let mut waiting = BTreeSet::new();
        let mut running: BTreeSet<(MatchId, HostId)> = BTreeSet::new();
        let mut sequence = 0;
        for step in 0..400_u64 {
            now += Micros::from_millis(rng.below(400));
            sequence += 1;
            match rng.below(6) {
                0 if step < 300 => {
                    let (id, ask) = request(step + 1);
                    waiting.insert(id);
                    fleet.handle_allocate(now, id, ask);
                }
                1 if rng.chance(200) && !leases.is_empty() => {
                    let (host, _) = leases.swap_remove(rng.below(leases.len() as u64) as usize);
                    running.retain(|(_, on)| *on != host);
                    fleet.handle_host_exited(now, host);
                }
                2..=4 => {
                    for (host, lease) in &leases {
                        let over: Vec<MatchId> =
                            running.iter().filter(|(_, on)| on == host).map(|(id, _)| *id).filter(|_| rng.chance(300)).collect();
                        running.retain(|(id, _)| !over.contains(id));
                        let rooms = over.into_iter().map(ended).collect();
                        fleet.handle_report(now, &report(*host, *lease, sequence, rooms));
                    }
                }
                _ => fleet.handle_timeout(now),
            }
            while let Some(output) = fleet.poll_output() {
                match output {
                    Output::StartHost { host, lease } if rng.chance(800) => {
                        leases.push((host, lease));
                        fleet.handle_host_ready(now, host, String::new(), Vec::new());
                    }
                    Output::StartHost { host, .. } => fleet.handle_host_exited(now, host),
                    Output::KillHost { host } => {
                        leases.retain(|(id, _)| *id != host);
                        running.retain(|(_, on)| *on != host);
                    }
                    Output::CreateRoom { host, request } => {
                        let id: MatchId = request.match_id.parse().unwrap();
                        if rng.chance(800) {
                            fleet.handle_room_created(id, host);
                        } else {
                            fleet.handle_room_refused(now, id, host);
                        }
                    }
                    Output::Allocated { match_id, outcome } => {
                        prop_assert!(waiting.remove(&match_id), "decided twice");
                        if let Ok(host) = outcome {
                            prop_assert!(running.iter().all(|(id, _)| *id != match_id));
                            running.insert((match_id, host));
                        }
                    }
                    Output::DrainHost { .. } | Output::HostChanged { .. } | Output::MatchChanged { .. } | Output::Result(_) => {}
                }
                prop_assert!(fleet.hosts().count() <= 3);
                prop_assert!(fleet.hosts().all(|host| host.rooms.len() <= host.rooms_max));
            }
        }
        for _ in 0..8 {
            now += Micros::from_secs(20);
            fleet.handle_timeout(now);
            for output in outputs(&mut fleet) {
                if let Output::Allocated { match_id, .. } = output {
                    waiting.remove(&match_id);
                }
            }
        }
        prop_assert!(waiting.is_empty(), "undecided: {waiting:?}");
    }
}
