//! The course of a match: kick-off, play, goal, end; and who comes back from the dead.

use amphi_shared_replica::{GameEvents, MatchBoard, MatchMode, Seat, Seats, SimTick};
use bevy_ecs::prelude::{Commands, DetectChangesMut as _, Query, Res, ResMut, Single};
use bevy_ecs::system::SystemParam;

use crate::components::{BALL, CRATE, HEALTH_MAX, NEVER, Phase, Player, Pose, Scoreboard, Thing, Touch};
use crate::event::{Goal, NOBODY};
use crate::map::{self, BALL_RADIUS, HALF_LENGTH};
use crate::movement::{HALF_WIDTH, HOLD_DEAD, HOLD_FREE, HOLD_STILL, PlayerBody, metres};
use crate::physics::{Physics, units};

/// Ticks that all stand still before the ball is in play (1.5 s).
pub const KICK_OFF_TICKS: u32 = 90;
/// Ticks of joy after a goal (2 s).
pub const GOAL_TICKS: u32 = 120;
/// Ticks until a dead player comes back (3 s).
pub const RESPAWN_TICKS: u32 = 180;
/// Ticks without a touch after which the ball goes back to the middle (10 s).
pub const IDLE_TICKS_MAX: u32 = 600;
/// Points for the last toucher of a goal that counts for the own team.
pub const GOAL_POINTS: i16 = 5;
/// Points for a kill of an opponent.
pub const KILL_POINTS: i16 = 1;

// Distance between body and ball that counts as a touch, units.
const TOUCH_DISTANCE: i32 = BALL_RADIUS + HALF_WIDTH + 1_024;

/// All players of the match.
pub(crate) type Players<'w, 's> = Query<'w, 's, (&'static Seat, &'static mut Player, &'static mut PlayerBody)>;

/// What whoever changes the course of the match writes to.
#[derive(SystemParam)]
pub(crate) struct Stage<'w> {
    pub(crate) tick: Res<'w, SimTick>,
    pub(crate) physics: ResMut<'w, Physics>,
    pub(crate) touch: ResMut<'w, Touch>,
    pub(crate) board: ResMut<'w, MatchBoard>,
    pub(crate) events: ResMut<'w, GameEvents>,
}

impl Stage<'_> {
    pub(crate) fn now(&self) -> u32 {
        self.tick.0.0
    }

    pub(crate) fn award(&mut self, seat: Seat, player: &mut Player, points: i16) {
        player.points = player.points.saturating_add(points);
        if let Some(score) = self.board.player_scores.get_mut(usize::from(seat.0)) {
            *score = i32::from(player.points);
        }
    }
}

/// Spawns players, ball, crates and the scoreboard.
pub(crate) fn begin(mut commands: Commands<'_, '_>, seats: Res<'_, Seats>, mode: Res<'_, MatchMode>) {
    for (seat, state) in seats.iter() {
        let before = seats.iter().take(usize::from(seat.0));
        let index = before.filter(|(_, other)| other.team == state.team).count();
        let (feet, yaw) = map::kick_off(state.team, index);
        let body = PlayerBody { hold: HOLD_STILL, ..PlayerBody::at(feet, yaw) };
        commands.spawn((seat, Player::new(state.team, index as u8), body));
    }
    let physics = Physics::new(seats.0.len());
    for index in 0..physics.things() {
        let kind = if index == 0 { BALL } else { CRATE };
        commands.spawn((Thing { kind, index: index as u8 }, physics.pose(index)));
    }
    commands.spawn(Scoreboard {
        phase: Phase::KickOff.number(),
        phase_until: KICK_OFF_TICKS,
        ends_at: mode.duration_ticks(),
        goals: [0; 2],
    });
    commands.insert_resource(physics);
    commands.insert_resource(Touch::default());
}

