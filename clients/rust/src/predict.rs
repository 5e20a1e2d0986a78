//! The own player, simulated ahead of the server in a world that holds nothing else but statics.

use std::collections::VecDeque;

use amphi_shared_replica::{Game, GameError, GameEvent, Input, MatchMode, NetId, Row, Seat, Sim, SimMode};
use amphi_shared_wire::limits::INPUTS_PER_DATAGRAM_MAX;
use amphi_shared_wire::{Seed, Tick};

use crate::smooth::Smoothing;

/// Ticks whose inputs and predictions are kept.
const HISTORY_MAX: usize = 128;
/// Snapshots in a row that may leave a differing prediction unmentioned: its row may be under way.
const SILENT_MAX: u32 = 8;

/// One predicted tick.
struct Predicted<I> {
    tick: Tick,
    input: I,
    /// The own row after it, once the own entity is known.
    row: Option<Row>,
}

/// Predicts the own entity and corrects it.
pub(crate) struct Predictor<I: Input> {
    sim: Sim,
    seat: Seat,
    own: Option<NetId>,
    history: VecDeque<Predicted<I>>,
    acked_input: Tick,
    silent: u32,
    smoothing: Smoothing,
}

impl<I: Input> Predictor<I> {
    pub(crate) fn new(game: &Game, mode: MatchMode, seat: Seat) -> Result<Self, GameError> {
        Ok(Self {
            sim: game.build(SimMode::Predict, mode, Seed(0))?,
            seat,
            own: None,
            history: VecDeque::new(),
            acked_input: Tick(0),
            silent: 0,
            smoothing: Smoothing::default(),
        })
    }

    pub(crate) fn seat(&self) -> Seat {
        self.seat
    }

    pub(crate) fn own(&self) -> Option<NetId> {
        self.own
    }

    /// Simulates the tick after the last one with this input, and says what the game said in it.
    pub(crate) fn advance(&mut self, tick: Tick, input: I) -> Result<Vec<GameEvent>, GameError> {
        let (row, said) = self.simulate(tick, &input)?;
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(Predicted { tick, input, row });
        self.smoothing.tick();
        Ok(said)
    }

    /// The inputs that the server has not applied yet, and the newest one's tick.
    pub(crate) fn unacked(&self) -> Option<(Tick, Vec<I>)> {
        let newest = self.history.back()?.tick;
        let open = self.history.iter().filter(|p| p.tick > self.acked_input);
        let skip = open.clone().count().saturating_sub(INPUTS_PER_DATAGRAM_MAX);
        let inputs: Vec<I> = open.skip(skip).map(|p| p.input.clone()).collect();
        (!inputs.is_empty()).then_some((newest, inputs))
    }

    /// The own row, as predicted.
    pub(crate) fn row(&self) -> Option<Row> {
        self.sim.row_of(self.own?)
    }

    /// The own row, as it should be shown.
    pub(crate) fn shown(&self) -> Option<Row> {
        Some(self.smoothing.shown(&self.row()?))
    }

    /// A snapshot of `tick` was read. `row` is the own row it holds, `known` the newest one received so far.
    /// True when a prediction was made and was wrong.
    pub(crate) fn reconcile(&mut self, tick: Tick, applied: Option<Tick>, own: Own<'_>) -> Result<bool, GameError> {
        self.acked_input = self.acked_input.max(applied.unwrap_or(Tick(0)));
        let first = self.own != Some(own.id);
        self.own = Some(own.id);
        let predicted = self.history.iter().find(|p| p.tick == tick).and_then(|p| p.row.as_ref());
        let error = predicted.map_or(Error::Large, |row| self.error(row, own.row));
        let right = matches!(error, Error::None);
        self.silent = if right || own.fresh { 0 } else { self.silent + 1 };
        let guessed = predicted.is_some() && !first;
        let wrong = first || (!right && (own.fresh || self.silent > SILENT_MAX));
        if !wrong {
            self.forget(tick);
            return Ok(false);
        }
        self.silent = 0;
        let before = self.row().filter(|_| !first);
        if let (Error::Small(moved), Some(before)) = (error, &before) {
            self.nudge(own.id, tick, before, &moved)?;
            return Ok(guessed);
        }
        self.sim.apply_row(own.id, own.row)?;
        self.sim.set_tick(tick);
        self.forget(tick);
        for i in 0..self.history.len() {
            let Predicted { tick: at, input, .. } = &self.history[i];
            let (at, input) = (*at, input.clone());
            if at > tick {
                // What it says again was shown before, or comes from the server.
                self.history[i].row = self.simulate(at, &input)?.0;
            }
        }
        if let (Some(before), Some(after)) = (before, self.row()) {
            self.smoothing.corrected(self.sim.schema(), &before, &after);
        }
        Ok(guessed)
    }

    fn simulate(&mut self, tick: Tick, input: &I) -> Result<(Option<Row>, Vec<GameEvent>), GameError> {
        self.sim.set_input(self.seat, input.clone());
        self.sim.set_tick(tick.minus(1));
        self.sim.step()?;
        let said = self.sim.take_events();
        Ok((self.row(), said))
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

    /// Moves what was predicted from `tick` on by a small error, without simulating again; `now` is the own row.
    fn nudge(&mut self, id: NetId, tick: Tick, now: &Row, moved: &[i32]) -> Result<(), GameError> {
        let shift =
            |row: &mut Row| row.values.iter_mut().zip(moved).for_each(|(value, by)| *value = value.wrapping_add(*by));
        let mut after = now.clone();
        shift(&mut after);
        self.sim.apply_row(id, &after)?;
        self.forget(tick);
        self.history.iter_mut().filter(|p| p.tick > tick).filter_map(|p| p.row.as_mut()).for_each(shift);
        self.smoothing.corrected(self.sim.schema(), now, &after);
        Ok(())
    }

    fn forget(&mut self, tick: Tick) {
        while self.history.front().is_some_and(|p| p.tick <= tick && p.tick <= self.acked_input) {
            self.history.pop_front();
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

/// The own entity in a snapshot.
#[derive(Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) id: NetId,
    /// Its newest row.
    pub(crate) row: &'a Row,
    /// That row came in this snapshot.
    pub(crate) fresh: bool,
}
