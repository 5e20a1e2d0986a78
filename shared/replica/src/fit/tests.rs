use amphi_shared_wire::{BitReader, Seed, Tick};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::Component;

use super::*;
use crate::{Game, InputPort, Lerp, ReplicaApp as _, Replicate, Request, SchemaError, encode_inputs_with};

mod old {
    use super::*;

    #[derive(Clone, Component, Copy, Replicate)]
    pub(super) struct Place {
        #[replica(unit = "1/512")]
        pub(super) at: [f32; 2],
    }

    #[derive(Clone, Component, Copy, Replicate)]
    pub(super) struct Health(pub(super) u8);

    #[derive(Replicate)]
    pub(super) struct Hit {
        by: u8,
    }

    #[derive(Replicate)]
    pub(super) struct Buy {
        item: u16,
    }

    #[derive(Replicate)]
    pub(super) struct Bought {
        ok: bool,
    }

    impl Request for Buy {
        type Answer = Bought;
    }

    #[derive(Clone, Debug, Default, Input, PartialEq)]
    pub(super) struct Stick {
        #[input(range = "-1..=1")]
        pub(super) way: [i8; 2],
    }

    #[derive(Clone)]
    pub(super) struct Build;

    impl Plugin for Build {
        fn build(&self, app: &mut App) {
            app.interpolate::<Place>().predict::<Health>().input::<Stick>().event::<Hit>().request::<Buy>();
        }
    }
}

/// One struct of each kind has grown, and there are new ones.
mod new {
    use super::*;

    #[derive(Clone, Component, Copy, Replicate)]
    pub(super) struct Shield {
        left: u8,
    }

    #[derive(Clone, Component, Copy, Replicate)]
    pub(super) struct Place {
        #[replica(unit = "1/512")]
        at: [f32; 2],
        #[replica(lerp = "angle")]
        turn: i16,
    }

    #[derive(Clone, Component, Copy, Replicate)]
    #[replica(seen_by = "team")]
    pub(super) struct Health(u8);

    #[derive(Replicate)]
    #[replica(by = "by")]
    pub(super) struct Hit {
        by: u8,
        strength: i32,
    }

    #[derive(Replicate)]
    pub(super) struct Buy {
        item: u16,
        count: u8,
    }

    #[derive(Replicate)]
    pub(super) struct Bought {
        ok: bool,
        gold: u32,
    }

    impl Request for Buy {
        type Answer = Bought;
    }

    #[derive(Clone, Debug, Default, Input, PartialEq)]
    pub(super) struct Stick {
        #[input(range = "-1..=1")]
        pub(super) way: [i8; 2],
        #[input(range = "2..=5", late = "release")]
        pub(super) slot: u8,
        #[input(unit = "1/100", range = "-3.2..=3.2", late = "fade")]
        pub(super) aim: f32,
    }

    #[derive(Clone)]
    pub(super) struct Build;

    impl Plugin for Build {
        fn build(&self, app: &mut App) {
            app.replicate::<Shield>().interpolate::<Place>().predict::<Health>();
            app.input::<Stick>().event::<Hit>().effect::<Place2>().request::<Buy>();
        }
    }

    #[derive(Replicate)]
    #[replica(by = "seat")]
    pub(super) struct Place2 {
        seat: u8,
    }
}

fn schemas() -> (Schema, Schema) {
    let schema = |game: Game| Schema::clone(game.schema());
    (schema(Game::new("game", old::Build)), schema(Game::new("game", new::Build)))
}

#[test]
fn a_schema_reads_what_it_wrote() {
    let (_, new) = schemas();
    let read = Schema::read(new.to_json()).unwrap();
    assert_eq!((read.to_json(), read.hash(), read.components()), (new.to_json(), new.hash(), new.components()));
    assert_eq!((read.input(), read.events()), (new.input(), new.events()));
    assert_eq!(read.requests()[0].answer, "Bought");
    assert!(std::sync::Arc::ptr_eq(&read, &Schema::read(new.to_json()).unwrap()));
    let rotation = new.to_json().replace("\"angle\"", "\"smallest_three\"");
    assert_eq!(Schema::read(&rotation).unwrap().components()[2].fields[2].lerp, Lerp::SmallestThree);
}

