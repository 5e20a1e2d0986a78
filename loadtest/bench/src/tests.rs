use std::path::Path;

use clap::ValueEnum;

use crate::harness::{Plan, Scale};
use crate::{Name, codec, fanout, faults, storm};

fn runs_and_reports(name: Name) -> anyhow::Result<()> {
    let report = name.bench(Scale::Smoke)?.run(&Plan::smoke(), false)?;
    let json: serde_json::Value = serde_json::from_str(&report.json()?)?;
    assert!(json["results"]["ours"].as_object().is_some_and(|figures| !figures.is_empty()), "{name:?}: {json}");
    assert!(json["floor"]["figures"].as_object().is_some_and(|figures| !figures.is_empty()), "{name:?}: {json}");
    assert!(json["machine"]["cores"].as_u64().is_some_and(|cores| cores > 0), "{name:?}: {json}");
    Ok(())
}

/// A test for each bench, and none without one.
macro_rules! smoke {
    ($($test:ident: $name:ident,)*) => {
        $(
            #[test]
            fn $test() -> anyhow::Result<()> {
                runs_and_reports(Name::$name)
            }
        )*

        const fn has_a_test(name: Name) -> bool {
            match name {
                $(Name::$name => true,)*
                // Its own test looks at more.
                Name::Faults => true,
            }
        }
    };
}

smoke! {
    allocations_runs: Allocations,
    asteroids_runs: Asteroids,
    codec_runs: Codec,
    datagrams_runs: Datagrams,
    fanout_runs: Fanout,
    floor_runs: Floor,
    idle_runs: Idle,
    join_runs: Join,
    latency_runs: Latency,
    messages_runs: Messages,
    nodes_runs: Nodes,
    presence_runs: Presence,
    relay_runs: Relay,
    replication_runs: Replication,
    resume_runs: Resume,
    rollback_runs: Rollback,
    session_runs: Session,
    shooter_runs: Shooter,
    spectate_runs: Spectate,
    storm_runs: Storm,
}

#[test]
fn every_bench_has_a_test() {
    assert!(Name::value_variants().iter().all(|name| has_a_test(*name)));
}

#[test]
fn bursts_reach_every_reader() -> anyhow::Result<()> {
    let report = fanout::bench(Scale::Smoke, true).run(&Plan::smoke(), false)?;
    let json: serde_json::Value = serde_json::from_str(&report.json()?)?;
    assert_eq!(json["results"]["ours"]["delivered"]["median"], 75.0, "{json}");
    Ok(())
}

#[test]
fn the_readers_of_a_dead_node_lose_nothing() -> anyhow::Result<()> {
    let json: serde_json::Value =
        serde_json::from_str(&storm::of_topics(Scale::Smoke).run(&Plan::smoke(), false)?.json()?)?;
    let [lost, doubled, reads] = ["lost", "doubled", "history_reads"].map(|name| json[name].as_f64());
    assert_eq!((lost, doubled, reads), (Some(0.0), Some(0.0), Some(1.0)), "{json}");
    Ok(())
}

#[test]
fn nothing_is_lost_or_doubled_by_faults() -> anyhow::Result<()> {
    let json: serde_json::Value =
        serde_json::from_str(&faults::bench(Scale::Smoke).run(&Plan::smoke(), false)?.json()?)?;
    let [missing, doubled, resets] = ["missing", "doubled", "resets"].map(|name| json[name].as_f64());
    assert_eq!((missing, doubled, resets), (Some(0.0), Some(0.0), json["resets_expected"].as_f64()), "{json}");
    Ok(())
}

#[test]
fn a_trace_is_coded_exactly() -> anyhow::Result<()> {
    let bench = codec::replay::bench(Path::new(codec::replay::BUILT_IN), Scale::Smoke)?;
    let json: serde_json::Value = serde_json::from_str(&bench.run(&Plan::smoke(), false)?.json()?)?;
    assert_eq!(json["results"]["ours"]["exact"]["median"], 1.0, "{json}");
    Ok(())
}
