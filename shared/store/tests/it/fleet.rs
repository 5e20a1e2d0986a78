use amphi_shared_store::{FleetStore, Location, StoredHost};
use amphi_shared_wire::proto::{HostReport, MatchInfo, MatchResult};
use amphi_shared_wire::{AppId, HostId, LeaseId, MatchId, Micros};

use crate::NOW;

fn host(id: u128) -> StoredHost {
    StoredHost {
        host: HostId::from_bits(id),
        lease: LeaseId::from_bits(id),
        app: AppId::default(),
        region: "eu".to_owned(),
        state: "starting".to_owned(),
        internal_url: String::new(),
        report: HostReport { host_id: HostId::from_bits(id).to_string(), rooms_max: 8, ..HostReport::default() },
        started: NOW + Micros(id as u64),
        reported: NOW,
    }
}

fn info(id: u128, state: &str) -> MatchInfo {
    MatchInfo {
        match_id: MatchId::from_bits(id).to_string(),
        app: "default".to_owned(),
        mode: "2v2".to_owned(),
        state: state.to_owned(),
        created_us: NOW.0 + id as u64,
        ..MatchInfo::default()
    }
}

fn result(id: u128, version: u32) -> MatchResult {
    MatchResult { match_id: MatchId::from_bits(id).to_string(), version, ..MatchResult::default() }
}

pub(crate) async fn hosts(location: &Location) {
    let store = FleetStore::open(location).await.expect("opened");
    store.put_host(&host(2)).await.expect("stored");
    store.put_host(&host(1)).await.expect("stored");
    assert_eq!(store.hosts().await.expect("read"), [host(1), host(2)]);
    let ready = StoredHost {
        state: "ready".to_owned(),
        internal_url: "http://127.0.0.1:9".to_owned(),
        lease: LeaseId::from_bits(7),
        ..host(1)
    };
    store.put_host(&ready).await.expect("stored");
    assert_eq!(store.hosts().await.expect("read"), [ready, host(2)]);
    store.remove_host(HostId::from_bits(1)).await.expect("removed");
    assert_eq!(store.hosts().await.expect("read"), [host(2)]);
    store.close().await;
}

pub(crate) async fn matches(location: &Location) {
    let store = FleetStore::open(location).await.expect("opened");
    assert_eq!(store.match_info(MatchId::from_bits(1)).await.expect("read"), None);
    for (id, state) in [(1, "starting"), (2, "running"), (3, "running"), (4, "ended"), (5, "lost")] {
        store.put_match(&info(id, state), NOW).await.expect("stored");
    }
    assert_eq!(store.match_info(MatchId::from_bits(2)).await.expect("read"), Some(info(2, "running")));
    let running = store.running_matches().await.expect("read");
    assert_eq!(running, [info(3, "running"), info(2, "running"), info(1, "starting")]);
    assert_eq!(store.recent_matches(10).await.expect("read"), [info(5, "lost"), info(4, "ended")]);
    assert_eq!(store.recent_matches(1).await.expect("read"), [info(5, "lost")]);
    store.put_match(&info(3, "ended"), NOW).await.expect("stored");
    assert_eq!(store.running_matches().await.expect("read"), [info(2, "running"), info(1, "starting")]);
    assert!(store.put_match(&MatchInfo::default(), NOW).await.is_err(), "a match has an id");
    store.close().await;
}

pub(crate) async fn results(location: &Location) {
    let store = FleetStore::open(location).await.expect("opened");
    assert!(store.record_result(&result(1, 1), NOW).await.expect("recorded"));
    assert!(!store.record_result(&result(1, 1), NOW).await.expect("asked"), "a result is recorded once");
    assert!(store.record_result(&result(1, 2), NOW + Micros(1)).await.expect("recorded"), "versions are apart");
    assert!(store.record_result(&result(2, 1), NOW + Micros(2)).await.expect("recorded"));
    assert_eq!(store.unforwarded_results(10).await.expect("read"), [result(1, 1), result(1, 2), result(2, 1)]);
    store.mark_forwarded(MatchId::from_bits(1), 2, NOW).await.expect("marked");
    assert_eq!(store.unforwarded_results(1).await.expect("read"), [result(1, 1)]);
    assert_eq!(store.unforwarded_results(10).await.expect("read"), [result(1, 1), result(2, 1)]);
    store.close().await;
}
