//! Tag for four: whoever is "it" chases the others, who score a point per second.

use amphi::prelude::*;

/// Half the side of the field.
const FIELD: i32 = 640;
/// Distance at which a touch counts.
const REACH: i32 = 48;
/// Length of a dash, and the ticks until the next one.
const DASH: i32 = 120;
const DASH_TICKS: u32 = 90;

/// What everyone sees of a player. Its owner's client predicts it.
#[derive(Clone, Component, Copy, Replicate)]
pub(crate) struct Runner {
    pub(crate) at: [i32; 2],
    pub(crate) it: bool,
    pub(crate) colour: u8,
    /// Tick from which the player may dash.
    dash_from: u32,
}

/// What a player wants in a tick, in 5 bits.
#[derive(Clone, Default, PartialEq, Input)]
pub(crate) struct Stick {
    #[input(range = "-1..=1")]
    pub(crate) way: [i8; 2],
    pub(crate) dash: bool,
}

/// Somebody dashed. The client of that seat shows it before the server says so, and only once.
#[derive(Replicate)]
#[replica(by = "seat")]
struct Dashed {
    seat: u8,
    from: [i32; 2],
}

/// Somebody is "it" from now on.
#[derive(Replicate)]
pub(crate) struct Caught {
    seat: u8,
}

/// A player asks for a colour.
#[derive(Clone, Copy, Replicate)]
pub(crate) struct PickColour {
    pub(crate) colour: u8,
}

impl Request for PickColour {
    type Answer = Picked;
}

/// Whether it was free.
#[derive(Replicate)]
pub(crate) struct Picked {
    pub(crate) free: bool,
}

pub(crate) fn tag(app: &mut App) {
    app.predict::<Runner>().interpolate::<Runner>();
    app.input::<Stick>().effect::<Dashed>().event::<Caught>().request::<PickColour>();
    app.modes(&[Mode { name: "tag", teams: 2, team_size: 2, duration_s: 60 }]);
    app.add_systems(Begin, begin.run_if(authority));
    // Clients predict `run` alone; the server decides the rest.
    app.add_systems(Simulate, (bots.run_if(authority), run, (colours, catch, score).chain().run_if(authority)).chain());
}

fn begin(mut commands: Commands, seats: Res<Seats>) {
    for (seat, _) in seats.iter() {
        let it = seat.0 == 0;
        commands.spawn((seat, Runner { at: home(seat, it), it, colour: seat.0, dash_from: 0 }));
    }
}

/// Where a seat starts: "it" in the middle, the others in the corners.
fn home(Seat(seat): Seat, it: bool) -> [i32; 2] {
    let corner = [if seat % 2 == 0 { -FIELD } else { FIELD } / 2, if seat / 2 % 2 == 0 { -FIELD } else { FIELD } / 2];
    if it { [0, 0] } else { corner }
}

/// Bots write the same inputs as people do: to the nearest other when "it", else away from "it".
fn bots(seats: Res<Seats>, runners: Query<(&Seat, &Runner)>, mut inputs: ResMut<Inputs<Stick>>) {
    for (seat, me) in runners.iter().filter(|(seat, _)| seats.get(**seat).is_some_and(|state| state.bot)) {
        let others = runners.iter().filter(|(other, runner)| *other != seat && (me.it || runner.it));
        // Of two that are equally near, the next in the round.
        let near = |(other, runner): &(&Seat, &Runner)| (distance(me.at, runner.at), other.0.wrapping_sub(seat.0));
        let Some((_, other)) = others.min_by_key(near) else { continue };
        let side = if me.it { 1 } else { -1 };
        let way = [0, 1].map(|i| side * (other.at[i] - me.at[i]).signum() as i8);
        inputs.set(*seat, Stick { way, dash: distance(me.at, other.at) < 2 * DASH });
    }
}

/// Moves everyone, on the server and ahead of it on the own client.
fn run(
    tick: Res<SimTick>,
    inputs: Res<Inputs<Stick>>,
    mut runners: Query<(&Seat, &mut Runner)>,
    mut events: ResMut<GameEvents>,
) {
    for (seat, mut me) in &mut runners {
        let Stick { way, dash } = inputs.get(*seat);
        let mut step = if me.it { 7 } else { 6 };
        if *dash && tick.0.0 >= me.dash_from {
            events.send(&Dashed { seat: seat.0, from: me.at });
            (step, me.dash_from) = (DASH, tick.0.0 + DASH_TICKS);
        }
        me.at = [0, 1].map(|i| (me.at[i] + i32::from(way[i]) * step).clamp(-FIELD, FIELD));
    }
}

fn colours(asked: Res<Requests<PickColour>>, mut runners: Query<(&Seat, &mut Runner)>, mut events: ResMut<GameEvents>) {
    for asked in asked.iter() {
        let PickColour { colour } = asked.request;
        let free = colour < 8 && runners.iter().all(|(_, runner)| runner.colour != colour);
        if let (true, Some((_, mut me))) = (free, runners.iter_mut().find(|(seat, _)| **seat == asked.seat)) {
            me.colour = colour;
        }
        events.answer(asked, &Picked { free });
    }
}

/// "It" passes to whoever is touched, and everybody starts from home.
fn catch(mut runners: Query<(&Seat, &mut Runner)>, mut events: ResMut<GameEvents>) {
    let Some(it) = runners.iter().find(|(_, runner)| runner.it).map(|(_, runner)| runner.at) else { return };
    let near = runners.iter().filter(|(_, runner)| !runner.it && distance(it, runner.at) < REACH);
    let Some(caught) = near.map(|(seat, _)| *seat).min() else { return };
    events.send(&Caught { seat: caught.0 });
    for (seat, mut runner) in &mut runners {
        runner.it = *seat == caught;
        runner.at = home(*seat, runner.it);
    }
}

fn score(tick: Res<SimTick>, seats: Res<Seats>, runners: Query<(&Seat, &Runner)>, mut board: ResMut<MatchBoard>) {
    for (seat, _) in runners.iter().filter(|(_, runner)| !runner.it && tick.0.0.is_multiple_of(60)) {
        let team = seats.get(*seat).map_or(0, |state| usize::from(state.team));
        board.team_scores[team] += 1;
        board.player_scores[usize::from(seat.0)] += 1;
    }
}

fn distance(a: [i32; 2], b: [i32; 2]) -> i32 {
    (a[0] - b[0]).abs().max((a[1] - b[1]).abs())
}

fn main() -> std::process::ExitCode {
    amphi::run(tag)
}
