//! Who holds which seat, from the moment a command is accepted; the world follows with the next tick.

use amphi_shared_replica::MatchMode;
use amphi_shared_wire::UserId;

/// A seat that is kept for a person for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatPlan {
    /// Team, from 0.
    pub team: u8,
    /// User id as text.
    pub user: String,
    /// Display name.
    pub name: String,
}

/// One seat.
#[derive(Clone, Debug, Default)]
struct Place {
    team: u8,
    user: Option<String>,
    kept_for: Option<String>,
}

/// All seats of a room.
#[derive(Clone, Debug)]
pub(crate) struct Occupants {
    places: Vec<Place>,
}

impl Occupants {
    /// Bots everywhere; the planned people have a seat of their team kept.
    pub(crate) fn new(mode: &MatchMode, plan: &[SeatPlan]) -> Self {
        let team = |i: usize| (i / usize::from(mode.team_size.max(1))) as u8;
        let mut places: Vec<Place> = (0..mode.seats()).map(|i| Place { team: team(i), ..Place::default() }).collect();
        for person in plan {
            if let Some(place) = places.iter_mut().find(|p| p.team == person.team && p.kept_for.is_none()) {
                place.kept_for = Some(person.user.clone());
            }
        }
        Self { places }
    }

    /// A bot's seat for this person: the one that is kept, else one of the team that is kept for nobody. Without
    /// `keeping`, seats that others were promised count as free.
    pub(crate) fn open(&self, team: Option<u8>, user: UserId, keeping: bool) -> Option<u8> {
        let user = user.to_string();
        let free = |p: &&Place| p.user.is_none() && team.is_none_or(|team| p.team == team);
        let kept = self.places.iter().position(|p| p.user.is_none() && p.kept_for.as_ref() == Some(&user));
        // The team with the most bots first, when any team will do.
        let bots = |team: u8| self.places.iter().filter(|p| p.team == team && p.user.is_none()).count();
        let any = || {
            let open = self.places.iter().enumerate().filter(|(_, p)| free(p) && !(keeping && p.kept_for.is_some()));
            open.max_by_key(|(i, p)| (bots(p.team), usize::MAX - i)).map(|(i, _)| i)
        };
        kept.or_else(any).map(|i| i as u8)
    }

    /// Whether a person holds the seat.
    pub(crate) fn is_person(&self, seat: u8) -> bool {
        self.places.get(usize::from(seat)).is_some_and(|place| place.user.is_some())
    }

    /// Whether there is such a seat.
    pub(crate) fn exists(&self, seat: u8) -> bool {
        usize::from(seat) < self.places.len()
    }

    pub(crate) fn join(&mut self, seat: u8, user: &str) {
        if let Some(place) = self.places.get_mut(usize::from(seat)) {
            place.user = Some(user.to_owned());
            place.kept_for = None;
        }
    }

    pub(crate) fn leave(&mut self, seat: u8) {
        if let Some(place) = self.places.get_mut(usize::from(seat)) {
            place.user = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode() -> MatchMode {
        MatchMode { name: "2v2".to_owned(), teams: 2, team_size: 2, duration_s: 60, tick_hz: 60 }
    }

    fn user(n: u128) -> UserId {
        UserId::from_bits(n)
    }

    #[test]
    fn kept_seats_wait_for_their_people() {
        let plan = [SeatPlan { team: 1, user: user(1).to_string(), name: "Ada".to_owned() }];
        let mut seats = Occupants::new(&mode(), &plan);
        assert_eq!(seats.open(Some(1), user(2), true), Some(3));
        assert_eq!(seats.open(None, user(1), true), Some(2));
        seats.join(3, "other");
        assert_eq!(seats.open(Some(1), user(2), true), None);
        assert_eq!(seats.open(Some(1), user(2), false), Some(2));
        assert_eq!(seats.open(None, user(2), true), Some(0), "the team with more bots");
        seats.join(2, "x");
        seats.leave(2);
        assert_eq!(seats.open(Some(1), user(2), true), Some(2));
    }
}
