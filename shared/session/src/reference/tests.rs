use proptest::prelude::*;

use super::*;

fn ask(node: &mut ReferenceClock, id: u64, now: u64, offset: i64, delays: (u64, u64)) -> u64 {
    let arrives = Micros((now + delays.0).saturating_add_signed(offset));
    let end = now + delays.0 + delays.1;
    node.answer(id, 40, Micros(now), (arrives, arrives), Micros(end));
    end
}

#[test]
fn a_node_reaches_its_reference_without_a_step() {
    let mut node = ReferenceClock::new(200);
    let start = 1_000_000_000;
    assert_eq!((node.offset_us(Micros(start)), node.error_us(Micros(start))), (0, None));
    ask(&mut node, 1, start, 5_000, (200, 200));
    let mut last = start;
    for second in 1..=80_u64 {
        let now = start + second * 1_000_000;
        let time = now.saturating_add_signed(node.offset_us(Micros(now)));
        assert!((999_900..=1_000_100).contains(&(time - last)), "{}", time - last);
        last = time;
        ask(&mut node, 1, now, 5_000, (200, 200));
    }
    let end = Micros(start + 80_000_401);
    assert!(node.offset_us(end).abs_diff(5_000) < 5);
    assert!(node.error_us(end).is_some_and(|error| error < 400), "{:?}", node.error_us(end));
}

#[test]
fn another_reference_does_not_move_the_offset_at_once() {
    let mut node = ReferenceClock::new(200);
    let end = (0..100).map(|i| ask(&mut node, 1, 1_000_000 + i * 1_000_000, 1_000, (100, 100))).last().unwrap();
    let before = node.offset_us(Micros(end));
    let after = ask(&mut node, 2, end, -1_000_000, (100, 100));
    assert!(node.offset_us(Micros(after)).abs_diff(before) <= 1);
    assert!(node.error_us(Micros(after)).is_some_and(|error| error > 1_000_000), "the error is said at once");
}

proptest! {
    /// Whatever the answers: time goes on, by at most the slew faster or slower, and the error bound holds.
    #[test]
    fn time_never_steps_and_the_bound_holds(
        offset in -2_000_000_i64..2_000_000,
        drift_ppm in -150_i64..150,
        steps in prop::collection::vec((1_000_u64..60_000_000, 0_u64..50_000, 0_u64..50_000), 1..80),
    ) {
        let mut node = ReferenceClock::new(200);
        let (mut now, begun) = (10_000_000_000_u64, 10_000_000_000_u64);
        let truth = |at: u64| offset + (at - begun) as i64 * drift_ppm / 1_000_000;
        let mut last = (now, now);
        for (pause, there, back) in steps {
            now = ask(&mut node, 1, now + pause, truth(now + pause), (there, back));
            let time = now.saturating_add_signed(node.offset_us(Micros(now)));
            let (local, shown) = (now - last.0, time as i64 - last.1 as i64);
            let slew = local * u64::from(CLOCK_SLEW_PPM) / 1_000_000 + 2;
            prop_assert!(shown.abs_diff(local as i64) <= slew && shown > 0);
            last = (now, time);
            let error = node.offset_us(Micros(now)).abs_diff(truth(now));
            prop_assert!(error <= node.error_us(Micros(now)).unwrap() + 20);
        }
    }

    #[test]
    fn hostile_answers_do_no_harm(answers in prop::collection::vec(any::<(u64, u64, u64, u64, u64, u64)>(), 1..40)) {
        let mut node = ReferenceClock::new(200);
        for (id, error, t0, t1, t2, t3) in answers {
            node.answer(id, error, Micros(t0), (Micros(t1), Micros(t2)), Micros(t3));
            let _ = (node.offset_us(Micros(t3)), node.error_us(Micros(u64::MAX)));
        }
    }
}
