//! The plugin for a game's own Bevy client, against a running service.

use std::time::{Duration, Instant};

use amphi_clients_bevy::{AmphiClientPlugin, HearApp, Heard, Invitation, MatchLink, News, Own, Phase, PlayerInput};
use amphi_server_arena::event::Pulse;
use amphi_server_arena::movement::PlayerBody;
use amphi_server_arena::{Arena, ArenaInput};
use amphi_shared_replica::{NetId, Seat};
use bevy_app::{App, Update};
use bevy_ecs::prelude::*;

use crate::process::Up;
use crate::service::Person;

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Fire.
const FIRE: u8 = 4;

/// Everything the app was told.
#[derive(Default, Resource)]
struct Diary {
    news: Vec<News>,
    pulses: Vec<Heard<Pulse>>,
}

fn app(invitation: Option<Invitation>) -> App {
    let mut app = App::new();
    let plugin = AmphiClientPlugin::<ArenaInput>::new(Arena);
    app.add_plugins(match invitation {
        Some(invitation) => plugin.joining(invitation),
        None => plugin,
    });
    app.hear::<Pulse>().init_resource::<Diary>().add_systems(
        Update,
        |mut diary: ResMut<'_, Diary>,
         mut news: MessageReader<'_, '_, News>,
         mut pulses: MessageReader<'_, '_, Heard<Pulse>>| {
            diary.news.extend(news.read().cloned());
            diary.pulses.extend(pulses.read().cloned());
        },
    );
    app
}

/// Runs frames until there is an answer.
fn until<T>(app: &mut App, what: &str, mut answer: impl FnMut(&mut World) -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        app.update();
        if let Some(found) = answer(app.world_mut()) {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: {:?}", app.world().resource::<Diary>().news);
        std::thread::yield_now();
    }
}

fn own(world: &mut World) -> Option<PlayerBody> {
    world.query_filtered::<&PlayerBody, With<Own>>().single(world).ok().copied()
}

async fn invited(up: &Up, name: &str) -> Invitation {
    Invitation::from_json(&Person::guest(up, name).await.play("blitz").await.to_string()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bevy_app_plays_a_match_and_leaves_it() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let invitation = invited(&up, "Ada").await;
    tokio::task::block_in_place(|| {
        let mut app = app(Some(invitation.clone()));
        let joined = until(&mut app, "no greeting", |world| {
            let news = &world.resource::<Diary>().news;
            news.iter().find_map(|news| if let News::Joined(joined) = news { Some(joined.clone()) } else { None })
        });
        assert_eq!(joined.mode, "blitz");
        let start = until(&mut app, "no own entity", own);
        let (everyone, mine) = {
            let world = app.world_mut();
            let everyone = world.query::<(&NetId, &PlayerBody)>().iter(world).count();
            let mine = world.query_filtered::<&Seat, With<Own>>().single(world).copied();
            (everyone, mine)
        };
        assert!(everyone > 1, "only {everyone} players are shown");
        assert_eq!(mine.ok(), Some(Seat(joined.seat)));

        app.world_mut().resource_mut::<PlayerInput<ArenaInput>>().0 =
            ArenaInput { move_y: 127, buttons: FIRE, ..ArenaInput::default() };
        until(&mut app, "it does not move", |world| {
            let now = own(world)?;
            (now.x.abs_diff(start.x) + now.z.abs_diff(start.z) > 4_096).then_some(())
        });
        until(&mut app, "no pulse is heard", |world| (!world.resource::<Diary>().pulses.is_empty()).then_some(()));
        let link = app.world().resource::<MatchLink>();
        assert_eq!((link.phase(), link.seat(), link.dropped()), (Phase::Playing, Some(joined.seat), 0));
        assert!(link.rtt().is_some() && link.stats().snapshots > 0);

        assert!(app.world().resource::<MatchLink>().leave());
        until(&mut app, "it stays", |world| (world.resource::<MatchLink>().phase() == Phase::Idle).then_some(()));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_token_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let invitation = invited(&up, "Bob").await;
    tokio::task::block_in_place(|| {
        let mut first = app(Some(invitation.clone()));
        until(&mut first, "no own entity", own);
        let mut second = app(None);
        second.update();
        assert_eq!(second.world().resource::<MatchLink>().phase(), Phase::Idle);
        assert!(second.world().resource::<MatchLink>().join(invitation.clone()));
        let said = until(&mut second, "no refusal", |world| {
            let news = &world.resource::<Diary>().news;
            news.iter()
                .find_map(|news| if let News::Refused { message, .. } = news { Some(message.clone()) } else { None })
        });
        assert!(said.contains("A0203"), "{said}");
    });
}
