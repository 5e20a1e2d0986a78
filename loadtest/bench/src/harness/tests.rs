use std::cell::RefCell;
use std::rc::Rc;

use super::report::Figure;
use super::{Bench, Contestant, Plan, Sample};

#[test]
fn a_figure_is_the_median_with_its_spread() {
    let figure = Figure::of(vec![30.0, 10.0, 20.0]);
    assert_eq!(figure, Figure { median: 20.0, min: 10.0, max: 30.0, spread: 1.0 });
    assert_eq!(Figure::of(vec![10.0, 20.0]).median, 15.0);
    assert_eq!(Figure::of(vec![0.0, 0.0]).spread, 0.0);
}

#[test]
fn contestants_alternate() -> anyhow::Result<()> {
    let order = Rc::new(RefCell::new(String::new()));
    let contestant = |name: &'static str, letter: char| {
        let order = Rc::clone(&order);
        Contestant::new(name, move || {
            order.borrow_mut().push(letter);
            Ok(Sample::new().with("ns", 1.0))
        })
    };
    let bench = Bench::new("test", "ns", contestant("floor", 'f'), contestant("ours", 'o'));
    bench.against(contestant("peer", 'p')).run(&Plan { rounds: Some(2), ..Plan::default() }, false)?;
    assert_eq!(*order.borrow(), "fopfop");
    Ok(())
}

#[test]
fn the_last_line_names_medians_and_those_of_peers() -> anyhow::Result<()> {
    let contestant = |ns: f64| Contestant::new("ws", move || Ok(Sample::new().with("ns", ns).beside("ns_p50", 1.0)));
    let bench = Bench::new("test", "ns", contestant(1.0), contestant(2.0)).against(contestant(3.0)).rounds(1);
    let json: serde_json::Value = serde_json::from_str(&bench.run(&Plan::default(), false)?.json()?)?;
    assert_eq!((&json["ns"], &json["peers"]["ws_ns"], &json["rounds"]), (&2.0.into(), &3.0.into(), &1.into()));
    assert_eq!(
        (&json["ns_p50"], &json["results"]["ours"]["ns_p50"]["median"]),
        (&serde_json::Value::Null, &1.0.into())
    );
    Ok(())
}

#[test]
fn a_moving_floor_repeats_all_rounds_and_is_told_in_the_end() -> anyhow::Result<()> {
    let check = |floor: fn(u32) -> f64, attempt: u64, steady: bool| -> anyhow::Result<()> {
        let mut runs = 0;
        let floor = Contestant::new("floor", move || {
            runs += 1;
            Ok(Sample::new().with("ns", floor(runs)))
        });
        let ours = Contestant::new("ours", || Ok(Sample::new().with("ns", 5.0)));
        let plan = Plan { rounds: Some(2), ..Plan::default() };
        let report = Bench::new("test", "ns", floor, ours).run(&plan, false)?;
        let json: serde_json::Value = serde_json::from_str(&report.json()?)?;
        assert_eq!(json["attempt"], attempt);
        assert_eq!(json["floor"]["steady"], steady);
        assert_eq!(json["results"]["ours"]["ns"]["median"], 5.0);
        Ok(())
    };
    check(|_| 100.0, 1, true)?;
    check(|run| if run <= 2 { f64::from(run) } else { 100.0 }, 2, true)?;
    check(f64::from, 3, false)
}

#[test]
fn an_error_of_a_contestant_ends_the_bench() {
    let floor = Contestant::new("floor", || Ok(Sample::new().with("ns", 1.0)));
    let ours = Contestant::new("ours", || anyhow::bail!("it broke"));
    let error = Bench::new("test", "ns", floor, ours).run(&Plan::default(), false).expect_err("ours fails");
    assert_eq!(error.to_string(), "it broke");
}
