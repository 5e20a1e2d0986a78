use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{Latency, Player, Rating};

const START: Micros = Micros::from_secs(1_763_000_000);
const BOTS_AFTER: Micros = Micros::from_secs(3);

fn mode(name: &str, teams: u8, team_size: u8, bots: Bots) -> Mode {
    Mode { name: name.to_owned(), teams, team_size, duration_s: 180, bots }
}

fn matchmaker(bots: Bots) -> Matchmaker {
    let modes = [mode("1v1", 2, 1, bots), mode("2v2", 2, 2, bots)];
    Matchmaker::new(Config::default(), &modes, 7, Seed(1)).expect("good modes")
}

fn player(user: u128, mean: f64) -> Player {
    Player {
        user: UserId::from_bits(user),
        name: format!("<b>{user}</b>'; --"),
        rating: Rating { mean, uncertainty: 1.0 },
    }
}

fn ticket(id: u128, mode: &str, players: Vec<Player>) -> NewTicket {
    NewTicket {
        ticket: TicketId::from_bits(id),
        app: AppId::default(),
        mode: mode.to_owned(),
        players,
        latencies: Vec::new(),
        queued: START,
    }
}

fn solo(id: u128, mode: &str, mean: f64) -> NewTicket {
    ticket(id, mode, vec![player(id, mean)])
}

/// Runs everything that is due up to `until` and collects the claims.
fn run(matchmaker: &mut Matchmaker, until: Micros) -> Vec<Claim> {
    let mut claims = Vec::new();
    loop {
        while let Some(output) = matchmaker.poll_output() {
            match output {
                Output::Claim(claim) => claims.push(claim),
                Output::Ended(..) | Output::Changed(_) => {}
            }
        }
        match matchmaker.poll_timeout() {
            Some((at, _)) if at <= until => matchmaker.handle_timeout(at),
            Some(_) | None => return claims,
        }
    }
}

fn after_ms(ms: u64) -> Micros {
    START + Micros::from_millis(ms)
}

fn state(matchmaker: &Matchmaker, id: u128) -> TicketState {
    matchmaker.ticket(after_ms(1), TicketId::from_bits(id)).expect("known").state
}

fn text(matchmaker: &Matchmaker, now: Micros, id: u128) -> String {
    matchmaker.ticket(now, TicketId::from_bits(id)).expect("known").explain.join(" ")
}

#[test]
fn equals_meet_in_the_next_round() {
    let mut m = matchmaker(Bots::Never);
    for id in 1..=4 {
        m.handle_queue(START, solo(id, "2v2", 25.0)).expect("queued");
    }
    let claims = run(&mut m, after_ms(100));
    assert_eq!(claims.len(), 1);
    let claim = &claims[0];
    assert_eq!((claim.fence, claim.seats.len(), claim.tickets.len()), (7, 4, 4));
    assert_eq!(claim.seats.iter().filter(|seat| seat.team == 0).count(), 2);
    assert_eq!(claim.seats[0].name, "<b>1</b>'; --");
    m.handle_claim_written(after_ms(100), claim.match_id);
    m.handle_allocated(after_ms(200), claim.match_id);
    assert!((1..=4).all(|id| matches!(state(&m, id), TicketState::Matched(found, _) if found == claim.match_id)));
}

#[test]
fn the_window_widens_until_unequals_meet() {
    let mut m = matchmaker(Bots::Never);
    m.handle_queue(START, solo(1, "1v1", 20.0)).expect("queued");
    m.handle_queue(START, solo(2, "1v1", 30.0)).expect("queued");
    // 10 points apart; 2 + 0.5 (uncertainty) at once, 0.5 more per second: after 15 s.
    assert_eq!(run(&mut m, after_ms(14_000)), []);
    let said = text(&m, after_ms(5_000), 1);
    assert!(said.contains("1 of 2 players are within 5 rating points"), "{said}");
    assert!(said.contains("10 points away and comes into reach in 10 s"), "{said}");
    assert_eq!(run(&mut m, after_ms(15_200)).len(), 1);
}

