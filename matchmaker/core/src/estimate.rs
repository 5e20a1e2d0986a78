//! How long people waited lately.

use std::collections::VecDeque;

use amphi_shared_wire::Micros;

/// Waits that are remembered per queue.
const WAITS_MAX: usize = 64;

/// How long people of one queue waited lately, until a match was found.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    recent: VecDeque<Micros>,
}

impl Waits {
    pub(crate) fn record(&mut self, waited: Micros) {
        if self.recent.len() == WAITS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(waited);
    }

    /// The wait that four of five stayed below.
    pub(crate) fn typical(&self) -> Option<Micros> {
        let mut sorted: Vec<Micros> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() * 4 / 5).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_of_five_waited_less() {
        let mut waits = Waits::default();
        assert_eq!(waits.typical(), None);
        for n in 0..1_000 {
            waits.record(Micros(n));
        }
        assert_eq!(waits.typical(), Some(Micros(1_000 - 64 + 51)));
    }
}