#[test]
fn what_is_no_schema_is_refused() {
    let (_, new) = schemas();
    let json = new.to_json();
    for (from, to) in [
        ("\"kind\":\"i16\"", "\"kind\":\"i17\""),
        ("\"angle\"", "\"spline\""),
        ("\"min\":2,", ""),
        ("\"max\":5", "\"max\":4294967300"),
        ("\"max\":5", "\"max\":1"),
        ("\"seen_by\":\"team\"", "\"seen_by\":\"nobody\""),
        ("}", ""),
    ] {
        assert!(json.contains(from), "{from}");
        let error = Schema::read(&json.replacen(from, to, 1));
        assert!(matches!(error, Err(SchemaError::Invalid(_))), "{from} → {to}: {error:?}");
    }
    let field = "{\"name\":\"x\",\"unit\":\"1\",\"kind\":\"u8\",\"lerp\":\"step\"},";
    let fields = field.repeat(33);
    let wide = format!(
        "{{\"components\":[{{\"name\":\"Wide\",\"predict\":false,\"interpolate\":false,\"fields\":[{}]}}]}}",
        fields.trim_end_matches(',')
    );
    assert!(matches!(Schema::read(&wide), Err(SchemaError::Invalid(_))));
    let long = " ".repeat(amphi_shared_wire::limits::SCHEMA_BYTES_MAX) + json;
    assert!(matches!(Schema::read(&long), Err(SchemaError::Invalid(_))));
}

#[test]
fn the_older_build_reads_the_beginning_and_the_newer_one_zeros() {
    let (old, new) = schemas();
    // Seat, Shield, Place, Health: with all but Seat.
    let row = Row { mask: 0b1110, values: vec![7, 100, 200, 300, 50], ..Row::default() };
    let fit = SchemaFit::new(&old, &new).unwrap();
    let seen = fit.row(&old, &new, &row);
    assert_eq!(seen, Row { mask: 0b110, values: vec![100, 200, 50], ..Row::default() });

    let fit = SchemaFit::new(&new, &old).unwrap();
    let row = Row { mask: 0b111, values: vec![3, 100, 200, 50], ..Row::default() };
    let seen = fit.row(&new, &old, &row);
    assert_eq!(seen, Row { mask: 0b1101, values: vec![3, 100, 200, 0, 50], ..Row::default() });

    let same = SchemaFit::new(&old, &old).unwrap();
    assert_eq!(same.row(&old, &old, &row), row);
}

#[test]
fn inputs_are_read_by_either_build() {
    let (old, new) = schemas();
    let ways: Vec<[i8; 2]> = {
        let mut rng = Seed(3).rng();
        (0..32).map(|_| core::array::from_fn(|_| rng.below(3) as i8 - 1)).collect()
    };
    let fit = SchemaFit::new(&old, &new).unwrap();
    let sent: Vec<old::Stick> = ways.iter().map(|way| old::Stick { way: *way }).collect();
    let payload = encode_inputs_with(Tick(90), &sent, |input, writer| fit.write_input(input, writer));
    let read = InputPort::of::<new::Stick>().read_datagram(&payload).unwrap();
    for ((_, bytes), way) in read.iter().zip(&ways) {
        let stick = new::Stick::decode(&mut BitReader::new(bytes)).unwrap();
        assert_eq!(stick, new::Stick { way: *way, slot: 2, aim: 0.0 });
    }

    let fit = SchemaFit::new(&new, &old).unwrap();
    let sent: Vec<new::Stick> = ways.iter().map(|way| new::Stick { way: *way, slot: 5, aim: -1.5 }).collect();
    let payload = encode_inputs_with(Tick(90), &sent, |input, writer| fit.write_input(input, writer));
    let read = InputPort::of::<old::Stick>().read_datagram(&payload).unwrap();
    assert_eq!(read.len(), ways.len());
    for ((_, bytes), way) in read.iter().zip(&ways) {
        assert_eq!(old::Stick::decode(&mut BitReader::new(bytes)).unwrap(), old::Stick { way: *way });
    }
}

#[test]
fn builds_that_do_not_fit_name_the_place() {
    let (old, new) = schemas();
    for (from, to, place) in [
        ("\"name\":\"at.0\",\"unit\":\"1/512\"", "\"name\":\"at.0\",\"unit\":\"1/256\"", "`at.0` of `Place`"),
        ("\"name\":\"at.1\"", "\"name\":\"height\"", "a number of `Place`: this build has at.1, the host height"),
        ("\"name\":\"Hit\"", "\"name\":\"Miss\"", "an event's name: this build has Hit, the host Miss"),
        (
            "\"name\":\"ok\",\"unit\":\"1\",\"kind\":\"bool\"",
            "\"name\":\"ok\",\"unit\":\"1\",\"kind\":\"u8\"",
            "`ok` of `Bought`",
        ),
        ("\"min\":-1", "\"min\":-2", "`way.0` of the input"),
        ("\"input\":", "\"ignored\":", "the input"),
    ] {
        assert!(new.to_json().contains(from), "{from}");
        let other = Schema::read(&new.to_json().replacen(from, to, 1)).unwrap();
        let misfit = SchemaFit::new(&old, &other).unwrap_err().to_string();
        assert!(misfit.contains(place), "{misfit}");
    }
}
