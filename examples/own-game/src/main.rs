//! Tag for two: the catcher runs after the other, who scores a point per second until caught.
use amphi::prelude::*;

#[derive(Clone, Component, Copy, Replicate)]
#[replica(crate = amphi::prelude)]
struct Runner {
    at: [i32; 2],
    catcher: bool,
}
#[derive(Clone, Default, PartialEq)]
struct Stick([i8; 2]);
impl Input for Stick {
    fn encode(&self, to: &mut BitWriter) {
        self.0.iter().for_each(|way| to.bits((way + 1) as u32, 2));
    }
    fn decode(from: &mut BitReader<'_>) -> Result<Self, OutOfBits> {
        Ok(Self([from.bits(2)? as i8 - 1, from.bits(2)? as i8 - 1]))
    }
    fn sanitise(self) -> Self {
        Self(self.0.map(|way| way.clamp(-1, 1)))
    }
    fn decayed(&self) -> Self {
        self.clone()
    }
}
pub(crate) fn tag(app: &mut App) {
    app.predict::<Runner>().input::<Stick>().modes(&[Mode { name: "tag", teams: 2, team_size: 1, duration_s: 30 }]);
    app.add_systems(Begin, begin.run_if(authority));
    app.add_systems(Simulate, (bots.run_if(authority), run, score.run_if(authority)).chain());
}
fn begin(mut commands: Commands, seats: Res<Seats>) {
    // All start on one spot: the first tick is a catch, and sends everybody home.
    seats.iter().for_each(|(seat, _)| drop(commands.spawn((seat, Runner { at: [0; 2], catcher: seat.0 == 0 }))));
}
fn bots(seats: Res<Seats>, runners: Query<(&Seat, &Runner)>, mut inputs: ResMut<Inputs<Stick>>) {
    for (seat, me) in runners.iter().filter(|(seat, _)| seats.get(**seat).is_some_and(|state| state.bot)) {
        let Some((_, other)) = runners.iter().find(|(other, _)| *other != seat) else { continue };
        let way = if me.catcher { 1 } else { -1 };
        inputs.set(*seat, Stick([0, 1].map(|i| way * (other.at[i] - me.at[i]).signum() as i8)));
    }
}
fn run(inputs: Res<Inputs<Stick>>, mut runners: Query<(&Seat, &mut Runner)>) {
    for (seat, mut me) in &mut runners {
        let (Stick(way), speed) = (inputs.get(*seat), if me.catcher { 7 } else { 5 });
        me.at = [0, 1].map(|i| (me.at[i] + i32::from(way[i]) * speed).clamp(-640, 640));
    }
}
fn score(tick: Res<SimTick>, mut runners: Query<(&Seat, &mut Runner)>, mut board: ResMut<MatchBoard>) {
    let at: Vec<_> = runners.iter().map(|(_, runner)| runner.at).collect();
    let caught = at.windows(2).any(|pair| (0..2).all(|i| (pair[0][i] - pair[1][i]).abs() < 64));
    for (seat, mut me) in &mut runners {
        me.catcher ^= caught;
        me.at = if caught { [i32::from(seat.0) * 1200 - 600; 2] } else { me.at };
        board.team_scores[usize::from(seat.0)] += u32::from(!me.catcher && tick.0.0.is_multiple_of(60));
    }
}
fn main() -> std::process::ExitCode {
    amphi::run(tag)
}