#[test]
fn the_oldest_clock_decides_for_newcomers_too() {
    let mut m = matchmaker(Bots::Never);
    m.handle_queue(START, solo(1, "1v1", 20.0)).expect("queued");
    run(&mut m, after_ms(20_000));
    let late = NewTicket { queued: after_ms(20_000), ..solo(2, "1v1", 30.0) };
    m.handle_heard(after_ms(20_000), TicketId::from_bits(1));
    m.handle_queue(after_ms(20_000), late).expect("queued");
    assert_eq!(run(&mut m, after_ms(20_200)).len(), 1, "nobody's newness makes the oldest wait again");
}

#[test]
fn bots_fill_after_their_wait_or_at_once() {
    let mut m = matchmaker(Bots::After(BOTS_AFTER));
    m.handle_queue(START, solo(1, "2v2", 10.0)).expect("queued");
    m.handle_queue(START, solo(2, "2v2", 45.0)).expect("queued");
    assert!(text(&m, after_ms(1_000), 1).contains("Bots take the free seats in 2.0 s."));
    assert_eq!(run(&mut m, after_ms(2_900)), []);
    let claims = run(&mut m, after_ms(3_200));
    assert_eq!(claims.len(), 1, "a distant person is better than a bot");
    assert_eq!(claims[0].seats.len(), 2);
    assert_ne!(claims[0].seats[0].team, claims[0].seats[1].team);
    assert_eq!(m.stats().bot_seats_total, 2);

    let mut m = matchmaker(Bots::After(Micros(0)));
    m.handle_queue(START, solo(1, "2v2", 25.0)).expect("queued");
    assert_eq!(run(&mut m, after_ms(100)).len(), 1);
}

#[test]
fn a_party_plays_in_one_team() {
    let mut m = matchmaker(Bots::Never);
    m.handle_queue(START, ticket(1, "2v2", vec![player(1, 25.0), player(2, 25.0)])).expect("queued");
    m.handle_queue(START, solo(3, "2v2", 25.0)).expect("queued");
    m.handle_queue(START, ticket(4, "2v2", vec![player(4, 25.0), player(5, 25.0)])).expect("queued");
    let claims = run(&mut m, after_ms(100));
    let team = |user: u128| claims[0].seats.iter().find(|s| s.user == UserId::from_bits(user)).map(|s| s.team);
    assert_eq!((team(1), team(4)), (team(2), team(5)));
    assert_eq!(team(3), None, "the pairs fit together, the single does not");
    assert_eq!(state(&m, 3), TicketState::Queued);
}

#[test]
fn bad_tickets_are_refused() {
    let mut m = matchmaker(Bots::Never);
    assert_eq!(m.handle_queue(START, solo(1, "3v3", 25.0)), Err(Code::ModeUnknown));
    assert_eq!(m.handle_queue(START, ticket(1, "2v2", vec![])), Err(Code::RequestInvalid));
    let three = (1..=3).map(|id| player(id, 25.0)).collect();
    assert_eq!(m.handle_queue(START, ticket(1, "2v2", three)), Err(Code::RequestInvalid), "more than a team");
    let twice = vec![player(1, 25.0), player(1, 25.0)];
    assert_eq!(m.handle_queue(START, ticket(1, "2v2", twice)), Err(Code::RequestInvalid));
    m.handle_queue(START, solo(1, "2v2", 25.0)).expect("queued");
    assert_eq!(m.handle_queue(START, ticket(2, "1v1", vec![player(1, 25.0)])), Err(Code::AlreadyQueued));
    let elsewhere = NewTicket { app: "shop".parse().expect("an app"), ..ticket(3, "1v1", vec![player(1, 25.0)]) };
    assert_eq!(m.handle_queue(START, elsewhere), Ok(()), "apps do not know of each other");
    assert_eq!(m.handle_cancel(START, TicketId::from_bits(9)), Err(Code::TicketUnknown));

    let config = Config { tickets_max: 1, ..Config::default() };
    let mut m = Matchmaker::new(config, &[mode("1v1", 2, 1, Bots::Never)], 1, Seed(1)).expect("good modes");
    m.handle_queue(START, solo(1, "1v1", 25.0)).expect("queued");
    assert_eq!(m.handle_queue(START, solo(2, "1v1", 25.0)), Err(Code::QueueFull));
    assert_eq!(m.stats().queue_full_total, 1);
}

