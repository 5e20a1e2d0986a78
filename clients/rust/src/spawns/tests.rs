use super::*;

const KIND: u64 = 0b100;

fn key(tick: u32, ordinal: u16) -> SpawnedFor {
    SpawnedFor { seat: 0, tick, ordinal }
}

/// A predicted one.
fn born(tick: u32, ordinal: u16) -> Born {
    Born { id: NetId(1 << 31 | tick << 16 | u32::from(ordinal)), key: key(tick, ordinal), kind: KIND }
}

/// One that the server tells.
fn told(id: u32, tick: u32, ordinal: u16) -> Born {
    Born { id: NetId(id), ..born(tick, ordinal) }
}

/// What the spawn with this number is shown as.
fn number(n: u32) -> NetId {
    NetId::provisional(n)
}

fn predicted(born: &[Born]) -> Spawns {
    let mut spawns = Spawns::default();
    spawns.add(born.to_vec());
    spawns
}

fn shown(spawns: &Spawns) -> Vec<(NetId, NetId)> {
    spawns.bodies().map(|(id, body)| (id, body.shown_as)).collect()
}

fn counted(spawns: &Spawns) -> (u64, u64, u64) {
    let SpawnCounts { predicted, confirmed, dropped } = spawns.counts();
    assert_eq!(predicted, confirmed + dropped + spawns.open.len() as u64);
    (predicted, confirmed, dropped)
}

#[test]
fn keys_match_whatever_the_order_in_which_the_server_named_them() {
    let mut spawns = predicted(&[born(10, 0), born(10, 1), born(12, 0)]);
    let naming = spawns.name(Tick(12), &[told(5, 10, 1), told(6, 10, 0)]);
    assert_eq!(naming.renamed, [(born(10, 1).id, NetId(5)), (born(10, 0).id, NetId(6))]);
    assert_eq!((&spawns.adopted, naming.left), (&vec![], vec![]));
    assert_eq!(shown(&spawns), [(NetId(5), number(1)), (NetId(6), number(0)), (born(12, 0).id, number(2))]);
    // Told again it stays what it is; not told it has left.
    assert_eq!(spawns.name(Tick(13), &[told(6, 10, 0)]), Naming { left: vec![NetId(5)], ..Naming::default() });
    assert_eq!(counted(&spawns), (3, 2, 0));
}

#[test]
fn one_that_the_server_spawned_a_little_later_is_the_same_one() {
    let mut spawns = predicted(&[born(10, 0), born(16, 0), born(22, 0)]);
    // The exact one first; that of tick 22 is for the server to decide yet.
    let naming = spawns.name(Tick(20), &[told(5, 18, 0), told(6, 16, 0)]);
    assert_eq!(naming.renamed, [(born(16, 0).id, NetId(6)), (born(10, 0).id, NetId(5))]);
    assert_eq!(spawns.name(Tick(21), &[told(5, 18, 0), told(6, 16, 0), told(7, 20, 0)]), Naming::default());
    assert!(spawns.is_adopted(NetId(7)) && !spawns.is_adopted(NetId(5)));
    // When the one of tick 22 is not spawned again, that is what has become of it.
    spawns.again(Tick(21), vec![]);
    assert_eq!(shown(&spawns), [(NetId(5), number(0)), (NetId(6), number(1)), (NetId(7), number(2))]);
    assert_eq!(counted(&spawns), (3, 3, 0));
    // Of another kind, or too far away.
    let mut spawns = predicted(&[born(10, 0)]);
    let other = Born { kind: 0b1000, ..told(5, 11, 0) };
    assert_eq!(spawns.name(Tick(40), &[other, told(6, 11 + SPAWN_SLACK_TICKS, 0)]).renamed, []);
    assert_eq!(counted(&spawns), (1, 0, 0));
}

#[test]
fn what_the_server_does_not_tell_expires() {
    let mut spawns = predicted(&[born(10, 0), born(11, 0)]);
    spawns.expire(Tick(10 + SPAWN_SLACK_TICKS));
    assert_eq!(spawns.take_dropped(), []);
    spawns.expire(Tick(11 + SPAWN_SLACK_TICKS));
    assert_eq!((spawns.take_dropped(), counted(&spawns)), (vec![born(10, 0).id], (2, 0, 1)));
}

#[test]
fn simulated_again_it_keeps_what_it_is_shown_as() {
    let mut spawns = predicted(&[born(8, 0), born(10, 0), born(20, 0), born(30, 0)]);
    spawns.again(Tick(9), vec![born(10, 0), born(23, 0)]);
    let expected = [(8, 0), (10, 1), (23, 2)].map(|(tick, n)| (born(tick, 0).id, number(n)));
    assert_eq!((shown(&spawns), counted(&spawns)), (expected.to_vec(), (4, 0, 1)));
    // What is overdue at the tick that was gone back to is what comes after it.
    spawns.again(Tick(12), vec![born(14, 0), born(23, 0)]);
    let expected = [(10, 1), (14, 0), (23, 2)].map(|(tick, n)| (born(tick, 0).id, number(n)));
    assert_eq!((shown(&spawns), spawns.take_dropped()), (expected.to_vec(), vec![born(8, 0).id]));
    assert!(spawns.is_there(born(10, 0).id, Tick(12)) && !spawns.is_there(born(14, 0).id, Tick(12)));
    assert_eq!(counted(&spawns), (4, 0, 1));
    // A new one in the tick from which another has moved is another one.
    spawns.name(Tick(13), &[told(5, 10, 0)]);
    spawns.again(Tick(13), vec![born(14, 0), born(20, 0), born(23, 0)]);
    assert_eq!(shown(&spawns)[2], (born(20, 0).id, number(4)));
}

#[test]
fn beyond_the_limit_the_oldest_goes() {
    let all: Vec<Born> = (0..SPAWNS_PREDICTED_MAX as u32 + 2).map(|tick| born(tick, 0)).collect();
    let mut spawns = predicted(&all);
    assert_eq!(spawns.take_dropped(), [all[0].id, all[1].id]);
    let told: Vec<Born> = (0..SPAWNS_PREDICTED_MAX as u32 + 2).map(|tick| told(tick + 1, tick, 0)).collect();
    assert_eq!(spawns.name(Tick(200), &told).renamed.len(), SPAWNS_PREDICTED_MAX);
    assert!(!spawns.is_predicted(NetId(2)) && spawns.is_predicted(NetId(3)) && spawns.is_predicted(all[9].id));
    spawns.name(Tick(201), &told[5..]);
    assert!(spawns.is_predicted(NetId(2)));
}
