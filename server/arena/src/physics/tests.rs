use super::*;

fn settled() -> Physics {
    let mut physics = Physics::new(2);
    for _ in 0..240 {
        physics.step();
    }
    physics
}

#[test]
fn everything_comes_to_rest_on_the_floor() {
    let physics = settled();
    for index in 0..physics.things() {
        let pose = physics.pose(index);
        assert!(pose.velocity.iter().all(|v| v.abs() < 8), "{index}: {pose:?}");
        assert!(pose.y > 200 && pose.y < 800, "{index}: {pose:?}");
    }
}

#[test]
fn a_clone_and_a_saved_copy_go_on_alike() {
    let mut physics = settled();
    physics.push(0, Vector::new(9.0, 2.0, 3.0), None);
    physics.push(3, Vector::new(-4.0, 3.0, 1.0), Some(physics.centre(3) + Vector::new(0.2, 0.3, 0.0)));
    physics.step();
    let mut copies = [physics.clone(), postcard::from_bytes(&postcard::to_stdvec(&physics).unwrap()).unwrap()];
    for _ in 0..200 {
        physics.step();
        for copy in &mut copies {
            copy.step();
        }
    }
    let bytes = postcard::to_stdvec(&physics).unwrap();
    for copy in &copies {
        assert!(postcard::to_stdvec(copy).unwrap() == bytes);
    }
}

#[test]
fn a_pulse_sees_what_is_first_in_its_way() {
    let mut physics = settled();
    let body = PlayerBody::at([4 * map::METRE, 0, 0], 0);
    physics.place(Seat(1), &body, true);
    physics.step();
    let east = Vector::new(1.0, 0.0, 0.0);
    let (target, distance) = physics.look(Seat(0), Vector::new(-5.0, 0.6, 0.0), east, 60.0);
    assert_eq!(target, Target::Thing(0));
    assert!((4.2..4.6).contains(&distance), "{distance}");
    let (target, _) = physics.look(Seat(0), Vector::new(-5.0, 1.5, 0.0), east, 60.0);
    assert_eq!(target, Target::Player(Seat(1)));
    let (target, _) = physics.look(Seat(1), Vector::new(4.0, 1.5, 0.0), east, 60.0);
    assert_eq!(target, Target::Block);
    physics.place(Seat(1), &body, false);
    physics.step();
    let (target, _) = physics.look(Seat(0), Vector::new(-5.0, 1.5, 0.0), east, 60.0);
    assert_eq!(target, Target::Block);
}

#[test]
fn a_thing_outside_of_the_field_starts_again() {
    let mut physics = settled();
    let ball = physics.things[0];
    for lost in [Vector::new(90.0, 1.0, 0.0), Vector::new(0.0, -9.0, 0.0), Vector::new(f32::NAN, 0.0, 0.0)] {
        physics.world.bodies[ball].set_translation(lost, true);
        physics.tame(0);
        assert_eq!(physics.centre(0), vector(map::ball_home()));
    }
}

#[test]
fn the_ledge_of_a_crate_is_its_outline() {
    let flat = components::Pose { y: 256, rotation: [0, 0, 0, 511], ..components::Pose::default() };
    assert_eq!(ledge(&flat), ([-2_048, 0, -2_048], [2_048, 4_096, 2_048]));
    // Turned by 45° about the vertical: √2 wider.
    let turned = components::Pose { rotation: [0, 196, 0, 472], ..flat };
    let (min, max) = ledge(&turned);
    assert_eq!((min[1], max[1]), (0, 4_096));
    assert!((2_880..2_900).contains(&max[0]) && max[0] == max[2], "{max:?}");
    // Nonsense from a peer is survived.
    ledge(&components::Pose { x: i32::MAX, y: i32::MIN, z: 5, rotation: [i16::MIN; 4], velocity: [0; 3] });
}

#[test]
fn the_ball_touches_who_stands_at_it() {
    let mut physics = settled();
    let touchers = |physics: &Physics| physics.players_at(0).collect::<Vec<_>>();
    assert_eq!(touchers(&physics), []);
    physics.place(Seat(0), &PlayerBody::at([-8 * map::METRE, 0, 0], 0), true);
    let at = map::ball_home()[0] - BALL_RADIUS - HALF_WIDTH + 200;
    physics.place(Seat(1), &PlayerBody::at([at, 0, 0], 0), true);
    physics.step();
    physics.step();
    assert_eq!(touchers(&physics), [Seat(1)]);
}
