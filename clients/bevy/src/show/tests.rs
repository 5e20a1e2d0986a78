use std::borrow::Cow;

use amphi_shared_replica::{Game, ReplicaApp, Replicate, Row};
use bevy_app::App;
use bevy_ecs::prelude::Component;

use super::*;

#[derive(Clone, Component, Copy, Debug, PartialEq, Replicate)]
struct Bolt(i32);

fn shown(id: NetId, shown_as: NetId, place: i32) -> ShownRow<'static> {
    // Component 0 is the seat.
    let row = Row { mask: 0b10, values: vec![place], ..Row::default() };
    ShownRow { id, shown_as, row: Cow::Owned(row), steps: None }
}

#[test]
fn what_the_server_names_stays_the_entity_it_was() {
    let game = Game::new("bolts", |app: &mut App| {
        app.predict::<Bolt>();
    });
    let mut world = World::new();
    let mut entities = Shown::new(RowWriter::new(&game));
    let bolts = |world: &mut World| -> Vec<(Entity, NetId, Bolt)> {
        world.query::<(Entity, &NetId, &Bolt)>().iter(world).map(|(entity, id, bolt)| (entity, *id, *bolt)).collect()
    };
    let (own, number) = (NetId::provisional(77), NetId::provisional(0));
    entities.show(&mut world, None, [shown(own, number, 1)].into_iter());
    let before = bolts(&mut world);
    assert_eq!((before.len(), before[0].1, before[0].2), (1, own, Bolt(1)));
    entities.show(&mut world, None, [shown(NetId(9), number, 2)].into_iter());
    assert_eq!(bolts(&mut world), [(before[0].0, NetId(9), Bolt(2))]);
    entities.show(&mut world, None, std::iter::empty());
    assert_eq!(bolts(&mut world), []);
}
