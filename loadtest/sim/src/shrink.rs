//! The shortest history that still fails in the same way.
//!
//! Parts of the plan are left out as long as the failure stays (delta debugging: Zeller and Hildebrandt, "Simplifying
//! and isolating failure-inducing input", 2002), then what is left is made simpler.

use amphi_shared_wire::Micros;

use crate::net::Link;
use crate::plan::{Plan, Skew, What};
use crate::{Report, Violation};

/// Plays it takes at most.
const PLAYS_MAX: u32 = 600;
/// The same for a whole match, which takes longer.
const ACT_PLAYS_MAX: u32 = 60;

/// Leaves out what the failure of `plan` does not need. `play` must fail for it.
pub(crate) fn shortest(plan: Plan, play: impl Fn(&Plan) -> Result<Report, Violation>) -> (Plan, Option<Violation>) {
    let Err(violation) = play(&plan) else {
        return (plan, None);
    };
    let mut search = Search { wanted: kind(&violation), plan, violation, play, plays: 0 };
    search.cut_the_end();
    search.leave_out_acts();
    if search.simplify() {
        search.leave_out_acts();
    }
    search.cut_the_end();
    (search.plan, Some(search.violation))
}

/// The same for a list of acts: leaves out what the failure does not need. `play` says how a list fails.
pub(crate) fn shortest_acts<A: Clone>(
    mut acts: Vec<A>,
    play: impl Fn(&[A]) -> Option<Violation>,
) -> (Vec<A>, Option<Violation>) {
    let Some(mut violation) = play(&acts) else { return (acts, None) };
    let (wanted, mut plays) = (kind(&violation), 0);
    leave_out(&mut acts, |shorter| {
        plays += 1;
        let failure = play(shorter).filter(|failure| plays < ACT_PLAYS_MAX && kind(failure) == wanted);
        failure.map(|failure| violation = failure).is_some()
    });
    (acts, Some(violation))
}

/// Leaves out ever smaller parts, as long as `take` takes what is left.
fn leave_out<A: Clone>(acts: &mut Vec<A>, mut take: impl FnMut(&[A]) -> bool) {
    let mut part = acts.len().div_ceil(2);
    while part > 0 {
        let mut from = 0;
        let mut shorter = false;
        while from < acts.len() {
            let mut left = acts.clone();
            left.drain(from..(from + part).min(left.len()));
            if take(&left) {
                shorter = true;
                *acts = left;
            } else {
                from += part;
            }
        }
        // The last round goes on until nothing more can be left out.
        if part > 1 || !shorter {
            part /= 2;
        }
    }
}

struct Search<F> {
    /// What the failure says, without its numbers: it must not turn into another one on the way.
    wanted: String,
    plan: Plan,
    violation: Violation,
    play: F,
    plays: u32,
}

fn kind(violation: &Violation) -> String {
    violation.what.chars().filter(|c| !c.is_ascii_digit()).collect()
}

impl<F: Fn(&Plan) -> Result<Report, Violation>> Search<F> {
    /// Takes a plan if it fails in the same way.
    fn take(&mut self, plan: Plan) -> bool {
        if self.plays == PLAYS_MAX {
            return false;
        }
        self.plays += 1;
        match (self.play)(&plan) {
            Err(violation) if kind(&violation) == self.wanted => {
                (self.plan, self.violation) = (plan, violation);
                true
            }
            Err(_) | Ok(_) => false,
        }
    }

    /// Nothing after the failure matters; and the storm need not outlast what happens in it.
    fn cut_the_end(&mut self) {
        let mut plan = self.plan.clone();
        plan.acts.retain(|act| act.at <= self.violation.at);
        self.take(plan.clone());
        plan = self.plan.clone();
        plan.storm_ends = plan.acts.last().map_or(Micros(0), |act| act.at);
        self.take(plan);
    }

    /// Leaves out ever smaller parts.
    fn leave_out_acts(&mut self) {
        let mut acts = self.plan.acts.clone();
        leave_out(&mut acts, |acts| self.take(Plan { acts: acts.to_vec(), ..self.plan.clone() }));
    }

    /// Clean links, true clocks, fewer and smaller messages. Says whether anything became simpler.
    fn simplify(&mut self) -> bool {
        let before = self.plan.clone();
        let mut plan = self.plan.clone();
        plan.clock = Skew::default();
        plan.clients.iter_mut().for_each(|client| client.clock = Skew::default());
        self.take(plan);
        let last = self.plan.acts.iter().map(|act| act.who).max().unwrap_or(0);
        let mut plan = self.plan.clone();
        plan.clients.truncate(last + 1);
        self.take(plan);
        for who in 0..self.plan.clients.len() {
            let softer: [fn(&mut Link); 5] = [
                |link| link.lost_permille = 0,
                |link| link.doubled_permille = 0,
                |link| link.late_permille = 0,
                |link| link.corrupted_permille = 0,
                |link| link.jitter = Micros(0),
            ];
            for soften in softer {
                let mut plan = self.plan.clone();
                soften(&mut plan.clients[who].link);
                self.take(plan);
            }
        }
        for index in 0..self.plan.acts.len() {
            let mut plan = self.plan.clone();
            if let What::Send { bytes, times, .. } = &mut plan.acts[index].what {
                (*bytes, *times) = (0, 1);
                if !self.take(plan) {
                    let mut plan = self.plan.clone();
                    if let What::Send { bytes, .. } = &mut plan.acts[index].what {
                        *bytes = 0;
                        self.take(plan);
                    }
                }
            }
        }
        before.acts != self.plan.acts || before.clients.len() != self.plan.clients.len()
    }
}
