//! A history before it is played: who is there, and what is said and what strikes when. The same plan, played again,
//! is the same history; a plan with parts left out is a shorter one.

use std::fmt;

use amphi_shared_session::PipeKind;
use amphi_shared_wire::limits::BULK_CHUNK_BYTES_MAX;
use amphi_shared_wire::{LANE_BULK, LANE_TOPICS, Lane, Micros, Rng, Seed};

use crate::net::{End, Link, Strike};

/// Before the first act: everyone may arrive in peace.
const CALM_US: u64 = 2_000_000;
/// Length of a storm, from and to.
const STORM_US: (u64, u64) = (8_000_000, 24_000_000);
/// Mean time between two things that one end says.
const SAY_EVERY_US: (u64, u64) = (20_000, 120_000);
/// Mean time between two strikes on one client.
const STRIKE_EVERY_US: (u64, u64) = (300_000, 3_000_000);
/// Difference between two clocks at the start, at most.
const OFFSET_US_MAX: u64 = 3_000_000_000;
/// How far a clock's speed is off, at most; two clocks stay within the engine's 200 ppm.
const SKEW_PPM_MAX: u64 = 99;

/// A history before it is played.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: Seed,
    /// The node's clock.
    pub(crate) clock: Skew,
    pub(crate) clients: Vec<ClientPlan>,
    /// By time.
    pub(crate) acts: Vec<Act>,
    /// When the storm ends, since the start.
    pub(crate) storm_ends: Micros,
}

/// One client and its path to the node.
#[derive(Clone, Debug)]
pub(crate) struct ClientPlan {
    pub(crate) kind: PipeKind,
    pub(crate) link: Link,
    pub(crate) clock: Skew,
    /// It keeps tickets: over streams it resumes in early data.
    pub(crate) tickets: bool,
    /// It plays: something always flows to it, so it looks for a second path as soon as nothing does.
    pub(crate) plays: bool,
}

/// A clock that is not the true one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Skew {
    pub(crate) offset_us: u64,
    pub(crate) ppm: i64,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Act {
    /// Since the start.
    pub(crate) at: Micros,
    /// The client it is about.
    pub(crate) who: usize,
    pub(crate) what: What,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// One end sends messages.
    Send { end: End, lane: Lane, bytes: usize, times: usize },
    /// One end sends a datagram.
    Datagram { end: End, lane: Lane, bytes: usize },
    /// The network fails.
    Strike(Strike),
    /// The client dials over the other transport while the old pipe still works.
    Switch,
    /// The client loses its memory: a reloaded page.
    Forget,
    /// The node refuses the next dial.
    Refuse,
    /// The pipe of the next dial breaks before the Welcome has left.
    LoseWelcome,
    /// An end without a pipe drops what it keeps on a lane; it breaks the pipe first.
    GiveUp { end: End, lane: Lane },
}

/// What a kind of network makes of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Both transports, or streams only.
    pub(crate) ordered: bool,
    /// Some clients resume in early data.
    pub(crate) early: bool,
    /// Sizes that a path may have, bytes of a datagram.
    pub(crate) sizes: (usize, usize),
    pub(crate) clients_max: u64,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn new(seed: Seed, style: Style) -> Self {
        let mut rng = seed.split("world").rng();
        let clock = Skew::random(&mut rng);
        let clients =
            (0..=rng.below(style.clients_max)).map(|_| ClientPlan::random(&mut rng, style)).collect::<Vec<_>>();
        let storm_ends = CALM_US + between(&mut rng, STORM_US);
        let mut acts = Vec::new();
        for who in 0..clients.len() {
            let seed = seed.nth(who as u64);
            for end in [End::Client, End::Server] {
                let name = if end == End::Client { "client says" } else { "server says" };
                let mut rng = seed.split(name).rng();
                let pace = between(&mut rng, SAY_EVERY_US);
                let says = times(&mut rng, pace, storm_ends);
                acts.extend(says.map(|(at, mut rng)| Act { at, who, what: What::said(end, &mut rng) }));
            }
            let mut rng = seed.split("strikes").rng();
            // Some clients lose their memory now and then, most never.
            let forgetful = rng.chance(250);
            let pace = between(&mut rng, STRIKE_EVERY_US);
            let strikes = times(&mut rng, pace, storm_ends);
            acts.extend(strikes.map(|(at, mut rng)| Act { at, who, what: What::fault(&mut rng, style, forgetful) }));
            if rng.chance(100) {
                acts.push(Act { at: Micros(0), who, what: What::LoseWelcome });
            }
        }
        acts.sort_by_key(|act| act.at);
        Self { seed, clock, clients, acts, storm_ends: Micros(storm_ends) }
    }
}

/// Moments until `until`, `every` apart in the mean, each with its own randomness.
fn times(rng: &mut Rng, every: u64, until: u64) -> impl Iterator<Item = (Micros, Rng)> {
    let mut at = CALM_US;
    std::iter::from_fn(move || {
        at += rng.below(2 * every);
        (at < until).then(|| (Micros(at), Seed(rng.next_u64()).rng()))
    })
}

fn between(rng: &mut Rng, (from, to): (u64, u64)) -> u64 {
    from + rng.below(to - from)
}

impl Skew {
    fn random(rng: &mut Rng) -> Self {
        let ppm = rng.below(2 * SKEW_PPM_MAX + 1) as i64 - SKEW_PPM_MAX as i64;
        Self { offset_us: rng.below(OFFSET_US_MAX), ppm }
    }

    /// What this clock shows at a true time since the start.
    pub(crate) fn shows(self, at: Micros) -> Micros {
        let drift = i128::from(at.0) * i128::from(self.ppm) / 1_000_000;
        Micros((i128::from(EPOCH_US + self.offset_us + at.0) + drift) as u64)
    }

