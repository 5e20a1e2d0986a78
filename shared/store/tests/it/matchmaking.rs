use amphi_shared_store::{
    Claim, ClaimState, Conflict, Hold, Location, MatchStore, Player, Rating, RatingKey, StoredTicket, TicketState,
};
use amphi_shared_wire::proto::{AllocateReply, MatchResult};
use amphi_shared_wire::{AppId, Code, MatchId, Micros, TicketId, UserId};

use crate::NOW;

fn player(id: u128) -> Player {
    Player { user: UserId::from_bits(id), name: format!("<i>{id}</i>'; --") }
}

fn ticket(id: u128, players: &[u128]) -> StoredTicket {
    StoredTicket {
        ticket: TicketId::from_bits(id),
        app: AppId::default(),
        mode: "2v2".to_owned(),
        players: players.iter().copied().map(player).collect(),
        state: TicketState::Queued,
        match_id: None,
        code: 0,
        queued: NOW + Micros(id as u64),
    }
}

fn hold(match_id: u128, user: u128, team: u8) -> Hold {
    Hold {
        player: player(user),
        app: AppId::default(),
        match_id: MatchId::from_bits(match_id),
        team,
        held_until: NOW + Micros::from_secs(60),
    }
}

fn claim(match_id: u128, users: &[u128]) -> Claim {
    Claim {
        match_id: MatchId::from_bits(match_id),
        app: AppId::default(),
        mode: "2v2".to_owned(),
        state: ClaimState::Claimed,
        holds: users.iter().map(|user| hold(match_id, *user, 0)).collect(),
        allocation: AllocateReply::default(),
        created: NOW + Micros(match_id as u64),
    }
}

fn key(user: u128) -> RatingKey {
    RatingKey { app: AppId::default(), mode: "2v2".to_owned(), user: UserId::from_bits(user) }
}

async fn opened(location: &Location) -> MatchStore {
    MatchStore::open(location).await.expect("opened")
}

async fn state(store: &MatchStore, id: u128) -> TicketState {
    store.ticket(TicketId::from_bits(id)).await.expect("read").expect("known").state
}

pub(crate) async fn tickets(location: &Location) {
    let store = opened(location).await;
    for ticket in [ticket(2, &[3]), ticket(1, &[2, 1]), ticket(3, &[4])] {
        store.add_ticket(&ticket).await.expect("added");
    }
    assert_eq!(store.ticket(TicketId::from_bits(1)).await.expect("read"), Some(ticket(1, &[2, 1])));
    assert_eq!(store.ticket(TicketId::from_bits(9)).await.expect("read"), None);
    let id = TicketId::from_bits(2);
    let code = Code::NoCapacity.number();
    assert!(store.end_ticket(id, TicketState::Cancelled, code, NOW).await.expect("ended"));
    assert!(!store.end_ticket(id, TicketState::Failed, 0, NOW).await.expect("asked"), "a ticket ends once");
    let ended = store.ticket(id).await.expect("read").expect("known");
    assert_eq!((ended.state, ended.code), (TicketState::Cancelled, code));
    assert_eq!(store.waiting_tickets().await.expect("read"), [ticket(1, &[2, 1]), ticket(3, &[4])]);
    store.close().await;
}

pub(crate) async fn claims(location: &Location) {
    let store = opened(location).await;
    for id in 1..=3 {
        store.add_ticket(&ticket(id, &[id])).await.expect("added");
    }
    let ids: Vec<TicketId> = (1..=3).map(TicketId::from_bits).collect();
    store.claim(&claim(1, &[1, 2]), &ids[..2]).await.expect("asked").expect("claimed");
    assert_eq!(state(&store, 1).await, TicketState::Claimed);
    assert_eq!(store.open_claims().await.expect("read"), [claim(1, &[1, 2])]);
    let conflict = store.claim(&claim(2, &[3, 1]), &[ids[2], ids[0]]).await.expect("asked");
    assert_eq!(conflict, Err(Conflict::Ticket(ids[0])), "a ticket is claimed once");
    assert_eq!(state(&store, 3).await, TicketState::Queued, "a refused claim changes nothing");
    let reply = AllocateReply { host_id: "hst".to_owned(), ..AllocateReply::default() };
    let until = NOW + Micros::from_secs(99);
    assert!(store.allocated(MatchId::from_bits(1), &reply, until, NOW).await.expect("allocated"));
    assert!(!store.allocated(MatchId::from_bits(1), &reply, until, NOW).await.expect("asked"), "once");
    let known = store.claim_of(MatchId::from_bits(1)).await.expect("read").expect("known");
    assert_eq!((known.state, known.allocation), (ClaimState::Allocated, reply));
    assert!(known.holds.iter().all(|hold| hold.held_until == until));
    assert_eq!(state(&store, 2).await, TicketState::Matched);
    assert!(!store.release(MatchId::from_bits(1), 404, NOW).await.expect("asked"), "a running match is not released");
    store.claim(&claim(2, &[3]), &ids[2..]).await.expect("asked").expect("claimed");
    assert!(store.release(MatchId::from_bits(2), 404, NOW).await.expect("released"));
    let failed = store.ticket(ids[2]).await.expect("read").expect("known");
    assert_eq!((failed.state, failed.code), (TicketState::Failed, 404));
    assert_eq!(store.hold(&AppId::default(), UserId::from_bits(3)).await.expect("read"), None, "its player is free");
    assert_eq!(store.open_claims().await.expect("read"), []);
    store.add_ticket(&ticket(4, &[4])).await.expect("added");
    store.claim(&claim(3, &[4]), &[TicketId::from_bits(4)]).await.expect("asked").expect("claimed");
    assert!(store.end_ticket(TicketId::from_bits(4), TicketState::Cancelled, 0, NOW).await.expect("ended"));
    assert_eq!(store.hold(&AppId::default(), UserId::from_bits(4)).await.expect("read"), None, "who leaves is free");
    assert!(store.allocated(MatchId::from_bits(3), &AllocateReply::default(), until, NOW).await.expect("allocated"));
    assert_eq!(state(&store, 4).await, TicketState::Cancelled, "and stays out");
    assert_eq!(store.claim_of(MatchId::from_bits(9)).await.expect("read"), None);
    store.close().await;
}

