use proptest::prelude::*;

use super::*;

const HEADER: DatagramHeader = DatagramHeader { seq: 0, ack: 0, ack_bits: 0 };

#[test]
fn the_257th_unresolved_datagram_pushes_the_first_out() {
    let mut datagrams = Datagrams::new();
    for i in 0..300_u16 {
        let seq = datagrams.number();
        let (_, pushed_out) = datagrams.leave(Micros(0), seq, 16, Bytes::new());
        assert_eq!(pushed_out, (i >= 256).then(|| i - 255));
    }
}

#[test]
fn numbers_skip_zero() {
    let mut datagrams = Datagrams::new();
    assert!((0..200_000).all(|_| datagrams.number() != 0));
    assert!(!datagrams.receive(0, 16, Micros(0)));
}

#[test]
fn on_an_ordered_pipe_what_an_ack_has_passed_is_open_no_more() {
    let (mut sender, mut receiver) = (Datagrams::new(), Datagrams::new());
    let first = sender.number();
    let _ = sender.leave(Micros(0), first, 16, Bytes::new());
    // Forty numbers were replaced while they waited.
    let next = (0..41).map(|_| sender.number()).last().unwrap();
    let _ = sender.leave(Micros(0), next, 16, Bytes::new());
    assert!(receiver.receive(first, 16, Micros(0)) && receiver.receive(next, 16, Micros(0)));
    let header = Datagram::decode(receiver.ack_only()).unwrap().header;
    let acks = sender.acknowledge(Micros(1), header, PipeKind::Ordered);
    assert_eq!(acks.fates, [Fate::Acked(next), Fate::Lost(first)]);
    assert!(sender.may_leave(PipeKind::Ordered) && sender.oldest().is_none());
}

#[test]
fn an_ack_only_datagram_is_on_lane_0() {
    let mut datagrams = Datagrams::new();
    assert!(datagrams.receive(5, 16, Micros(7)) && datagrams.receive(3, 17, Micros(9)));
    assert_eq!(datagrams.ack_due, Some(Micros(7)));
    let header = Datagram::decode(datagrams.ack_only()).map(|d| (d.lane, d.header));
    assert_eq!(header, Ok((0, DatagramHeader { ack: 5, ack_bits: 0b10, ..HEADER })));
    assert_eq!(datagrams.ack_due, None);
}

#[test]
fn a_gap_on_an_ordered_pipe_is_a_loss() {
    for (kind, fates) in
        [(PipeKind::Streams, vec![Fate::Acked(2)]), (PipeKind::Ordered, vec![Fate::Acked(2), Fate::Lost(1)])]
    {
        let mut datagrams = Datagrams::new();
        for _ in 0..2 {
            let seq = datagrams.number();
            datagrams.leave(Micros(0), seq, 16, Bytes::new());
        }
        let acks = datagrams.acknowledge(Micros(9), DatagramHeader { ack: 2, ..HEADER }, kind);
        assert_eq!(acks.fates, fates, "{kind:?}");
    }
}

proptest! {
    /// What the header says is exactly what arrived, whatever the order, the repeats and the gaps.
    #[test]
    fn the_header_tells_the_truth(start in 1_u16.., steps in prop::collection::vec(-40_i32..80, 1..200)) {
        let mut datagrams = Datagrams::new();
        let mut arrived = std::collections::BTreeSet::new();
        let mut newest = i64::from(start);
        for step in steps {
            let number = (newest + i64::from(step)).max(1);
            let seq = number as u16;
            if seq == 0 || (arrived.is_empty() && number > 60_000) {
                continue;
            }
            let fresh = datagrams.receive(seq, 32, Micros(0));
            if arrived.is_empty() {
                newest = number;
            }
            let in_window = number > newest - 33;
            prop_assert_eq!(fresh, in_window && !arrived.contains(&number));
            if in_window {
                arrived.insert(number);
            }
            newest = newest.max(number);
            let header = Datagram::decode(datagrams.ack_only()).unwrap().header;
            prop_assert_eq!(header.ack, newest as u16);
            for below in 1..=32_i64 {
                let told = header.ack_bits >> (below - 1) & 1 == 1;
                prop_assert_eq!(told, arrived.contains(&(newest - below)), "{} below", below);
            }
        }
    }

    /// Every sent datagram has exactly one fate.
    #[test]
    fn one_fate_each(
        acks in prop::collection::vec((0_u16..400, any::<u32>(), 0_u64..40_000), 0..80),
        ordered: bool,
    ) {
        let kind = if ordered { PipeKind::Ordered } else { PipeKind::Streams };
        let mut datagrams = Datagrams::new();
        let (mut now, mut sent, mut fates) = (Micros(0), 0, Vec::new());
        for (ack, ack_bits, gap) in acks {
            now += Micros(gap);
            let seq = datagrams.number();
            sent += 1;
            let (_, pushed_out) = datagrams.leave(now, seq, 16, Bytes::new());
            fates.extend(pushed_out.map(Fate::Lost));
            fates.extend(datagrams.acknowledge(now, DatagramHeader { ack, ack_bits, ..HEADER }, kind).fates);
            fates.extend(datagrams.expire(now - Micros(100_000)));
        }
        fates.extend(datagrams.abandon());
        let mut seqs: Vec<u16> = fates.iter().map(|f| match f { Fate::Acked(s) | Fate::Lost(s) => *s }).collect();
        seqs.sort_unstable();
        prop_assert_eq!(seqs, (1..=sent).collect::<Vec<u16>>());
    }
}