#[test]
fn bad_modes_are_refused() {
    let new = |modes: &[Mode]| Matchmaker::new(Config::default(), modes, 1, Seed(1)).err();
    assert_eq!(new(&[]), Some(ModeError::None));
    let good = mode("1v1", 2, 1, Bots::Never);
    assert_eq!(new(&[good.clone(), good]), Some(ModeError::Twice("1v1".to_owned())));
    assert_eq!(new(&[mode("A b", 2, 1, Bots::Never)]), Some(ModeError::Name("A b".to_owned())));
    assert_eq!(new(&[mode("big", 9, 9, Bots::Never)]), Some(ModeError::Seats("big".to_owned())));
    assert_eq!(new(&[mode("none", 2, 0, Bots::Never)]), Some(ModeError::Seats("none".to_owned())));
}

#[test]
fn silence_ends_a_ticket_and_asking_keeps_it() {
    let mut m = matchmaker(Bots::Never);
    m.handle_queue(START, solo(1, "1v1", 10.0)).expect("queued");
    m.handle_queue(START, solo(2, "1v1", 40.0)).expect("queued");
    run(&mut m, after_ms(20_000));
    m.handle_heard(after_ms(20_000), TicketId::from_bits(2));
    run(&mut m, after_ms(30_100));
    assert_eq!(state(&m, 1), TicketState::Cancelled(CancelReason::Silence));
    assert_eq!(state(&m, 2), TicketState::Queued);
    assert_eq!(m.handle_cancel(after_ms(30_100), TicketId::from_bits(1)), Err(Code::TicketEnded));
    m.handle_cancel(after_ms(30_200), TicketId::from_bits(2)).expect("cancelled");
    run(&mut m, after_ms(100_000));
    assert_eq!(m.ticket(after_ms(100_000), TicketId::from_bits(1)), None, "ended tickets are forgotten");
    assert_eq!(m.poll_timeout(), None, "an empty queue asks for no time");
}

#[test]
fn a_refused_claim_costs_only_the_ticket_in_the_way() {
    let mut m = matchmaker(Bots::Never);
    m.handle_queue(START, solo(1, "1v1", 25.0)).expect("queued");
    m.handle_queue(START, solo(2, "1v1", 25.0)).expect("queued");
    let claim = run(&mut m, after_ms(100)).remove(0);
    let culprit = (TicketId::from_bits(1), Code::AlreadyQueued);
    m.handle_claim_refused(after_ms(150), claim.match_id, Some(culprit));
    assert_eq!(state(&m, 1), TicketState::Failed(Code::AlreadyQueued));
    assert_eq!(state(&m, 2), TicketState::Queued);
    m.handle_queue(after_ms(150), solo(3, "1v1", 25.0)).expect("queued");
    assert_eq!(run(&mut m, after_ms(400)).len(), 1, "the other one plays on with its old clock");
}

#[test]
fn a_claim_without_a_host_fails_its_tickets() {
    let mut m = matchmaker(Bots::After(Micros(0)));
    m.handle_queue(START, solo(1, "1v1", 25.0)).expect("queued");
    let claim = run(&mut m, after_ms(100)).remove(0);
    m.handle_claim_written(after_ms(100), claim.match_id);
    assert_eq!(text(&m, after_ms(200), 1), "Match found; a host is getting it ready.");
    m.handle_released(after_ms(300), claim.match_id, Code::NoCapacity);
    assert_eq!(state(&m, 1), TicketState::Failed(Code::NoCapacity));
    m.handle_queue(after_ms(300), NewTicket { ticket: TicketId::from_bits(9), ..solo(1, "1v1", 25.0) }).expect("free");
}

#[test]
fn a_cancelled_claimed_ticket_is_not_matched() {
    let mut m = matchmaker(Bots::Never);
    m.handle_queue(START, solo(1, "1v1", 25.0)).expect("queued");
    m.handle_queue(START, solo(2, "1v1", 25.0)).expect("queued");
    let claim = run(&mut m, after_ms(100)).remove(0);
    m.handle_cancel(after_ms(110), TicketId::from_bits(1)).expect("cancelled");
    m.handle_allocated(after_ms(120), claim.match_id);
    assert_eq!(state(&m, 1), TicketState::Cancelled(CancelReason::Owner));
    assert!(matches!(state(&m, 2), TicketState::Matched(..)));
}

