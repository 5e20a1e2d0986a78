use clap::ValueEnum;

use crate::Name;
use crate::harness::{Plan, Scale};

#[test]
fn every_bench_runs_and_reports() -> anyhow::Result<()> {
    for name in Name::value_variants() {
        let report = name.bench(Scale::Smoke)?.run(&Plan::smoke(), false)?;
        let json: serde_json::Value = serde_json::from_str(&report.json()?)?;
        assert!(json["results"]["ours"].as_object().is_some_and(|figures| !figures.is_empty()), "{name:?}: {json}");
        assert!(json["floor"]["figures"].as_object().is_some_and(|figures| !figures.is_empty()), "{name:?}: {json}");
        assert!(json["machine"]["cores"].as_u64().is_some_and(|cores| cores > 0), "{name:?}: {json}");
    }
    Ok(())
}
