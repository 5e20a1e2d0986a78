//! The controller against a network in memory: inputs up, reports down, each with its own delay.

use amphi_shared_wire::{Rng, Seed};
use proptest::prelude::*;

use super::*;

const PERIOD: Micros = Micros(16_667);

/// What a client and its server do with inputs, on one clock.
struct Link {
    now: u64,
    lead: InputLead,
    rtt: Micros,
    next_tick: u64,
    /// Inputs on their way: arrival and tick.
    up: Vec<(u64, u64)>,
    /// Reports on their way: arrival, least margin, late count.
    down: Vec<(u64, i8, u8)>,
    arrived: u64,
    late: u64,
    /// Smallest and largest lead since the last [`Link::forget`].
    leads: (f64, f64),
    rng: Rng,
}

impl Link {
    fn new(delay: u64, seed: u64) -> Self {
        let rtt = Micros(2 * delay);
        let lead = InputLead::new(PERIOD, rtt);
        let leads = (f64::MAX, 0.0);
        let (up, down) = (Vec::new(), Vec::new());
        let now = 1_000_000_000;
        let next_tick = now / PERIOD.0 + 100;
        Self { now, lead, rtt, next_tick, up, down, arrived: 0, late: 0, leads, rng: Seed(seed).rng() }
    }

    fn forget(&mut self) {
        (self.arrived, self.late, self.leads) = (0, 0, (f64::MAX, 0.0));
    }

    /// Runs for `seconds`; `delay` draws each packet's transit time, µs.
    fn run(&mut self, seconds: u64, mut delay: impl FnMut(&mut Rng) -> u64) {
        let end = self.now + seconds * 1_000_000;
        let mut server_tick = self.now / PERIOD.0 + 1;
        while self.now < end {
            self.now += 1_000;
            self.lead.advance(Micros(self.now), 0);
            self.leads = (self.leads.0.min(self.lead.lead_us), self.leads.1.max(self.lead.lead_us));
            let due = (self.now + self.lead.lead().0) / PERIOD.0 + 1;
            // After a snap backwards the client waits, after one forwards it leaves ticks out.
            self.next_tick = self.next_tick.max(due.saturating_sub(20));
            while self.next_tick <= due {
                self.up.push((self.now + delay(&mut self.rng), self.next_tick));
                self.next_tick += 1;
            }
            if self.now >= server_tick * PERIOD.0 {
                server_tick += 1;
                self.report(&mut delay);
            }
            let now = self.now;
            for (_, margin, late) in self.down.extract_if(.., |(at, ..)| *at <= now) {
                self.lead.on_margin(Micros(now), margin, late, self.rtt);
            }
        }
    }

    /// The server's tick: what arrived since the last one.
    fn report(&mut self, delay: &mut impl FnMut(&mut Rng) -> u64) {
        let now = self.now;
        let mut least = None;
        for (at, tick) in self.up.extract_if(.., |(at, _)| *at <= now) {
            let margin_us = (tick * PERIOD.0) as i64 - at as i64;
            let quarters = (margin_us * 4).div_euclid(PERIOD.0 as i64).clamp(-127, 127) as i8;
            least = Some(least.map_or(quarters, |least: i8| least.min(quarters)));
            self.arrived += 1;
            self.late += u64::from(margin_us < 0);
        }
        if let Some(least) = least {
            self.down.push((now + delay(&mut self.rng), least, self.late as u8));
        }
    }

    fn late_share(&self) -> f64 {
        self.late as f64 / self.arrived.max(1) as f64
    }
}

#[test]
fn a_steady_link_gets_the_lead_it_needs_and_no_more() {
    let mut link = Link::new(40_000, 1);
    link.run(30, |_| 40_000);
    link.forget();
    link.run(20, |_| 40_000);
    assert_eq!(link.late, 0);
    // An input leaves a tick before the lead says. Then: the client's step of 1 ms, a quarter in reserve, and a quarter
    // that reports round off.
    let ticks = (link.leads.1 - 40_000.0) / PERIOD.0 as f64 + 1.0;
    assert!((0.0..1.0).contains(&ticks), "{ticks} ticks above the transit time");
    // Less than half of what a report is rounded to.
    assert!(link.leads.1 - link.leads.0 < 2_000.0, "it stands still: {:?}", link.leads);
}

#[test]
fn a_slower_path_is_followed_within_three_seconds() {
    let mut link = Link::new(20_000, 2);
    link.run(20, |_| 20_000);
    link.run(3, |_| 60_000);
    link.forget();
    link.run(5, |_| 60_000);
    assert_eq!(link.late, 0, "lead {} µs", link.lead.lead_us);
    assert!(link.leads.1 < 60_000.0 + 1.5 * PERIOD.0 as f64, "no overshoot: {:?}", link.leads);
}