pub(crate) async fn one_match_per_player(location: &Location) {
    let store = opened(location).await;
    store.add_ticket(&ticket(1, &[1])).await.expect("added");
    store.add_ticket(&ticket(2, &[1, 2])).await.expect("added");
    store.claim(&claim(1, &[1]), &[TicketId::from_bits(1)]).await.expect("asked").expect("claimed");
    let conflict = store.claim(&claim(2, &[2, 1]), &[TicketId::from_bits(2)]).await.expect("asked");
    assert_eq!(conflict, Err(Conflict::Player(UserId::from_bits(1), MatchId::from_bits(1))));
    let app = AppId::default();
    assert_eq!(store.hold(&app, UserId::from_bits(2)).await.expect("read"), None, "nobody of it is held");
    assert_eq!(state(&store, 2).await, TicketState::Queued);
    let seat = store.put_hold(&hold(3, 1, 1)).await.expect("asked");
    assert_eq!(seat, Err(Conflict::Player(UserId::from_bits(1), MatchId::from_bits(1))));
    store.put_hold(&hold(1, 1, 1)).await.expect("asked").expect("the same match again");
    assert_eq!(store.hold(&app, UserId::from_bits(1)).await.expect("read"), Some(hold(1, 1, 1)));
    store.release_hold(&app, UserId::from_bits(1), MatchId::from_bits(9)).await.expect("asked");
    assert!(store.hold(&app, UserId::from_bits(1)).await.expect("read").is_some(), "only from the match it is in");
    store.release_hold(&app, UserId::from_bits(1), MatchId::from_bits(1)).await.expect("released");
    store.put_hold(&hold(3, 1, 1)).await.expect("asked").expect("free for another match");
    store.close().await;
}

pub(crate) async fn ratings(location: &Location) {
    let store = opened(location).await;
    store.add_ticket(&ticket(1, &[1])).await.expect("added");
    store.claim(&claim(1, &[1]), &[TicketId::from_bits(1)]).await.expect("asked").expect("claimed");
    store.allocated(MatchId::from_bits(1), &AllocateReply::default(), NOW, NOW).await.expect("allocated");
    let new = |rating| Rating { rating, uncertainty: 7.25, matches: 1, updated: NOW };
    let result = MatchResult { match_id: MatchId::from_bits(1).to_string(), version: 1, ..MatchResult::default() };
    let keys = [key(1), key(2)];
    let counted = store.count_result(&result, &keys, NOW, |old| {
        assert_eq!(old, [None, None]);
        vec![new(26.5), new(23.5)]
    });
    assert!(counted.await.expect("counted"));
    let again = store.count_result(&result, &keys, NOW, |_| panic!("a result is rated once"));
    assert!(!again.await.expect("asked"));
    let corrected = MatchResult { version: 2, ..result.clone() };
    let corrected = store.count_result(&corrected, &keys, NOW, |_| panic!("a match is rated once"));
    assert!(corrected.await.expect("counted"));
    assert_eq!(store.rating(&key(1)).await.expect("read"), Some(new(26.5)));
    assert_eq!(store.rating(&key(3)).await.expect("read"), None);
    let other = MatchResult { match_id: MatchId::from_bits(2).to_string(), ..result };
    let next = |old: &[Option<Rating>]| old.iter().map(|old| new(old.map_or(0.0, |old| old.rating + 1.0))).collect();
    assert!(store.count_result(&other, &keys, NOW, next).await.expect("counted"));
    let all = store.ratings_of(&AppId::default(), UserId::from_bits(1)).await.expect("read");
    assert_eq!(all, [("2v2".to_owned(), new(27.5))]);
    assert_eq!(store.hold(&AppId::default(), UserId::from_bits(1)).await.expect("read"), None, "the player is free");
    let ended = store.claim_of(MatchId::from_bits(1)).await.expect("read").expect("known");
    assert_eq!(ended.state, ClaimState::Ended);
    store.close().await;
}

pub(crate) async fn fences(location: &Location) {
    let first = opened(location).await;
    first.add_ticket(&ticket(1, &[1])).await.expect("added");
    let fence = first.fence();
    first.close().await;
    let second = opened(location).await;
    assert!(second.fence() > fence, "every opening raises the fence");
    assert_eq!(second.waiting_tickets().await.expect("read"), [ticket(1, &[1])], "the queue outlives its process");
    second.close().await;
}

pub(crate) async fn purge(location: &Location) {
    let store = opened(location).await;
    for id in 1..=3 {
        store.add_ticket(&ticket(id, &[id])).await.expect("added");
    }
    store.end_ticket(TicketId::from_bits(1), TicketState::Cancelled, 0, NOW).await.expect("ended");
    store.claim(&claim(1, &[2]), &[TicketId::from_bits(2)]).await.expect("asked").expect("claimed");
    let soon = NOW + Micros::from_secs(1);
    assert_eq!(store.purge(soon, NOW).await.expect("purged"), 2, "a ticket and its player");
    assert_eq!(store.waiting_tickets().await.expect("read").len(), 2, "what waits stays");
    assert_eq!(store.purge(NOW, soon).await.expect("purged"), 2, "a claim and its hold");
    assert_eq!(store.hold(&AppId::default(), UserId::from_bits(2)).await.expect("read"), None);
    store.close().await;
}
