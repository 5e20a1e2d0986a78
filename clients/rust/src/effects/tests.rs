use amphi_shared_replica::{Game, ReplicaApp, Replicate, encode_message};
use bevy_app::App;

use super::*;

#[derive(Clone, Replicate)]
#[replica(by = "seat")]
struct Shot {
    seat: u8,
    at: i16,
}

#[derive(Clone, Replicate)]
struct Goal {
    seat: u8,
}

const OWN: Seat = Seat(3);
const SHOT: u32 = 1;

fn game() -> Game {
    Game::new("effects", |app: &mut App| {
        app.effect::<Shot>().event::<Goal>();
    })
}

fn said(kind: u32, message: &impl Replicate) -> GameEvent {
    GameEvent::Event { kind, body: encode_message(message), to: None }
}

fn body(seat: u8, at: i16) -> Vec<u8> {
    encode_message(&Shot { seat, at })
}

#[test]
fn an_own_effect_is_shown_once_even_when_the_server_puts_it_elsewhere() {
    let (game, mut effects) = (game(), Effects::default());
    let schema = game.schema();
    let shown = effects.predicted(schema, OWN, Tick(10), vec![said(SHOT, &Shot { seat: 3, at: 5 })]);
    assert_eq!(shown, [(SHOT, body(3, 5))]);
    assert!(effects.confirmed(schema, Some(OWN), Tick(12), SHOT, &body(3, 6)));
    // A second one of the server's was not predicted.
    assert!(!effects.confirmed(schema, Some(OWN), Tick(13), SHOT, &body(3, 6)));
}

#[test]
fn an_own_effect_is_shown_once_when_the_server_says_it_seconds_later() {
    let (game, mut effects) = (game(), Effects::default());
    let schema = game.schema();
    for tick in [10, 300] {
        let shown = effects.predicted(schema, OWN, Tick(tick), vec![said(SHOT, &Shot { seat: 3, at: 5 })]);
        assert_eq!(shown.len(), 1);
    }
    assert!(effects.confirmed(schema, Some(OWN), Tick(11), SHOT, &body(3, 5)));
    assert!(effects.confirmed(schema, Some(OWN), Tick(301), SHOT, &body(3, 5)));
}

#[test]
fn two_predicted_effects_swallow_two() {
    let (game, mut effects) = (game(), Effects::default());
    let schema = game.schema();
    let both = vec![said(SHOT, &Shot { seat: 3, at: 1 }), said(SHOT, &Shot { seat: 3, at: 2 })];
    assert_eq!(effects.predicted(schema, OWN, Tick(10), both).len(), 2);
    assert!(effects.confirmed(schema, Some(OWN), Tick(10), SHOT, &body(3, 1)));
    assert!(effects.confirmed(schema, Some(OWN), Tick(10), SHOT, &body(3, 2)));
    assert!(!effects.confirmed(schema, Some(OWN), Tick(10), SHOT, &body(3, 3)));
}

#[test]
fn what_is_not_an_own_effect_comes_from_the_server() {
    let (game, mut effects) = (game(), Effects::default());
    let schema = game.schema();
    let others = vec![said(SHOT, &Shot { seat: 2, at: 1 }), said(2, &Goal { seat: 3 })];
    assert!(effects.predicted(schema, OWN, Tick(10), others).is_empty());
    assert!(!effects.confirmed(schema, Some(OWN), Tick(10), SHOT, &body(2, 1)));
    assert!(!effects.confirmed(schema, Some(OWN), Tick(10), 2, &encode_message(&Goal { seat: 3 })));
    assert!(!effects.confirmed(schema, None, Tick(10), SHOT, &body(3, 1)));
    assert!(!effects.confirmed(schema, Some(OWN), Tick(10), 99, &[]));
}

#[test]
fn an_effect_that_is_never_confirmed_is_forgotten() {
    let (game, mut effects) = (game(), Effects::default());
    let schema = game.schema();
    let one = |at| vec![said(SHOT, &Shot { seat: 3, at })];
    assert_eq!(effects.predicted(schema, OWN, Tick(10), one(1)).len(), 1);
    assert!(!effects.confirmed(schema, Some(OWN), Tick(60), SHOT, &body(3, 1)));
    assert!(effects.predicted(schema, OWN, Tick(200), Vec::new()).is_empty());
    assert!(effects.pending.is_empty());
}