/// Moves from phase to phase, and brings the dead back.
pub(crate) fn referee(mut score: Single<'_, '_, &mut Scoreboard>, mut players: Players<'_, '_>, mut stage: Stage<'_>) {
    let now = stage.now();
    let due = now >= score.phase_until;
    let phase = score.phase();
    match phase {
        Phase::Over => return,
        Phase::KickOff | Phase::Play | Phase::Goal if now >= score.ends_at => {
            enter(&mut score, Phase::Over, NEVER);
            hold_all(&mut players, HOLD_STILL);
            stage.board.finished = true;
        }
        Phase::KickOff if due => {
            enter(&mut score, Phase::Play, NEVER);
            hold_all(&mut players, HOLD_FREE);
        }
        Phase::Goal if due => {
            enter(&mut score, Phase::KickOff, now + KICK_OFF_TICKS);
            kick_off(&mut players, &mut stage);
        }
        Phase::KickOff | Phase::Play | Phase::Goal => {}
    }
    for (_, mut player, mut body) in &mut players {
        if !player.alive() && now >= player.respawn_at {
            let (feet, yaw) = map::respawn(player.team, usize::from(player.index));
            player.health = HEALTH_MAX;
            *body = PlayerBody::at(feet, yaw);
        }
    }
}

/// Copies poses out of the physics.
pub(crate) fn copy_poses(physics: Res<'_, Physics>, mut things: Query<'_, '_, (&Thing, &mut Pose)>) {
    for (thing, mut pose) in &mut things {
        pose.set_if_neq(physics.pose(usize::from(thing.index)));
    }
}

/// Sees goals, touches, and balls that nobody reaches.
pub(crate) fn watch_ball(
    mut score: Single<'_, '_, &mut Scoreboard>,
    mut players: Players<'_, '_>,
    mut stage: Stage<'_>,
) {
    if score.phase() != Phase::Play {
        return;
    }
    let ball = stage.physics.centre(0);
    see_touch(units(ball), &players, &mut stage.touch);
    if ball.x.abs() > metres(HALF_LENGTH + BALL_RADIUS) {
        let team = if ball.x > 0.0 { 0 } else { 1 };
        goal(team, &mut score, &mut players, &mut stage);
    } else if stage.touch.idle_ticks > IDLE_TICKS_MAX {
        *stage.touch = Touch::default();
        stage.physics.send_home(0);
    }
}

fn see_touch(ball: [i32; 3], players: &Players<'_, '_>, touch: &mut Touch) {
    touch.idle_ticks += 1;
    let near = |body: &PlayerBody| {
        let (x, z) = (body.x - ball[0], body.z - ball[2]);
        x.abs() < TOUCH_DISTANCE
            && z.abs() < TOUCH_DISTANCE
            && x * x + z * z < TOUCH_DISTANCE * TOUCH_DISTANCE
            && (body.y - BALL_RADIUS..body.y + 8_192 + BALL_RADIUS).contains(&ball[1])
    };
    // The lowest seat wins a tie, in whatever order the entities lie.
    let closest = players.iter().filter(|(_, player, body)| player.alive() && near(body)).map(|(seat, ..)| *seat).min();
    if let Some(seat) = closest {
        touch.by(seat);
    }
}

fn goal(team: u8, score: &mut Scoreboard, players: &mut Players<'_, '_>, stage: &mut Stage<'_>) {
    let now = stage.now();
    score.goals[usize::from(team)] = score.goals[usize::from(team)].saturating_add(1);
    if let Some(total) = stage.board.team_scores.get_mut(usize::from(team)) {
        *total += 1;
    }
    let toucher = stage.touch.seat;
    for (seat, mut player, _) in players {
        if Some(seat.0) == toucher && player.team == team {
            stage.award(*seat, &mut player, GOAL_POINTS);
        }
    }
    let goals = score.goals.map(|goals| goals.min(255) as u8);
    stage.events.send(&Goal { team, seat: toucher.unwrap_or(NOBODY), goals });
    enter(score, Phase::Goal, now + GOAL_TICKS);
}

fn enter(score: &mut Scoreboard, phase: Phase, until: u32) {
    score.phase = phase.number();
    score.phase_until = until;
}

fn hold_all(players: &mut Players<'_, '_>, hold: u8) {
    for (_, player, mut body) in players {
        body.hold = if player.alive() { hold } else { HOLD_DEAD };
    }
}

fn kick_off(players: &mut Players<'_, '_>, stage: &mut Stage<'_>) {
    for (_, mut player, mut body) in players {
        let (feet, yaw) = map::kick_off(player.team, usize::from(player.index));
        player.health = HEALTH_MAX;
        *body = PlayerBody { hold: HOLD_STILL, ..PlayerBody::at(feet, yaw) };
    }
    for index in 0..stage.physics.things() {
        stage.physics.send_home(index);
    }
    *stage.touch = Touch::default();
}
