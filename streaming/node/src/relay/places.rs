//! Where matches run, as the fleet said a moment ago.

use std::collections::BTreeMap;

use amphi_shared_edge::endpoint::Endpoint;
use amphi_shared_wire::limits::MATCHES_MAX;
use amphi_shared_wire::{Code, MatchId, Micros};

/// How long a host is believed to hold its match. One that cannot be reached is forgotten at once.
const HOST_LIFE: Micros = Micros::from_secs(5);
/// How long a match is believed to run nowhere.
const NOWHERE_LIFE: Micros = Micros::from_secs(1);
/// Matches that are remembered. Beyond: all are asked for anew.
const PLACES_MAX: usize = MATCHES_MAX / 10;

/// Where a match runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At this host.
    Host(Endpoint),
    /// It does not; what clients hear.
    Nowhere(Code),
}

/// Answers of the fleet and until when they are believed.
#[derive(Default)]
pub(super) struct Places {
    known: BTreeMap<MatchId, (Micros, Place)>,
}

impl Places {
    pub(super) fn find(&self, now: Micros, match_id: MatchId) -> Option<Place> {
        self.known.get(&match_id).filter(|(until, _)| now < *until).map(|(_, place)| place.clone())
    }

    pub(super) fn put(&mut self, now: Micros, match_id: MatchId, place: Place) {
        if self.known.len() >= PLACES_MAX {
            self.known.retain(|_, (until, _)| now < *until);
        }
        if self.known.len() >= PLACES_MAX {
            self.known.clear();
        }
        let life = match place {
            Place::Host(_) => HOST_LIFE,
            Place::Nowhere(_) => NOWHERE_LIFE,
        };
        self.known.insert(match_id, (now + life, place));
    }

    pub(super) fn forget(&mut self, match_id: MatchId) {
        self.known.remove(&match_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_believed_for_a_while_and_there_are_not_too_many() {
        let (mut places, gone) = (Places::default(), Place::Nowhere(Code::MatchEnded));
        let id = MatchId::from_bits;
        for n in 0..PLACES_MAX as u128 {
            places.put(Micros(0), id(n), gone.clone());
        }
        assert_eq!(places.find(Micros(999_999), id(3)), Some(gone.clone()));
        assert_eq!(places.find(NOWHERE_LIFE, id(3)), None);
        places.put(Micros(0), id(u128::MAX), gone);
        assert_eq!((places.known.len(), places.find(Micros(0), id(3))), (1, None));
        places.forget(id(u128::MAX));
        assert!(places.known.is_empty());
    }
}
