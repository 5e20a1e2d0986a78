//! `shared/vectors/input-lead`: margins as a server reports them, and the lead that follows, to the microsecond.
//!
//! `AMPHI_WRITE_VECTORS=1 cargo nextest run -p amphi-shared-session` writes them anew.

use std::path::PathBuf;

use amphi_shared_session::InputLead;
use amphi_shared_wire::{Micros, Seed};
use serde_json::json;

const PERIOD: Micros = Micros(16_667);
/// Ticks of each history.
const TICKS: u64 = 900;
const LATE_FROM: u64 = 300;

/// A client that pumps every few milliseconds, over a path with this delay and jitter, µs; in the middle of it the path
/// becomes slower by half.
#[allow(clippy::disallowed_methods, reason = "vectors are files, written on request")]
fn check(name: &str, seed: u64, delay_us: u64, jitter_us: u64) {
    let mut rng = Seed(seed).rng();
    let rtt = Micros(2 * delay_us);
    let mut lead = InputLead::new(PERIOD, rtt);
    let (mut now, mut late, mut steps) = (Micros(1_000_000), 0_u8, Vec::new());
    let mut offset_us = 40_000_i64;
    for tick in 0..TICKS {
        now = Micros(now.0 + PERIOD.0 - 3_000 + rng.below(6_000));
        // The estimate of the server's clock is corrected now and then.
        if rng.below(16) == 0 {
            offset_us += rng.below(2_001) as i64 - 1_000;
        }
        lead.advance(now, offset_us);
        let slower = if tick >= LATE_FROM { delay_us / 2 } else { 0 };
        let transit = (delay_us + slower + rng.below(jitter_us.max(1))) as i64;
        // Not every snapshot measures one.
        if rng.below(8) > 0 {
            let margin_us = lead.lead().0 as i64 + offset_us - 40_000 - transit;
            let margin = (margin_us * 4).div_euclid(PERIOD.0 as i64).clamp(-127, 127) as i8;
            late = late.wrapping_add(u8::from(margin < 0));
            lead.on_margin(now, margin, late, rtt);
            steps.push(json!([now.0, offset_us, margin, late, lead.lead().0, lead.wanted().0]).to_string());
        } else {
            steps.push(json!([now.0, offset_us, null, late, lead.lead().0, lead.wanted().0]).to_string());
        }
    }
    let text = format!(
        "{{\"about\":\"now_us, offset of the clock in µs, margin in quarters of a tick or null, late modulo 256; then lead_us and wanted_us\",\n\
         \"period_us\":{},\"rtt_us\":{},\n\"steps\":[\n{}\n]}}\n",
        PERIOD.0,
        rtt.0,
        steps.join(",\n")
    );
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors/input-lead").join(name);
    if std::env::var_os("AMPHI_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a vector lies in a folder")).expect("the folder can be made");
        std::fs::write(&path, &text).expect("the vector can be written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "{name} differs: every client steers by these numbers");
}

#[test]
fn the_lead_follows_margins_as_recorded() {
    check("near.json", 1, 3_000, 500);
    check("far.json", 2, 60_000, 4_000);
    check("mobile.json", 3, 45_000, 40_000);
}
