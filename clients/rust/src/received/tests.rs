use amphi_shared_replica::{
    Game, Mode, Recipient, ReplicaApp as _, Replicate, SimMode, SnapshotEncoder, SnapshotHeader, TRAINED_SET, Trainer,
};
use amphi_shared_wire::Seed;
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::Component;

use super::*;

mod old {
    use super::*;

    #[derive(Clone, Component, Copy, Debug, PartialEq, Replicate)]
    pub(super) struct Place {
        pub(super) x: i32,
    }

    #[derive(Clone)]
    pub(super) struct Build;

    impl Plugin for Build {
        fn build(&self, app: &mut App) {
            app.replicate::<Place>();
        }
    }
}

mod new {
    use super::*;

    #[derive(Clone, Component, Copy, Replicate)]
    pub(super) struct Shield(pub(super) u8);

    #[derive(Clone, Component, Copy, Replicate)]
    pub(super) struct Place {
        pub(super) x: i32,
        pub(super) turn: i16,
    }

    #[derive(Clone)]
    pub(super) struct Build;

    impl Plugin for Build {
        fn build(&self, app: &mut App) {
            app.replicate::<Shield>().replicate::<Place>();
            app.modes(&[Mode { name: "test", teams: 1, team_size: 1, duration_s: 10 }]);
        }
    }
}

/// A newer host, and an older client that hears its snapshots.
#[test]
fn an_older_build_sees_a_newer_host() {
    let game = Game::new("game", new::Build);
    let mut sim = game.build(SimMode::Authority, game.mode("test").unwrap().at(60), Seed(1)).unwrap();
    let entity = sim.world_mut().spawn((new::Shield(9), new::Place { x: 5, turn: -3 })).id();
    let mut trainer = Trainer::new(Arc::clone(game.schema()));
    let tables = Arc::new({
        trainer.note(sim.mirror());
        trainer.finish()
    });
    let (mut encoder, mut recipient) = (SnapshotEncoder::with_tables(Arc::clone(&tables)), Recipient::new());
    let own = Game::new("game", old::Build);
    let mut received = Received::new(Arc::clone(own.schema()));
    for tick in 1..=40_u16 {
        sim.world_mut().entity_mut(entity).insert(new::Place { x: i32::from(tick) * 3, turn: tick as i16 });
        sim.step().unwrap();
        encoder.start_tick(sim.mirror());
        let snapshot = encoder.encode(sim.mirror(), &mut recipient, SnapshotHeader::default(), None, 500).unwrap();
        let snapshot = Bytes::copy_from_slice(snapshot);
        recipient.sent(tick);
        recipient.on_acked(tick);
        if tick < 4 {
            assert!(received.decode(&snapshot).is_none(), "it waits for the schema");
            continue;
        }
        if tick == 4 {
            let early = received.begin(game.schema().to_json(), 60).unwrap();
            assert_eq!(early.len(), 3);
            early.iter().for_each(|snapshot| drop(received.decode(snapshot).unwrap().unwrap()));
            assert!(received.begin(game.schema().to_json(), 60).unwrap().is_empty());
            let message = proto::Tables {
                set: u32::from(TRAINED_SET),
                hash: tables.hash(),
                data: Bytes::copy_from_slice(tables.to_bytes()),
            };
            assert!(!received.add_tables(&proto::Tables { hash: 1, ..message.clone() }));
            assert!(received.add_tables(&message));
            recipient.use_tables(TRAINED_SET);
        }
        let read = received.decode(&snapshot).unwrap().unwrap();
        assert_eq!(read.header.tables, if tick > 4 { TRAINED_SET } else { 0 });
        let seen: Vec<Row> = received.entities().map(|(_, _, row)| row.into_owned()).collect();
        assert_eq!(seen, [Row { mask: 0b10, values: vec![i32::from(tick) * 3], ..Row::default() }]);
        assert_eq!(
            received.row(NetId(1)).map(|(at, row)| (at, row.values.clone())),
            Some((received.tick(), vec![i32::from(tick) * 3]))
        );
    }
}

#[test]
fn another_game_is_refused_in_words() {
    let own = Game::new("game", new::Build);
    let mut received = Received::new(Arc::clone(own.schema()));
    let other = own.schema().to_json().replace("\"turn\"", "\"spin\"");
    let words = received.begin(&other, 60).unwrap_err();
    assert!(words.contains("this build has turn, the host spin"), "{words}");
    assert!(received.begin("{}", 60).unwrap_err().contains("cannot be read"));
    assert!(received.begin(own.schema().to_json(), 60).is_ok());
}