    /// The first true time at which this clock shows `time` or more.
    pub(crate) fn when(self, time: Micros) -> Micros {
        let elapsed = i128::from(time.0) - i128::from(EPOCH_US + self.offset_us);
        let guess = elapsed * 1_000_000 / (1_000_000 + i128::from(self.ppm));
        let mut at = Micros((guess - 2).max(0) as u64);
        while self.shows(at) < time {
            at.0 += 1;
        }
        at
    }
}

/// What the true clock shows at the start.
const EPOCH_US: u64 = 1_763_000_000_000_000;

impl ClientPlan {
    fn random(rng: &mut Rng, style: Style) -> Self {
        // A third of the links is clean, and a few are as bad as it gets.
        let bad = rng.below(3) as u32;
        let mut share = |max: u64| rng.below(max + 1) as u32 * bad / 2;
        let (lost, doubled, late, corrupted) = (share(300), share(60), share(250), share(20));
        Self {
            kind: if style.ordered && rng.chance(500) { PipeKind::Ordered } else { PipeKind::Streams },
            link: Link {
                latency: Micros(between(rng, (500, 80_000))),
                jitter: Micros(between(rng, (100, 12_000))),
                lost_permille: lost,
                doubled_permille: doubled,
                late_permille: late,
                corrupted_permille: corrupted,
                max_datagram: between(rng, (style.sizes.0 as u64, style.sizes.1 as u64)) as usize,
            },
            clock: Skew::random(rng),
            tickets: style.early && rng.chance(500),
            plays: rng.chance(500),
        }
    }
}

impl What {
    fn said(end: End, rng: &mut Rng) -> Self {
        match rng.below(100) {
            0..45 => Self::Send { end, lane: rng.below(9) as Lane, bytes: rng.below(600) as usize, times: 1 },
            // More than a lane keeps, or than a connection may hold.
            45 if rng.chance(300) => {
                let lane = 1 + rng.below(8) as Lane;
                let bytes = if lane == LANE_BULK { BULK_CHUNK_BYTES_MAX } else { 60_000 };
                Self::Send { end, lane, bytes, times: 20 }
            }
            46..50 => Self::Send { end, lane: rng.below(9) as Lane, bytes: 20, times: 1 + rng.below(80) as usize },
            _ => {
                let lane = [16, 17, 18, 32][rng.below(4) as usize];
                let bytes = if rng.chance(100) { 1_200 } else { rng.below(300) as usize };
                Self::Datagram { end, lane, bytes }
            }
        }
    }

    fn fault(rng: &mut Rng, style: Style, forgetful: bool) -> Self {
        let end = if rng.chance(500) { End::Client } else { End::Server };
        let ms = |from: u64, to: u64, rng: &mut Rng| Micros(between(rng, (from * 1_000, to * 1_000)));
        match rng.below(if style.early { 16 } else { 15 }) {
            0..3 => Self::Strike(Strike::Break { arrives_permille: rng.below(1_001) as u32 }),
            3 => {
                let which = rng.below(3);
                Self::Strike(Strike::HalfOpen { client: which != 0, server: which != 1 })
            }
            4 => Self::Strike(Strike::Stall(ms(50, 3_000, rng))),
            5 => Self::Strike(Strike::Blackout(ms(50, 4_000, rng))),
            6 => Self::Strike(Strike::Address { latency: ms(1, 80, rng) }),
            // Now and then longer than a message may wait for its acknowledgement.
            7 => {
                let longest = if rng.chance(250) { 15_000 } else { 4_000 };
                Self::Strike(Strike::Pause(end, ms(100, longest, rng)))
            }
            8 => Self::Strike(Strike::Resize(between(rng, (style.sizes.0 as u64, style.sizes.1 as u64)) as usize)),
            9 | 10 => Self::Switch,
            11 => Self::LoseWelcome,
            12 => Self::Refuse,
            13 if forgetful => Self::Forget,
            13 | 14 => Self::GiveUp { end, lane: [0, 2, 3, 5, LANE_BULK][rng.below(5) as usize] },
            _ => Self::Strike(Strike::Replay),
        }
    }
}

/// Every lane whose messages must all arrive.
pub(crate) fn kept_lanes() -> impl Iterator<Item = Lane> {
    (0..=LANE_BULK).filter(|lane| *lane != LANE_TOPICS)
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s  client {}: ", self.at.0 as f64 / 1e6, self.who)?;
        match &self.what {
            What::Send { end, lane, bytes, times } => {
                write!(f, "the {end} sends {times} × {bytes} bytes on lane {lane}")
            }
            What::Datagram { end, lane, bytes } => {
                write!(f, "the {end} sends a datagram of {bytes} bytes on lane {lane}")
            }
            What::Strike(strike) => write!(f, "{strike}"),
            What::Switch => f.write_str("it dials over the other transport beside the old pipe"),
            What::Forget => f.write_str("it loses its memory"),
            What::Refuse => f.write_str("the node refuses its next dial"),
            What::LoseWelcome => f.write_str("the pipe of its next dial breaks before the Welcome arrives"),
            What::GiveUp { end, lane } => write!(f, "its pipe breaks, and the {end} gives up lane {lane}"),
        }
    }
}

impl fmt::Display for ClientPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            PipeKind::Streams => "streams",
            PipeKind::Ordered => "one ordered pipe",
        };
        let plays = if self.plays { "plays" } else { "watches" };
        let tickets = if self.tickets { ", keeps tickets" } else { "" };
        write!(f, "{plays} over {kind}{tickets}, {}, clock {:+} ppm", self.link, self.clock.ppm)
    }
}
