//! The own player, what it spawns and what it can touch, simulated ahead of the server in a world that holds nothing else but
//! statics.
//!
//! Every predicted tick is kept. A snapshot judges the own entity and its spawns by their quantised state, and corrects what is
//! near. When it shows that the prediction was wrong, the world goes back to that tick, takes the server's rows, and simulates
//! again.

use std::collections::VecDeque;

use amphi_shared_replica::{
    Game, GameError, GameEvent, History, Input, Lerp, MatchMode, NetId, Replicate, Row, Seat, Sim, SimMode, SpawnedFor,
};
use amphi_shared_wire::limits::INPUTS_PER_DATAGRAM_MAX;
use amphi_shared_wire::{Seed, Tick};

use crate::smooth::Smoothing;
use crate::spawns::{Born, SpawnCounts, Spawns};
use crate::watch::{SILENT_MAX, Watch};

/// Ticks that are kept: of a longer way to the server and back, predictions are made but not judged.
const TICKS_KEPT: usize = 64;
/// Steps by which each integer of what is near may differ without being simulated again: none of it is the player's own.
const NEAR_SLACK: u32 = 8;

/// Predicts the own entity and what is near it, and corrects them.
pub(crate) struct Predictor<I: Input> {
    sim: Sim,
    history: History,
    seat: Seat,
    own: Option<NetId>,
    /// What is in the world beside the own entity, ascending.
    near: Vec<NetId>,
    inputs: VecDeque<(Tick, I)>,
    acked_input: Tick,
    /// The newest tick that the server has told.
    judged: Tick,
    watch: Watch,
    spawns: Spawns,
}

impl<I: Input> Predictor<I> {
    pub(crate) fn new(game: &Game, mode: MatchMode, seat: Seat) -> Result<Self, GameError> {
        let mut sim = game.build(SimMode::Predict, mode, Seed(0))?;
        sim.set_own_seat(seat);
        Ok(Self {
            history: sim.history(TICKS_KEPT),
            sim,
            seat,
            own: None,
            near: Vec::new(),
            inputs: VecDeque::new(),
            acked_input: Tick(0),
            judged: Tick(0),
            watch: Watch::default(),
            spawns: Spawns::default(),
        })
    }

    /// More is predicted than the own entity.
    pub(crate) fn has_nearby(&self) -> bool {
        self.sim.has_nearby()
    }

    pub(crate) fn seat(&self) -> Seat {
        self.seat
    }

    pub(crate) fn own(&self) -> Option<NetId> {
        self.own
    }

    /// Simulates the tick after the last one with this input, and says what the game said in it.
    pub(crate) fn advance(&mut self, tick: Tick, input: I) -> Result<Vec<GameEvent>, GameError> {
        let said = self.simulate(tick, &input)?;
        self.spawns.add(Born::in_last_tick(&self.sim));
        self.sweep()?;
        if self.inputs.len() == 2 * TICKS_KEPT {
            self.inputs.pop_front();
        }
        self.inputs.push_back((tick, input));
        self.watch.smoothing.tick();
        self.spawns.bodies_mut().for_each(|(_, body)| body.watch.smoothing.tick());
        Ok(said)
    }

    /// The inputs that the server has not applied yet, and the newest one's tick. They are of consecutive ticks, as their
    /// datagram says: what lies before ticks that were passed over is not among them.
    pub(crate) fn unacked(&self) -> Option<(Tick, Vec<I>)> {
        let (newest, _) = self.inputs.back()?;
        let follows = |(back, (tick, _)): &(u32, &(Tick, I))| tick.0 + back == newest.0 && *tick > self.acked_input;
        let open = (0..INPUTS_PER_DATAGRAM_MAX as u32).zip(self.inputs.iter().rev()).take_while(follows);
        let mut inputs: Vec<I> = open.map(|(_, (_, input))| input.clone()).collect();
        inputs.reverse();
        (!inputs.is_empty()).then_some((*newest, inputs))
    }

    /// The own row, as predicted.
    pub(crate) fn row(&self) -> Option<Row> {
        self.sim.row_of(self.own?)
    }

    /// The own row, as it should be shown.
    pub(crate) fn shown(&self) -> Option<Row> {
        Some(self.watch.smoothing.shown(&self.row()?))
    }

