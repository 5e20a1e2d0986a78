//! The same client without a window: it runs about, looks around and says what it saw.

use std::time::{Duration, Instant};

use amphi::prelude::*;
use amphi_clients_bevy::{
    AmphiClientPlugin, Answered, Ask, AskApp, HearApp, Heard, Invitation, MatchLink, News, Own, PlayerInput,
};
use anyhow::{Result, ensure};
use bevy_app::ScheduleRunnerPlugin;

use crate::game::{Caught, PickColour, Runner, Stick, tag};

/// Frames per second.
const FRAME: Duration = Duration::from_millis(10);
/// The match must have begun by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it saw.
#[derive(Clone, Debug, Default, Resource)]
struct Saw {
    first: Option<u32>,
    ticks: u32,
    mine: Option<[i32; 2]>,
    own_moved: bool,
    others: Vec<(NetId, [i32; 2])>,
    others_moved: bool,
    answered: Option<bool>,
    caught: u32,
    problem: Option<String>,
}

/// Plays for this many ticks.
///
/// # Errors
/// The world did not move, or the match could not be played.
pub fn run(invitation: Invitation, ticks: u32) -> Result<()> {
    let mut app = App::new();
    app.add_plugins((ScheduleRunnerPlugin::run_loop(FRAME), AmphiClientPlugin::<Stick>::new(tag).joining(invitation)));
    app.hear::<Caught>().ask::<PickColour>().init_resource::<Saw>();
    let started = Instant::now();
    app.add_systems(Update, (press, look, ask, listen).chain());
    app.add_systems(Last, move |saw: Res<Saw>, mut exit: MessageWriter<AppExit>| {
        if saw.ticks >= ticks || saw.problem.is_some() || (saw.first.is_none() && started.elapsed() > PATIENCE) {
            exit.write(if judge(&saw).is_ok() { AppExit::Success } else { AppExit::error() });
        }
    });
    let mut saw = Saw::default();
    // The runner takes the app with it, so the last frame says what was seen.
    let (tell, told) = std::sync::mpsc::channel();
    app.add_systems(Last, move |saw: Res<Saw>| drop(tell.send(saw.clone())));
    app.run();
    while let Ok(newer) = told.try_recv() {
        saw = newer;
    }
    println!("{saw:?}");
    judge(&saw)
}

fn judge(saw: &Saw) -> Result<()> {
    ensure!(saw.problem.is_none(), "{}", saw.problem.as_deref().unwrap_or_default());
    ensure!(saw.own_moved, "the own runner did not move");
    ensure!(saw.others_moved, "the others did not move");
    ensure!(saw.answered.is_some(), "the request was not answered");
    Ok(())
}

/// To and fro, and now and then a dash.
fn press(link: Res<MatchLink>, mut input: ResMut<PlayerInput<Stick>>) {
    let tick = link.tick().0;
    let side = if tick / 60 % 2 == 0 { 1 } else { -1 };
    input.0 = Stick { way: [side, -side], dash: tick.is_multiple_of(100) };
}

fn look(link: Res<MatchLink>, runners: Query<(&NetId, &Runner, Has<Own>)>, mut saw: ResMut<Saw>) {
    if runners.is_empty() {
        return;
    }
    let tick = link.tick().0;
    let first = *saw.first.get_or_insert(tick);
    saw.ticks = tick.saturating_sub(first);
    for (id, runner, own) in &runners {
        if own {
            let before = *saw.mine.get_or_insert(runner.at);
            saw.own_moved |= before != runner.at;
            continue;
        }
        match saw.others.iter().find(|(known, _)| known == id).copied() {
            Some((_, before)) => saw.others_moved |= before != runner.at,
            None => saw.others.push((*id, runner.at)),
        }
    }
}

/// Asks for a colour once it is in.
fn ask(mut news: MessageReader<News>, mut ask: MessageWriter<Ask<PickColour>>) {
    if news.read().any(|news| matches!(news, News::Joined(_))) {
        ask.write(Ask(PickColour { colour: 6 }));
    }
}

fn listen(
    mut news: MessageReader<News>,
    mut caught: MessageReader<Heard<Caught>>,
    mut answers: MessageReader<Answered<PickColour>>,
    mut saw: ResMut<Saw>,
) {
    saw.caught += caught.read().count() as u32;
    for Answered { answer, .. } in answers.read() {
        saw.answered = answer.as_ref().ok().map(|picked| picked.free);
    }
    for news in news.read() {
        if let News::Refused { message, .. } | News::Failed { message } | News::Closed { message, .. } = news {
            saw.problem = Some(message.clone());
        }
    }
}
