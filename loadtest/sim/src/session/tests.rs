use super::*;
use crate::plan::What;
use crate::shrink::shortest;

fn hold(name: &str, seeds: u64, plan: fn(Seed) -> Plan, play: fn(&Plan) -> Result<Report, Violation>) -> Report {
    let mut total = Report::default();
    for seed in 1..=seeds {
        match play(&plan(Seed(seed))) {
            Ok(report) => total.add(&report),
            Err(violation) => panic!("{violation}; repeat it with `{name} --seed {seed}`"),
        }
    }
    total
}

#[test]
fn histories_over_pipes_hold() {
    let total = hold("session", 40, plan, play);
    assert!(total.messages > 10_000 && total.datagrams > 10_000, "{total:?}");
}

#[test]
fn histories_over_quic_hold() {
    let total = hold("quic", 4, quic_plan, quic_play);
    assert!(total.messages > 200 && total.datagrams > 200 && total.faults.early > 0, "{total:?}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in [1, 7, 42] {
        let (one, two) = (play(&plan(Seed(seed))), play(&plan(Seed(seed))));
        assert_eq!(one, two);
        assert_ne!(one.unwrap().history, play(&plan(Seed(seed + 1_000))).unwrap().history);
    }
    assert_eq!(quic_play(&quic_plan(Seed(3))), quic_play(&quic_plan(Seed(3))));
}

/// A network that loses one message for good, which no network of ours may do: the history shrinks to that message.
#[test]
fn a_failure_shrinks_to_what_it_needs() {
    let plan = plan(Seed(5));
    let sends_on = |plan: &Plan, wanted: u8| {
        plan.acts.iter().filter(|act| matches!(act.what, What::Send { lane, .. } if lane == wanted)).count()
    };
    let broken = |plan: &Plan| {
        let (three, four) = (sends_on(plan, 3), sends_on(plan, 4));
        let at = plan.acts.last().map_or(plan.storm_ends, |act| act.at);
        if three > 1 && four > 0 { Err(Violation { at, what: "gone".to_owned() }) } else { Ok(Report::default()) }
    };
    let (shortest, _) = shortest(plan, broken);
    assert_eq!((sends_on(&shortest, 3), sends_on(&shortest, 4), shortest.acts.len()), (2, 1, 3));
}
