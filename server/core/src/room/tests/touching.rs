//! Bodies that touch each other reach a player in one datagram.

use std::collections::BTreeMap;

use amphi_shared_replica::{NetId, Touching};

use super::*;

const GROUPS: u8 = 15;
/// Room for a few of the groups.
const BUDGET_BYTES: usize = 90;

/// Things that jump at random; each touches the others of its group, if `together`.
#[derive(Clone)]
struct Piles {
    together: bool,
}

#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Pile(u8);

impl Plugin for Piles {
    fn build(&self, app: &mut App) {
        app.replicate::<Place>().replicate::<Pile>();
        app.modes(&[Mode { name: "duel", teams: 2, team_size: 2, duration_s: 4 }]);
        app.add_systems(Begin, |mut commands: Commands<'_, '_>, seats: Res<'_, Seats>| {
            for (seat, _) in seats.iter() {
                commands.spawn((seat, Place { x: 0 }, Pile(seat.0)));
            }
            for n in 0..3 * GROUPS {
                commands.spawn((Place { x: 0 }, Pile(n % GROUPS)));
            }
        });
        let together = self.together;
        app.add_systems(Simulate, (jump, touch.run_if(move || together)).chain());
    }
}

fn jump(mut places: Query<'_, '_, &mut Place>, mut rng: ResMut<'_, SimRng>) {
    for mut place in &mut places {
        if rng.0.chance(600) {
            place.x += rng.0.below(2_000) as i32;
        }
    }
}

fn touch(things: Query<'_, '_, (Entity, &Pile)>, mut touching: ResMut<'_, Touching>) {
    let mut first: BTreeMap<u8, Entity> = BTreeMap::new();
    for (entity, pile) in &things {
        touching.pair(*first.entry(pile.0).or_insert(entity), entity);
    }
}

/// Everything that a room writes down, and how many groups its player was told one half of and how many waited.
fn play(together: bool) -> (Vec<u8>, usize, usize) {
    let game = Game::new("piles", Piles { together });
    let (mut room, mut said) = (room_of(&game, 3), Said::default());
    let mut decoder = SnapshotDecoder::new(Arc::clone(game.schema()));
    let seat = join(&mut room, 1);
    let (mut torn, mut waited) = (0, 0);
    for tick in 1..=200 {
        room.step(CLOCK.start_of(Tick(tick)));
        let sim = &room.world.sim;
        let truth: BTreeMap<NetId, Row> = sim.ids().filter_map(|id| Some((id, sim.row_of(id)?))).collect();
        let pile = |id: &NetId| sim.world().get::<Pile>(sim.entity_of(*id).unwrap()).unwrap().0;
        let piles: Vec<Vec<NetId>> =
            (0..GROUPS).map(|n| truth.keys().filter(|id| pile(id) == n).copied().collect()).collect();
        let lacks = |decoder: &SnapshotDecoder, id: &NetId| decoder.row(*id).is_none_or(|(_, row)| *row != truth[id]);
        let lacking = |decoder: &SnapshotDecoder| -> Vec<usize> {
            piles.iter().map(|pile| pile.iter().filter(|id| lacks(decoder, id)).count()).collect()
        };
        let before = lacking(&decoder);
        let snapshot = room.encode_snapshot(seat, BUDGET_BYTES).unwrap();
        decoder.decode(&snapshot).unwrap();
        for (before, after) in before.into_iter().zip(lacking(&decoder)) {
            torn += usize::from(after != 0 && after != before);
            waited += usize::from(after != 0);
        }
        room.snapshot_sent(seat, tick as u16);
        room.on_acked(seat, tick as u16);
    }
    said.drain(&mut room);
    (said.journal, torn, waited)
}

#[test]
fn all_that_changed_of_a_group_is_in_a_datagram_or_nothing() {
    let (journal, torn, waited) = play(true);
    assert_eq!(torn, 0);
    assert!(waited > 200, "{waited}");
    let (alone, torn, _) = play(false);
    assert!(torn > 200, "{torn}");
    assert!(journal == alone, "who touches whom is not in the journal, nor in its hashes");
}

#[test]
fn pairs_that_are_too_many_are_counted() {
    let mut room = room(1);
    let seat = room.world.sim.entity_of_seat(Seat(0)).and_then(|id| room.world.sim.entity_of(id)).unwrap();
    let mut touching = room.world.sim.world_mut().resource_mut::<Touching>();
    (0..amphi_shared_wire::limits::TOUCHING_PAIRS_MAX + 2).for_each(|_| touching.pair(seat, seat));
    room.step(CLOCK.start_of(Tick(1)));
    assert_eq!(room.stats().touching_left_out, 2);
}