#[test]
fn an_open_claim_of_an_earlier_process_goes_on() {
    let mut m = matchmaker(Bots::Never);
    let match_id = MatchId::from_bits(5);
    m.handle_restored_claim(START, solo(1, "1v1", 25.0), (match_id, 1)).expect("restored");
    assert_eq!(state(&m, 1), TicketState::Claimed(match_id, 1));
    m.handle_allocated(after_ms(10), match_id);
    assert_eq!(state(&m, 1), TicketState::Matched(match_id, 1));
}

#[test]
fn regions_keep_strangers_apart_until_they_have_waited() {
    let mut m = matchmaker(Bots::Never);
    let there = |region: &str, ms| vec![Latency { region: region.to_owned(), ms }];
    m.handle_queue(START, NewTicket { latencies: there("eu", 20), ..solo(1, "1v1", 25.0) }).expect("queued");
    m.handle_queue(START, NewTicket { latencies: there("eu", 120), ..solo(2, "1v1", 25.0) }).expect("queued");
    assert_eq!(run(&mut m, after_ms(3_000)), []);
    let said = text(&m, after_ms(3_000), 1);
    assert!(said.contains("share no region with you within 110 ms"), "{said}");
    let claims = run(&mut m, after_ms(5_000));
    assert_eq!(claims[0].region, "eu");
}

#[test]
fn the_estimate_knows_bots_and_history() {
    let mut m = matchmaker(Bots::After(BOTS_AFTER));
    m.handle_queue(START, solo(1, "1v1", 25.0)).expect("queued");
    let view = m.ticket(after_ms(1_000), TicketId::from_bits(1)).expect("known");
    assert_eq!((view.waited, view.estimate), (Micros::from_secs(1), Some(Micros::from_millis(2_100))));
    let overview = m.overview(after_ms(1_000));
    assert_eq!((overview[0].tickets, overview[0].players), (1, 1));
    assert_eq!(overview[0].oldest_wait, Micros::from_secs(1));
}

/// What a seeded world knows about the players that a matchmaker serves.
struct World {
    matchmaker: Matchmaker,
    rng: Rng,
    now: Micros,
    /// Tickets that have not ended, with the time they were queued and whether their owner still asks.
    open: BTreeMap<TicketId, (Micros, bool)>,
    /// Players of matches that run.
    playing: BTreeMap<UserId, MatchId>,
    /// Claims that were written, and when their host comes.
    allocating: BTreeMap<MatchId, (Micros, Claim)>,
    next: u128,
    waits_max: Micros,
}

impl World {
    fn new(seed: u64) -> Self {
        let modes = [mode("1v1", 2, 1, Bots::After(BOTS_AFTER)), mode("3v3", 2, 3, Bots::After(BOTS_AFTER))];
        Self {
            matchmaker: Matchmaker::new(Config::default(), &modes, 1, Seed(seed)).expect("good modes"),
            rng: Seed(seed).split("world").rng(),
            now: START,
            open: BTreeMap::new(),
            playing: BTreeMap::new(),
            allocating: BTreeMap::new(),
            next: 0,
            waits_max: Micros(0),
        }
    }

