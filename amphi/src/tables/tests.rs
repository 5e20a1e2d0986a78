use amphi_server_core::{Room, RoomConfig, RoomOutput};
use amphi_shared_replica::{Begin, Mode, ReplicaApp as _, Replicate, Seats, Simulate};
use amphi_shared_wire::{AppId, MatchId, Micros, TickClock};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;

use super::*;

/// Everyone falls, again and again.
#[derive(Clone)]
struct Falling;

#[derive(Clone, Component, Copy, Replicate)]
struct Height {
    y: i32,
    speed: i32,
}

impl Plugin for Falling {
    fn build(&self, app: &mut App) {
        app.replicate::<Height>().modes(&[Mode { name: "fall", teams: 1, team_size: 3, duration_s: 5 }]);
        app.add_systems(Begin, |mut commands: Commands<'_, '_>, seats: Res<'_, Seats>| {
            for (seat, _) in seats.iter() {
                commands.spawn((seat, Height { y: 900 * i32::from(seat.0), speed: 0 }));
            }
        });
        app.add_systems(Simulate, |mut heights: Query<'_, '_, &mut Height>| {
            for mut height in &mut heights {
                height.speed = if height.y < 0 { 500 } else { height.speed - 9 };
                height.y += height.speed;
            }
        });
    }
}

fn journal(game: &Game, seed: u64) -> Vec<u8> {
    let config = RoomConfig {
        match_id: MatchId::from_bits(u128::from(seed)),
        app: AppId::default(),
        mode: game.mode("fall").unwrap().at(60),
        seats: Vec::new(),
        tick_clock: TickClock { tick0: Micros(0), tick_hz: 60 },
        seed: Seed(seed),
    };
    let (mut room, mut journal) = (Room::new(game, config).unwrap(), Vec::new());
    for _ in 0..301 {
        while let Some(output) = room.poll_output() {
            if let RoomOutput::Journal(record) = output {
                journal.extend_from_slice(&record);
            }
        }
        room.step(Micros(0));
    }
    journal
}

fn options(out: PathBuf, journals: Vec<PathBuf>) -> Train {
    Train { out, journals, matches: 2, seconds: 5, mode: None, tick_hz: 60 }
}

#[test]
fn tables_come_from_journals_or_from_bots_and_fit_the_game() {
    let game = Game::new("falling", Falling);
    let folder = tempfile::tempdir().unwrap();
    let (rooms, out) = (folder.path().join("rooms"), folder.path().join("falling.tables"));
    for seed in 1..=2 {
        let room = rooms.join(seed.to_string());
        fs::create_dir_all(&room).unwrap();
        fs::write(room.join("journal"), journal(&game, seed)).unwrap();
    }
    let read = || Tables::from_bytes(&fs::read(&out).unwrap(), game.schema()).unwrap().hash();
    train(&game, &options(out.clone(), vec![rooms.clone()])).unwrap();
    let from_journals = read();
    train(&game, &options(out.clone(), Vec::new())).unwrap();
    assert_eq!(read(), from_journals, "the matches are the same ones");

    let source = Source::Journal(rooms.join("1/journal"));
    let tables = Arc::new(Tables::from_bytes(&fs::read(&out).unwrap(), game.schema()).unwrap());
    let (plain, coded) = (bytes(&game, &source, None).unwrap(), bytes(&game, &source, Some(&tables)).unwrap());
    assert!(coded < plain, "{coded} bytes in the tables, {plain} without");
}

#[test]
fn what_cannot_be_learned_from_is_named() {
    let game = Game::new("falling", Falling);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("falling.tables");
    let lone = folder.path().join("journal");
    fs::write(&lone, journal(&game, 1)).unwrap();
    let fails = |journals: Vec<PathBuf>, mode: Option<&str>| {
        let options = Train { mode: mode.map(str::to_owned), ..options(out.clone(), journals) };
        format!("{:#}", train(&game, &options).unwrap_err())
    };
    assert!(fails(vec![lone.clone()], None).contains("two matches"));
    assert!(fails(Vec::new(), Some("chess")).contains("fall"));
    assert!(fails(vec![lone, folder.path().join("no-file")], None).contains("no-file"));
    let broken = folder.path().join("broken");
    fs::write(&broken, b"no journal").unwrap();
    assert!(fails(vec![broken.clone(), broken], None).contains("this is no journal"));
    assert!(!out.exists());
}
