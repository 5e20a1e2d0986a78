use bevy_app::App;
use bevy_ecs::prelude::*;

use super::*;
use crate::ReplicaApp;

#[derive(Clone, Component, Copy, Debug, PartialEq, Replicate)]
struct At {
    #[replica(unit = "1/4")]
    x: f32,
}

#[derive(Clone, Component, Copy, Debug, PartialEq, Replicate)]
struct Flag {
    up: bool,
}

fn writer() -> RowWriter {
    RowWriter::new(&Game::new("row-writer", |app: &mut App| {
        app.interpolate::<At>().replicate::<Flag>();
    }))
}

/// Component 0 is the seat, 1 is `At`, 2 is `Flag`.
fn row(mask: u64, values: &[i32]) -> Row {
    Row { mask, values: values.to_vec(), ..Row::default() }
}

#[test]
fn a_component_is_shown_between_rows_and_leaves_with_its_row() {
    let (writer, mut world) = (writer(), World::new());
    let mut entity = world.spawn_empty();
    let (a, b) = (row(0b110, &[4, 1]), row(0b010, &[8]));
    let mask = writer.show(&mut entity, 0, (&a, Some(&[6.0, 1.0])));
    assert_eq!((entity.get::<At>(), entity.get::<Flag>()), (Some(&At { x: 1.5 }), Some(&Flag { up: true })));
    let mask = writer.show(&mut entity, mask, (&b, None));
    assert_eq!((entity.get::<At>(), entity.get::<Flag>()), (Some(&At { x: 2.0 }), None));
    assert_eq!(mask, 0b010);
}

#[test]
fn what_rests_is_not_touched() {
    let (writer, mut world) = (writer(), World::new());
    let id = world.spawn_empty().id();
    let rests = row(0b010, &[4]);
    let changed = |world: &mut World, steps: Option<&[f64]>| {
        world.increment_change_tick();
        writer.show(&mut world.entity_mut(id), 0b010, (&rests, steps));
        let ticks = world.entity(id).get_change_ticks::<At>().map(|ticks| ticks.changed);
        ticks.map(|tick| tick.get())
    };
    let first = changed(&mut world, None);
    assert!(first.is_some());
    assert_eq!(changed(&mut world, None), first);
    assert_eq!(changed(&mut world, Some(&[4.0])), first);
}