    fn arrive(&mut self) {
        self.next += 1;
        let size = 1 + self.rng.below(3).min(self.rng.below(3)) as usize;
        let mode = if size == 1 && self.rng.chance(500) { "1v1" } else { "3v3" };
        let players: Vec<Player> = (0..size)
            .map(|_| player(u128::from(self.rng.below(60)), 10.0 + 30.0 * self.rng.unit()))
            .filter(|player| !self.playing.contains_key(&player.user))
            .collect();
        let asked = NewTicket { queued: self.now, ..ticket(self.next, mode, players) };
        let id = asked.ticket;
        if self.matchmaker.handle_queue(self.now, asked).is_ok() {
            let asks = self.rng.chance(900);
            self.open.insert(id, (self.now, asks));
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.matchmaker.poll_output() {
            match output {
                Output::Claim(claim) => self.write(claim),
                Output::Ended(ticket, state) => {
                    assert!(state.is_final());
                    assert!(self.open.remove(&ticket).is_some(), "a ticket ends once");
                }
                Output::Changed(ticket) => self.changed(ticket),
            }
        }
    }

    fn write(&mut self, claim: Claim) {
        let users: BTreeSet<UserId> = claim.seats.iter().map(|seat| seat.user).collect();
        assert_eq!(users.len(), claim.seats.len(), "nobody has two seats of a match");
        for team in 0..claim.mode.teams {
            let size = claim.seats.iter().filter(|seat| seat.team == team).count();
            assert!(size <= usize::from(claim.mode.team_size), "a team has its seats and no more");
        }
        let taken = claim.seats.iter().find(|seat| self.playing.contains_key(&seat.user));
        assert_eq!(taken, None, "nobody is in two matches");
        if self.rng.chance(100) {
            let culprit = self.rng.chance(500).then(|| (claim.tickets[0], Code::AlreadyQueued));
            self.matchmaker.handle_claim_refused(self.now, claim.match_id, culprit);
            return;
        }
        self.playing.extend(claim.seats.iter().map(|seat| (seat.user, claim.match_id)));
        self.matchmaker.handle_claim_written(self.now, claim.match_id);
        let due = self.now + Micros::from_millis(self.rng.below(500));
        self.allocating.insert(claim.match_id, (due, claim));
    }

    fn changed(&mut self, ticket: TicketId) {
        let view = self.matchmaker.ticket(self.now, ticket).expect("news are about known tickets");
        assert!(!view.explain.is_empty());
        if let TicketState::Matched(..) = view.state {
            assert!(self.open.remove(&ticket).is_some(), "a ticket ends once");
            self.waits_max = self.waits_max.max(view.waited);
        }
    }

    fn step(&mut self) {
        self.now += Micros::from_millis(50);
        if self.matchmaker.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
            self.matchmaker.handle_timeout(self.now);
            self.drain();
        }
        let due: Vec<MatchId> =
            self.allocating.iter().filter(|(_, (at, _))| *at <= self.now).map(|(id, _)| *id).collect();
        for match_id in due {
            self.allocating.remove(&match_id);
            if self.rng.chance(100) {
                self.matchmaker.handle_released(self.now, match_id, Code::NoCapacity);
                self.playing.retain(|_, playing| *playing != match_id);
            } else {
                self.matchmaker.handle_allocated(self.now, match_id);
            }
            self.drain();
        }
        for (ticket, (_, asks)) in self.open.clone() {
            if asks {
                self.matchmaker.handle_heard(self.now, ticket);
            }
            if self.rng.chance(1) && self.matchmaker.handle_cancel(self.now, ticket).is_ok() {
                self.drain();
            }
        }
        if self.rng.chance(20)
            && let Some(over) = self.playing.values().next().copied()
            && !self.allocating.contains_key(&over)
        {
            self.playing.retain(|_, playing| *playing != over);
        }
    }
}

#[test]
fn in_every_seeded_world_tickets_end_and_nobody_plays_twice() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        for _ in 0..1_200 {
            if world.rng.chance(150) {
                world.arrive();
            }
            world.step();
        }
        // Nobody arrives any more: within the wait for bots, a host's time and the silence limit everything ends.
        for _ in 0..800 {
            world.step();
        }
        assert!(world.open.is_empty(), "seed {seed}: {:?} never ended", world.open);
        assert_eq!((world.matchmaker.open_claims(), world.matchmaker.overview(world.now)), (0, vec![]), "seed {seed}");
        assert!(world.matchmaker.stats().matched_total > 20, "seed {seed}: {:?}", world.matchmaker.stats());
        // A refused claim sends tickets back at most a few times, half a second each.
        assert!(world.waits_max <= BOTS_AFTER + Micros::from_secs(3), "seed {seed}: {} waited", world.waits_max);
    }
}

#[test]
fn the_same_seed_makes_the_same_matches() {
    let matches = |seed| {
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.arrive();
            world.step();
        }
        (world.playing, *world.matchmaker.stats())
    };
    assert_eq!(matches(3), matches(3));
    assert_ne!(matches(3), matches(4));
}