    /// A component of what is predicted beside the own entity, by id.
    pub(crate) fn nearby<C: Replicate>(&self) -> Vec<(NetId, C)> {
        let schema = self.sim.schema();
        let Some(component) = schema.component(C::NAME) else { return Vec::new() };
        let read = |id: &NetId| Some((*id, C::read(self.sim.row_of(*id)?.component(schema, component)?)));
        self.near.iter().filter_map(read).collect()
    }

    /// What the own player has spawned and is there now: ids, what shows them goes by, and rows as they should be shown.
    pub(crate) fn spawned(&self) -> impl Iterator<Item = (NetId, NetId, Row)> {
        let row = |id, smoothing: &Smoothing| Some(smoothing.shown(&self.sim.row_of(id)?));
        self.spawns.bodies().filter_map(move |(id, body)| Some((id, body.shown_as, row(id, &body.watch.smoothing)?)))
    }

    /// The entity with this received row is shown as it is predicted, or not at all.
    pub(crate) fn has_spawned(&self, id: NetId, row: &Row) -> bool {
        self.key(row).is_some() && self.spawns.is_predicted(id)
    }

    pub(crate) fn spawn_counts(&self) -> SpawnCounts {
        self.spawns.counts()
    }

    /// A snapshot of `tick` was read; `received` is what is known after it, by ascending id. True when the own player or what it
    /// spawned was predicted and had to be corrected, or when a correction of what is near moves the player.
    pub(crate) fn reconcile(
        &mut self,
        tick: Tick,
        applied: Option<Tick>,
        received: &[Known<'_>],
    ) -> Result<bool, GameError> {
        if tick < self.judged {
            // It was overtaken: what it tells is judged with the next one.
            return Ok(false);
        }
        self.judged = tick;
        self.acked_input = self.acked_input.max(applied.unwrap_or(Tick(0)));
        let seat = [i32::from(self.seat.0)];
        // Component 0 of every schema is the seat.
        let own = received.iter().find(|known| known.row.component(self.sim.schema(), 0) == Some(&seat));
        if own.is_none() && self.spawns.is_empty() && !received.iter().any(|known| self.key(known.row).is_some()) {
            return Ok(false);
        }
        let (mut judged, unseen) = self.judge_spawns(tick, received)?;
        let guessed = own.is_some_and(|own| self.own == Some(own.id) && self.history.row(tick, own.id).is_some());
        judged.extend(own.map(|own| self.judge_own(tick, own)));
        let near = own.map_or_else(|| self.near.clone(), |own| self.choose(own, received));
        let others_wrong = unseen || near != self.near || self.is_near_wrong(tick, received);
        self.near = near;
        judged.retain(|judged| judged.wrong);
        let wrong = unseen || judged.iter().any(|judged| judged.guessed);
        if !others_wrong && (judged.is_empty() || self.nudge(tick, &judged)?) {
            self.forget(tick);
            return Ok(wrong);
        }
        let before = self.rows();
        self.again(tick, &judged, received)?;
        let moves = self.smooth(&before);
        Ok(wrong || (guessed && moves))
    }

    fn judge_own<'a>(&mut self, tick: Tick, own: &Known<'a>) -> Judged<'a> {
        let first = self.own.replace(own.id) != Some(own.id);
        let predicted = self.history.row(tick, own.id).filter(|_| !first);
        let error = predicted.as_ref().map_or(Error::Large, |row| self.error(row, own.row));
        let wrong = self.watch.is_wrong(matches!(error, Error::None), first || own.tick == tick);
        Judged { known: *own, error, guessed: predicted.is_some(), wrong }
    }

    /// Matches what the server tells of the own player's spawns with what was predicted, and judges it. Also true when something
    /// was predicted in `tick` that is not there any more.
    fn judge_spawns<'a>(&mut self, tick: Tick, received: &[Known<'a>]) -> Result<(Vec<Judged<'a>>, bool), GameError> {
        let mask = self.sim.schema().predicted();
        let born =
            |known: &Known<'_>| Some(Born { id: known.id, key: self.key(known.row)?, kind: known.row.mask & mask });
        let told: Vec<Born> = received.iter().filter_map(born).collect();
        let naming = self.spawns.name(tick, &told);
        for (id, to) in naming.renamed {
            self.history.rename(id, to);
            if self.sim.row_of(id).is_some() {
                self.sim.rename(id, to)?;
            }
        }
        let mut unseen = false;
        for id in naming.left {
            if self.history.row(tick, id).is_some() {
                // What it did since is undone with it.
                unseen = true;
            } else if self.sim.row_of(id).is_some() {
                self.sim.remove(id)?;
            }
        }
        self.spawns.expire(tick);
        self.sweep()?;
        let mut judged = Vec::new();
        for known in received {
            if !self.spawns.is_named(known.id) {
                continue;
            }
            let predicted = self.history.row(tick, known.id);
            let error = predicted.as_ref().map_or(Error::Large, |row| self.error(row, known.row));
            let fresh = known.tick == tick || self.spawns.is_adopted(known.id);
            let right = matches!(error, Error::None);
            let Some(watch) = self.spawns.watch(known.id) else { continue };
            judged.push(Judged {
                known: *known,
                error,
                guessed: predicted.is_some(),
                wrong: watch.is_wrong(right, fresh),
            });
        }
        Ok((judged, unseen))
    }

    /// Goes back to `tick`, takes the rows of the server, and simulates up to the newest input.
    fn again(&mut self, tick: Tick, wrong: &[Judged<'_>], received: &[Known<'_>]) -> Result<(), GameError> {
        if !self.history.restore(&mut self.sim, tick)? {
            self.sim.set_tick(tick);
        }
        let is_there =
            |id| self.own == Some(id) || self.near.binary_search(&id).is_ok() || self.spawns.is_there(id, tick);
        let gone: Vec<NetId> = self.sim.ids().filter(|id| !is_there(*id)).collect();
        gone.into_iter().try_for_each(|id| self.sim.remove(id))?;
        wrong.iter().try_for_each(|judged| self.sim.apply_row(judged.known.id, judged.known.row))?;
        for known in received.iter().filter(|known| self.near.binary_search(&known.id).is_ok()) {
            let now = self.sim.row_of(known.id);
            // What the server has not mentioned for a while rests; otherwise its row may be under way.
            let is_told = now.is_none() || tick.diff(known.tick) == 0 || tick.diff(known.tick) > i64::from(SILENT_MAX);
            if is_told && now.as_ref() != Some(known.row) {
                self.sim.apply_row(known.id, known.row)?;
            }
        }
        self.history.save(&mut self.sim);
        self.forget(tick);
        let mut born = Vec::new();
        for i in 0..self.inputs.len() {
            let (at, input) = self.inputs[i].clone();
            if at > tick {
                // What it says again was shown before, or comes from the server.
                self.simulate(at, &input)?;
                born.extend(Born::in_last_tick(&self.sim));
            }
        }
        self.spawns.again(tick, born);
        self.sweep()
    }

    /// Takes out of the world what is not a spawn any more.
    fn sweep(&mut self) -> Result<(), GameError> {
        let there = |id: &NetId| self.sim.row_of(*id).is_some();
        let dropped: Vec<NetId> = self.spawns.take_dropped().into_iter().filter(there).collect();
        dropped.into_iter().try_for_each(|id| self.sim.remove(id))
    }

    /// The key of what the own player has spawned.
    fn key(&self, row: &Row) -> Option<SpawnedFor> {
        row.spawned(self.sim.schema()).filter(|key| key.seat == self.seat.0)
    }

    /// What is judged, as it is now: what shows it goes by, and rows.
    fn rows(&self) -> Vec<(NetId, Row)> {
        let spawns = self.spawns.bodies().map(|(id, body)| (body.shown_as, id));
        let all = self.own.map(|id| (id, id)).into_iter().chain(spawns);
        all.filter_map(|(shown_as, id)| Some((shown_as, self.sim.row_of(id)?))).collect()
    }

    /// What was so `before` glides to where it is now. True when the own player is among it.
    fn smooth(&mut self, before: &[(NetId, Row)]) -> bool {
        let mut moves = false;
        for (shown_as, after) in self.rows() {
            let Some((_, before)) = before.iter().find(|(id, _)| *id == shown_as) else { continue };
            if self.own == Some(shown_as) {
                moves = !matches!(self.error(before, &after), Error::None);
            }
            self.glide(shown_as, before, &after);
        }
        moves
    }

    /// Shows what a correction moved gliding there.
    fn glide(&mut self, shown_as: NetId, before: &Row, after: &Row) {
        let schema = self.sim.schema();
        if self.own == Some(shown_as) {
            self.watch.smoothing.corrected(schema, before, after);
        } else if let Some((_, body)) = self.spawns.bodies_mut().find(|(_, body)| body.shown_as == shown_as) {
            body.watch.smoothing.corrected(schema, before, after);
        }
    }

    fn simulate(&mut self, tick: Tick, input: &I) -> Result<Vec<GameEvent>, GameError> {
        self.sim.set_input(self.seat, input.clone());
        self.sim.set_tick(tick.minus(1));
        self.sim.step()?;
        self.history.save(&mut self.sim);
        Ok(self.sim.take_events())
    }

    fn choose(&self, own: &Known<'_>, received: &[Known<'_>]) -> Vec<NetId> {
        if !self.sim.has_nearby() {
            return Vec::new();
        }
        let others = received.iter().filter(|known| known.id != own.id && self.key(known.row).is_none());
        let others = others.map(|known| (known.id, known.row));
        self.sim.near(own.row, &self.near, others)
    }

    /// Something that was near is not where it was predicted.
    fn is_near_wrong(&self, tick: Tick, received: &[Known<'_>]) -> bool {
        let mut told = received.iter().filter(|known| known.tick == tick && self.near.binary_search(&known.id).is_ok());
        told.any(|known| {
            let predicted = self.history.row(tick, known.id);
            predicted.is_none_or(|row| row.mask != known.row.mask || self.differs(&row, known.row))
        })
    }

    fn differs(&self, a: &Row, b: &Row) -> bool {
        let fields = self.sim.schema().in_mask(a.mask).flat_map(|(_, component)| component.fields.iter());
        fields.zip(a.values.iter().zip(&b.values)).any(|(field, (a, b))| match field.lerp {
            Lerp::Step => a != b,
            Lerp::Linear | Lerp::Angle | Lerp::Quaternion | Lerp::SmallestThree => {
                a.abs_diff(*b) > field.tolerance.max(NEAR_SLACK)
            }
        })
    }
    /// How far the prediction `a` is from the server's row `b`.
    fn error(&self, a: &Row, b: &Row) -> Error {
        let schema = self.sim.schema();
        let mut predicted = schema.components().iter().enumerate().filter(|(_, component)| component.predict);
        if predicted.all(|(i, _)| a.component(schema, i) == b.component(schema, i)) {
            return Error::None;
        }
        if a.mask != b.mask {
            return Error::Large;
        }
        let fields =
            schema.in_mask(a.mask).flat_map(|(_, c)| c.fields.iter().map(|field| (c.predict, field.tolerance)));
        let mut moved = Vec::with_capacity(a.values.len());
        for ((a, b), (predict, tolerance)) in a.values.iter().zip(&b.values).zip(fields) {
            if predict && a.abs_diff(*b) > tolerance {
                return Error::Large;
            }
            moved.push(if predict { b.wrapping_sub(*a) } else { 0 });
        }
        Error::Small(moved)
    }

    /// Moves what was predicted from `tick` on by small errors, without simulating again; false, and nothing changed, when
    /// one is not small.
    fn nudge(&mut self, tick: Tick, judged: &[Judged<'_>]) -> Result<bool, GameError> {
        let mut nudges = Vec::with_capacity(judged.len());
        for Judged { known, error, .. } in judged {
            let (Error::Small(moved), Some(now)) = (error, self.sim.row_of(known.id)) else { return Ok(false) };
            nudges.push((known.id, moved, now));
        }
        for (id, moved, now) in nudges {
            let mut after = now.clone();
            after.values.iter_mut().zip(moved).for_each(|(value, by)| *value = value.wrapping_add(*by));
            self.sim.apply_row(id, &after)?;
            self.history.shift(tick, id, now.mask, moved);
            let shown_as = self.spawns.shown_as(id);
            self.glide(shown_as, &now, &after);
        }
        Ok(true)
    }

    fn forget(&mut self, tick: Tick) {
        while self.inputs.front().is_some_and(|(at, _)| *at <= tick && *at <= self.acked_input) {
            self.inputs.pop_front();
        }
    }
}

/// How far a prediction was from the truth.
enum Error {
    None,
    /// By this much in each integer, which is within the fields' tolerances.
    Small(Vec<i32>),
    Large,
}

/// A prediction beside what the server says of it.
struct Judged<'a> {
    known: Known<'a>,
    error: Error,
    /// There was a prediction.
    guessed: bool,
    wrong: bool,
}

/// What is known of an entity.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) id: NetId,
    /// The tick of its newest row.
    pub(crate) tick: Tick,
    pub(crate) row: &'a Row,
}

#[cfg(test)]
mod tests;
