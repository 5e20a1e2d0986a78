//! The own player and what it can touch, simulated ahead of the server in a world that holds nothing else but statics.
//!
//! Every predicted tick is kept. A snapshot judges the own entity by its quantised state, and corrects what is near. When it
//! shows that the prediction was wrong, the world goes back to that tick, takes the server's rows, and simulates again.

use std::collections::VecDeque;

use amphi_shared_replica::{
    Game, GameError, GameEvent, History, Input, Lerp, MatchMode, NetId, Replicate, Row, Seat, Sim, SimMode,
};
use amphi_shared_wire::limits::INPUTS_PER_DATAGRAM_MAX;
use amphi_shared_wire::{Seed, Tick};

use crate::smooth::Smoothing;

/// Ticks that are kept: of a longer way to the server and back, predictions are made but not judged.
const TICKS_KEPT: usize = 64;
/// Snapshots in a row that may leave a differing prediction unmentioned: its row may be under way.
const SILENT_MAX: u32 = 8;
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
    silent: u32,
    smoothing: Smoothing,
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
            silent: 0,
            smoothing: Smoothing::default(),
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
        if self.inputs.len() == 2 * TICKS_KEPT {
            self.inputs.pop_front();
        }
        self.inputs.push_back((tick, input));
        self.smoothing.tick();
        Ok(said)
    }

    /// The inputs that the server has not applied yet, and the newest one's tick.
    pub(crate) fn unacked(&self) -> Option<(Tick, Vec<I>)> {
        let (newest, _) = self.inputs.back()?;
        let open = self.inputs.iter().filter(|(tick, _)| *tick > self.acked_input);
        let skip = open.clone().count().saturating_sub(INPUTS_PER_DATAGRAM_MAX);
        let inputs: Vec<I> = open.skip(skip).map(|(_, input)| input.clone()).collect();
        (!inputs.is_empty()).then_some((*newest, inputs))
    }

    /// The own row, as predicted.
    pub(crate) fn row(&self) -> Option<Row> {
        self.sim.row_of(self.own?)
    }

    /// The own row, as it should be shown.
    pub(crate) fn shown(&self) -> Option<Row> {
        Some(self.smoothing.shown(&self.row()?))
    }

    /// A component of what is predicted beside the own entity, by id.
    pub(crate) fn nearby<C: Replicate>(&self) -> Vec<(NetId, C)> {
        let schema = self.sim.schema();
        let Some(component) = schema.component(C::NAME) else { return Vec::new() };
        let read = |id: &NetId| Some((*id, C::read(self.sim.row_of(*id)?.component(schema, component)?)));
        self.near.iter().filter_map(read).collect()
    }

    /// A snapshot of `tick` was read; `received` is what is known after it. True when the own player was predicted and had to
    /// be corrected, or when a correction of what is near moves it.
    pub(crate) fn reconcile(
        &mut self,
        tick: Tick,
        applied: Option<Tick>,
        received: &[Known<'_>],
    ) -> Result<bool, GameError> {
        let seat = [i32::from(self.seat.0)];
        // Component 0 of every schema is the seat.
        let own = received.iter().find(|known| known.row.component(self.sim.schema(), 0) == Some(&seat));
        let Some(own) = own else { return Ok(false) };
        self.acked_input = self.acked_input.max(applied.unwrap_or(Tick(0)));
        let first = self.own != Some(own.id);
        self.own = Some(own.id);
        let predicted = self.history.row(tick, own.id).filter(|_| !first);
        let error = predicted.as_ref().map_or(Error::Large, |row| self.error(row, own.row));
        let fresh = own.tick == tick;
        let right = matches!(error, Error::None);
        self.silent = if right || fresh { 0 } else { self.silent + 1 };
        let wrong = first || (!right && (fresh || self.silent > SILENT_MAX));
        let near = self.choose(own, received);
        let near_wrong = near != self.near || self.is_near_wrong(tick, received);
        self.near = near;
        if !wrong && !near_wrong {
            self.forget(tick);
            return Ok(false);
        }
        let guessed = predicted.is_some();
        let before = self.row().filter(|_| !first);
        if wrong {
            self.silent = 0;
        }
        if let (Error::Small(moved), Some(before), true, false) = (error, &before, wrong, near_wrong) {
            self.nudge(own.id, tick, before, &moved)?;
            return Ok(guessed);
        }
        self.again(tick, own, wrong, received)?;
        let (Some(before), Some(after)) = (before, self.row()) else { return Ok(false) };
        self.smoothing.corrected(self.sim.schema(), &before, &after);
        let moves = !matches!(self.error(&before, &after), Error::None);
        Ok(guessed && (wrong || moves))
    }

    /// Goes back to `tick`, takes the rows of the server, and simulates up to the newest input.
    fn again(&mut self, tick: Tick, own: &Known<'_>, wrong: bool, received: &[Known<'_>]) -> Result<(), GameError> {
        if !self.history.restore(&mut self.sim, tick)? {
            self.sim.set_tick(tick);
        }
        let gone = |id: &NetId| *id != own.id && self.near.binary_search(id).is_err();
        let gone: Vec<NetId> = self.sim.ids().filter(gone).collect();
        gone.into_iter().try_for_each(|id| self.sim.remove(id))?;
        if wrong {
            self.sim.apply_row(own.id, own.row)?;
        }
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
        for i in 0..self.inputs.len() {
            let (at, input) = self.inputs[i].clone();
            if at > tick {
                // What it says again was shown before, or comes from the server.
                self.simulate(at, &input)?;
            }
        }
        Ok(())
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
        let others = received.iter().filter(|known| known.id != own.id).map(|known| (known.id, known.row));
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

    /// Moves what was predicted from `tick` on by a small error, without simulating again; `now` is the own row.
    fn nudge(&mut self, id: NetId, tick: Tick, now: &Row, moved: &[i32]) -> Result<(), GameError> {
        let mut after = now.clone();
        after.values.iter_mut().zip(moved).for_each(|(value, by)| *value = value.wrapping_add(*by));
        self.sim.apply_row(id, &after)?;
        self.forget(tick);
        self.history.shift(tick, id, now.mask, moved);
        self.smoothing.corrected(self.sim.schema(), now, &after);
        Ok(())
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

/// What is known of an entity.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) id: NetId,
    /// The tick of its newest row.
    pub(crate) tick: Tick,
    pub(crate) row: &'a Row,
}
