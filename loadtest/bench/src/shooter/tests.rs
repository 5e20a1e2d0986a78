use super::battle::{self, PLAYERS, PROJECTILES, VEHICLES};
use super::trace::Kind;

#[test]
fn a_battle_fits_the_fewest_bits_and_repeats() {
    let trace = battle::record(1, 60, 120);
    for things in &trace.ticks {
        let count = |kind: Kind| things.iter().filter(|thing| thing.kind == kind).count();
        assert_eq!([Kind::Player, Kind::Projectile, Kind::Vehicle].map(count), [PLAYERS, PROJECTILES, VEHICLES]);
        assert!(things.is_sorted_by(|a, b| a.id < b.id));
        for thing in things {
            let [x, y, z] = thing.place;
            assert!((0..1 << 15).contains(&x) && (0..1 << 13).contains(&y) && (0..1 << 15).contains(&z), "{thing:?}");
            assert!(thing.speed.iter().all(|part| part.abs() < 1 << 12), "{thing:?}");
        }
    }
    assert!(trace.changed_percent() > 90.0, "{} % change", trace.changed_percent());
    assert_eq!(trace, battle::record(1, 60, 120));
}