#[test]
fn a_faster_path_is_followed_by_a_tenth_per_second() {
    let mut link = Link::new(60_000, 3);
    link.run(20, |_| 60_000);
    let before = link.lead.lead_us;
    link.run(10, |_| 20_000);
    let ticks_per_s = (before - link.lead.lead_us) / PERIOD.0 as f64 / 10.0;
    assert!((0.05..=0.24).contains(&ticks_per_s), "{ticks_per_s} ticks per second");
}

#[test]
fn inputs_leave_as_before_when_the_estimate_of_the_clock_is_corrected() {
    let mut lead = InputLead::new(PERIOD, Micros(60_000));
    lead.advance(Micros(1_000_000), -7_000_000);
    let before = lead.lead();
    lead.advance(Micros(1_000_000), -7_004_000);
    assert_eq!(lead.lead(), before + Micros(4_000));
    // Another machine's clock.
    lead.advance(Micros(1_000_000), 90_000_000);
    assert_eq!(lead.lead(), before + Micros(4_000));
}

#[test]
fn a_jump_beyond_a_quarter_of_a_second_is_taken_at_once() {
    let mut lead = InputLead::new(PERIOD, Micros(0));
    lead.advance(Micros(1_000_000), 0);
    lead.on_margin(Micros(1_000_000), -100, 1, Micros(0));
    lead.advance(Micros(1_001_000), 0);
    assert_eq!(lead.lead(), lead.wanted());
    assert!(lead.lead() > Micros(400_000) && lead.lead() <= Micros::from_millis(INPUT_LEAD_MS_MAX));
}

#[test]
fn the_simulation_never_runs_more_than_a_tenth_faster_or_slower() {
    let mut lead = InputLead::new(PERIOD, Micros(0));
    lead.advance(Micros(0), 0);
    for i in 1..2_000_u64 {
        let before = lead.lead_us;
        lead.advance(Micros(i * 1_000), 0);
        lead.on_margin(Micros(i * 1_000), if i % 500 < 250 { -12 } else { 12 }, (i / 500) as u8, Micros(20_000));
        assert!((lead.lead_us - before).abs() <= 100.0 + 1e-6);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Jitter up to 60 ms: few inputs are late, and the lead stays near what the slowest need.
    #[test]
    fn jitter_is_covered_and_not_more(base in 2_000_u64..120_000, jitter in 0_u64..60_000, seed: u64) {
        let mut link = Link::new(base + jitter / 2, seed);
        let delay = move |rng: &mut Rng| base + rng.below(jitter + 1);
        link.run(20, delay);
        link.forget();
        link.run(40, delay);
        prop_assert!(link.late_share() <= 0.01, "{} of inputs late", link.late_share());
        let above = (link.leads.1 - (base + jitter) as f64) / PERIOD.0 as f64;
        prop_assert!(above < 1.5, "{above} ticks above the slowest");
        let swing = (link.leads.1 - link.leads.0) / PERIOD.0 as f64;
        // A report is rounded to a quarter of a tick, and follows the slowest of a few hundred inputs.
        let allowed = 0.25 + 0.1 + jitter as f64 / PERIOD.0 as f64 / 4.0;
        prop_assert!(swing <= allowed, "it swings by {swing} ticks, {allowed} are allowed");
    }

    /// Spikes now and then: they raise the lead once, and it does not run away.
    #[test]
    fn spikes_do_not_run_away(base in 5_000_u64..60_000, spike in 20_000_u64..150_000, every in 20_u64..400, seed: u64) {
        let mut link = Link::new(base, seed);
        let delay = move |rng: &mut Rng| base + if rng.below(every) == 0 { spike } else { rng.below(3_000) };
        link.run(60, delay);
        let above = (link.leads.1 - (base + spike) as f64) / PERIOD.0 as f64;
        prop_assert!(above < 2.0, "{above} ticks above the slowest");
    }

    #[test]
    fn hostile_reports_do_no_harm(reports in prop::collection::vec((any::<u32>(), any::<i64>(), any::<i8>(), any::<u8>(), any::<u32>()), 1..300)) {
        let mut lead = InputLead::new(PERIOD, Micros(0));
        let mut now = Micros(0);
        for (step, offset, margin, late, rtt) in reports {
            now += Micros(u64::from(step));
            lead.advance(now, offset);
            lead.on_margin(now, margin, late, Micros(u64::from(rtt)));
            prop_assert!(lead.lead() <= Micros::from_millis(INPUT_LEAD_MS_MAX));
            prop_assert!(lead.lead_us.is_finite() && lead.lead_us >= lead.moved_us);
        }
    }
}
