use amphi_server_core::{Room, RoomConfig, RoomOutput};
use amphi_shared_replica::{Begin, Mode, ReplicaApp as _, Replicate, Seats, Simulate, Trainer};
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

fn learned(game: &Game, recordings: &[Recording]) -> Arc<Tables> {
    let mut trainer = Trainer::new(Arc::clone(game.schema()));
    for recording in recordings {
        trainer.start_match();
        recording.play(game, |mirror| trainer.note(mirror)).unwrap();
    }
    Arc::new(trainer.finish())
}

#[test]
fn journals_and_bots_give_the_same_tables_and_they_save_bytes() {
    let game = Game::new("falling", Falling);
    let rooms = tempfile::tempdir().unwrap();
    for seed in 1..=2 {
        let room = rooms.path().join(seed.to_string());
        fs::create_dir_all(&room).unwrap();
        fs::write(room.join("journal"), journal(&game, seed)).unwrap();
    }
    let journals = Recording::journals(rooms.path()).unwrap();
    assert_eq!(journals.len(), 2);
    let bots = [1, 2].map(|seed| Recording::Bots(game.mode("fall").unwrap().at(60), seed));
    let tables = learned(&game, &journals);
    assert_eq!(tables.hash(), learned(&game, &bots).hash(), "the matches are the same ones");
    let (plain, coded) = (bots[0].snapshot_bytes(&game, None), journals[0].snapshot_bytes(&game, Some(&tables)));
    assert!(coded.unwrap() < plain.unwrap());
}

#[test]
fn what_cannot_be_played_again_is_named() {
    let game = Game::new("falling", Falling);
    let folder = tempfile::tempdir().unwrap();
    let fails = |bytes: Option<&[u8]>| {
        let path = folder.path().join("journal");
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).unwrap();
        }
        Recording::Journal(path).play(&game, |_| ()).unwrap_err()
    };
    assert!(matches!(fails(None), RecordingError::Unreadable { .. }));
    assert!(matches!(fails(Some(b"no journal")), RecordingError::Replay { .. }));
    let changed = Game::new("falling", Falling).with_version("9");
    assert!(matches!(
        fails(Some(&journal(&changed, 1))),
        RecordingError::Replay { source: ReplayError::Build { .. }, .. }
    ));
}
