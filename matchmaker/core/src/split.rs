//! Dividing tickets into teams as evenly as possible. A ticket is never divided.

/// A ticket as an atom of the division.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Atom {
    /// Its players.
    pub(crate) size: usize,
    /// The sum of their ratings, in points.
    pub(crate) strength: f64,
}

/// What the teams look like: equal sizes, and what an empty seat counts, because a bot will take it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) teams: usize,
    pub(crate) team_size: usize,
    pub(crate) empty_seat: f64,
}

/// Steps of the exact search. Beyond them the best division found so far is taken.
const STEPS_MAX: usize = 20_000;

/// The team of each atom, so that teams have as equal numbers of people as possible, and then as equal strength.
/// `None` when the atoms do not fit into the teams.
///
/// A depth-first search: large atoms first, the team that needs one most first, teams that look alike only once. For
/// two teams of up to 8 single players it is exact; beyond, it is the best of `STEPS_MAX` steps.
pub(crate) fn split(atoms: &[Atom], shape: Shape) -> Option<Vec<usize>> {
    if atoms.iter().map(|atom| atom.size).sum::<usize>() > shape.teams * shape.team_size {
        return None;
    }
    let mut order: Vec<usize> = (0..atoms.len()).collect();
    let weight = |atom: usize| (atoms[atom].strength - shape.empty_seat * atoms[atom].size as f64).abs();
    order.sort_by(|a, b| atoms[*b].size.cmp(&atoms[*a].size).then(weight(*b).total_cmp(&weight(*a))));
    let teams = vec![Team { free: shape.team_size, strength: shape.empty_seat * shape.team_size as f64 }; shape.teams];
    let mut search = Search {
        atoms,
        order,
        empty_seat: shape.empty_seat,
        teams,
        chosen: vec![0; atoms.len()],
        best: None,
        steps: 0,
    };
    search.place(0);
    search.best.map(|(_, chosen)| chosen)
}

#[derive(Clone, Copy, PartialEq)]
struct Team {
    free: usize,
    strength: f64,
}

/// How far teams are apart: people between the fullest and the emptiest, points between the strongest and the weakest.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Unevenness {
    people: usize,
    points: f64,
}

struct Search<'a> {
    atoms: &'a [Atom],
    order: Vec<usize>,
    empty_seat: f64,
    teams: Vec<Team>,
    chosen: Vec<usize>,
    best: Option<(Unevenness, Vec<usize>)>,
    steps: usize,
}

impl Search<'_> {
    fn place(&mut self, depth: usize) {
        self.steps += 1;
        let Some(&atom) = self.order.get(depth) else {
            let unevenness = self.unevenness();
            if self.best.as_ref().is_none_or(|(best, _)| unevenness < *best) {
                self.best = Some((unevenness, self.chosen.clone()));
            }
            return;
        };
        let Atom { size, strength } = self.atoms[atom];
        let gained = strength - self.empty_seat * size as f64;
        for team in self.options(size, gained) {
            if self.best.is_some() && (self.steps > STEPS_MAX || self.is_perfect()) {
                return;
            }
            let before = self.teams[team];
            self.teams[team] = Team { free: before.free - size, strength: before.strength + gained };
            self.chosen[atom] = team;
            self.place(depth + 1);
            self.teams[team] = before;
        }
    }

    /// Teams with room: fewest people first, and among them the one that `gained` points suit best.
    fn options(&self, size: usize, gained: f64) -> Vec<usize> {
        let mut options: Vec<usize> = (0..self.teams.len()).filter(|team| self.teams[*team].free >= size).collect();
        options.sort_by(|a, b| {
            let (a, b) = (self.teams[*a], self.teams[*b]);
            let weakest = a.strength.total_cmp(&b.strength);
            b.free.cmp(&a.free).then(if gained < 0.0 { weakest.reverse() } else { weakest })
        });
        options.dedup_by(|a, b| self.teams[*a] == self.teams[*b]);
        options
    }

    fn is_perfect(&self) -> bool {
        self.best.as_ref().is_some_and(|(best, _)| *best == Unevenness { people: 0, points: 0.0 })
    }

    fn unevenness(&self) -> Unevenness {
        let strengths = self.teams.iter().map(|team| team.strength);
        let (low, high) = strengths.fold((f64::MAX, f64::MIN), |(low, high), s| (low.min(s), high.max(s)));
        let free = || self.teams.iter().map(|team| team.free);
        let people = free().max().unwrap_or(0) - free().min().unwrap_or(0);
        Unevenness { people, points: high - low }
    }
}

#[cfg(test)]
mod tests;
