//! Who is there when, and what strikes: a history before it is played. A plan with acts left out is a shorter history.

use std::fmt;

use amphi_shared_session::PipeKind;
use amphi_shared_wire::{Micros, Rng, Seed};

use super::hostile::Attack;
use crate::net::Strike;

/// Mean time between two faults.
const STRIKE_EVERY_US: u64 = 1_000_000;
/// Mean time between two attacks.
const ATTACK_EVERY_US: u64 = 900_000;
/// Players join and play before the first fault.
pub(crate) const CALM: Micros = Micros::from_secs(1);

/// A history before it is played.
#[derive(Clone, Debug)]
pub(crate) struct Cast {
    pub(crate) seed: Seed,
    /// The transport that each player dials first.
    pub(crate) players: Vec<PipeKind>,
    /// The player who breaks the rules.
    pub(crate) hostile: Option<usize>,
    /// By time.
    pub(crate) acts: Vec<Act>,
    /// When the storm ends, since the start.
    pub(crate) storm_ends: Micros,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    /// Since the start.
    pub(crate) at: Micros,
    /// The player it is about.
    pub(crate) who: usize,
    pub(crate) what: What,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// The player comes, for the first time or again; nothing if they are there.
    Join,
    /// The player leaves in order.
    Leave,
    /// The player's machine is off from here on.
    Vanish,
    /// The network fails.
    Strike(Strike),
    /// The player dials over the other transport while the old pipe still works.
    Switch,
    /// The player breaks the rules.
    Attack(Attack),
}

/// How large histories are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Players, at least two, at most.
    pub(crate) players: (u64, u64),
    pub(crate) storm: Micros,
}

impl Cast {
    /// Two players who stay.
    pub(crate) fn of_two(seed: Seed, storm: Micros, strikes: bool) -> Self {
        let players = vec![PipeKind::Streams, PipeKind::Ordered];
        let mut cast = Self { seed, players, hostile: None, acts: Vec::new(), storm_ends: CALM + storm };
        cast.joins(|_| Micros(0));
        if strikes {
            cast.strikes(STRIKE_EVERY_US);
        }
        cast.in_order()
    }

    /// Players who all stay, in peace.
    pub(crate) fn of_many(seed: Seed, players: usize, span: Micros) -> Self {
        let players = vec![PipeKind::Streams; players];
        let mut cast = Self { seed, players, hostile: None, acts: Vec::new(), storm_ends: CALM + span };
        cast.joins(|_| Micros(0));
        cast.in_order()
    }

    /// A match: players who come late, leave, come again or never, and mostly one among them who breaks the rules.
    pub(crate) fn of_match(seed: Seed, size: Size) -> Self {
        let mut rng = seed.split("cast").rng();
        let (least, most) = size.players;
        let count = least + rng.below(most - least + 1);
        let kind = |rng: &mut Rng| if rng.chance(300) { PipeKind::Ordered } else { PipeKind::Streams };
        let players: Vec<_> = (0..count).map(|_| kind(&mut rng)).collect();
        let hostile = rng.chance(700).then_some(players.len() - 1);
        let mut cast = Self { seed, players, hostile, acts: Vec::new(), storm_ends: CALM + size.storm };
        let storm = size.storm.0;
        cast.joins(|who| if who == 0 { Micros(0) } else { Micros(rng.below(storm * 2 / 3)) });
        // The first player stays, so that someone saw it all.
        for who in 1..cast.players.len() {
            let joined = cast.acts[who].at.0;
            let at = joined + rng.below(CALM.0 + storm - joined);
            if rng.chance(300) {
                cast.act(at, who, What::Leave);
                if rng.chance(700) {
                    cast.act(at + 200_000 + rng.below(3_000_000), who, What::Join);
                }
            } else if rng.chance(150) {
                cast.act(at, who, What::Vanish);
            }
        }
        cast.strikes(2 * STRIKE_EVERY_US / count);
        if let Some(who) = hostile {
            cast.attacks(who);
        }
        cast.in_order()
    }

    fn joins(&mut self, mut at: impl FnMut(usize) -> Micros) {
        for who in 0..self.players.len() {
            self.act(at(who).0, who, What::Join);
        }
    }

    fn strikes(&mut self, every_us: u64) {
        let mut rng = self.seed.split("faults").rng();
        let mut at = CALM.0;
        while at < self.storm_ends.0 {
            let who = rng.below(self.players.len() as u64) as usize;
            let what = strike(&mut rng).map_or(What::Switch, What::Strike);
            self.act(at, who, what);
            at += every_us / 4 + rng.below(every_us * 3 / 2);
        }
    }

    fn attacks(&mut self, who: usize) {
        let mut rng = self.seed.split("attacks").rng();
        let mut at = CALM.0;
        while at < self.storm_ends.0 {
            self.act(at, who, What::Attack(Attack::random(&mut rng)));
            // Who was closed for it comes again.
            self.act(at + ATTACK_EVERY_US / 4, who, What::Join);
            at += ATTACK_EVERY_US / 2 + rng.below(ATTACK_EVERY_US);
        }
    }

    fn act(&mut self, at_us: u64, who: usize, what: What) {
        self.acts.push(Act { at: Micros(at_us), who, what });
    }

    fn in_order(mut self) -> Self {
        self.acts.sort_by_key(|act| act.at);
        self
    }
}

/// A fault; nothing is a change of the transport.
fn strike(rng: &mut Rng) -> Option<Strike> {
    Some(match rng.below(6) {
        0 => Strike::Break { arrives_permille: rng.below(1_001) as u32 },
        1 => {
            let client = rng.chance(500);
            Strike::HalfOpen { client, server: !client }
        }
        2 => Strike::Stall(Micros(50_000 + rng.below(1_500_000))),
        3 => Strike::Blackout(Micros(50_000 + rng.below(1_500_000))),
        4 => Strike::Address { latency: Micros(2_000 + rng.below(40_000)) },
        _ => return None,
    })
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s  player {}: ", self.at.0 as f64 / 1e6, self.who)?;
        match &self.what {
            What::Join => f.write_str("joins"),
            What::Leave => f.write_str("leaves"),
            What::Vanish => f.write_str("is gone for good"),
            What::Strike(strike) => strike.fmt(f),
            What::Switch => f.write_str("dials over the other transport"),
            What::Attack(attack) => attack.fmt(f),
        }
    }
}
