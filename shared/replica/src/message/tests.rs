use proptest::prelude::*;

use super::{MessageError, decode_message, encode_message};
use crate::Replicate;

#[derive(Clone, Copy, Debug, PartialEq, Replicate)]
struct Goal {
    team: u8,
    at: [i32; 3],
    #[replica(unit = "0.5")]
    speed: f32,
    own: bool,
}

/// An older build of the same event.
#[derive(Clone, Copy, Debug, PartialEq, Replicate)]
#[replica(name = "Goal")]
struct OldGoal {
    team: u8,
    at: [i32; 3],
}

proptest! {
    #[test]
    fn any_message_survives(team: u8, at: [i32; 3], half in -4_096..4_096_i32, own: bool) {
        let goal = Goal { team, at, speed: half as f32 / 2.0, own };
        prop_assert_eq!(decode_message(&encode_message(&goal)), Ok(goal));
    }

    #[test]
    fn any_bytes_give_a_message_or_an_error(body: Vec<u8>) {
        let _ = decode_message::<Goal>(&body);
    }
}

#[test]
fn builds_with_fewer_fields_understand_each_other() {
    let goal = Goal { team: 1, at: [1, -2, i32::MIN], speed: 3.5, own: true };
    assert_eq!(decode_message(&encode_message(&goal)), Ok(OldGoal { team: 1, at: goal.at }));
    let old = OldGoal { team: 2, at: [7; 3] };
    assert_eq!(decode_message(&encode_message(&old)), Ok(Goal { team: 2, at: [7; 3], speed: 0.0, own: false }));
}

#[test]
fn a_cut_or_oversized_varint_is_refused() {
    assert_eq!(decode_message::<Goal>(&[0x80]), Err(MessageError));
    assert_eq!(decode_message::<Goal>(&[0xff, 0xff, 0xff, 0xff, 0x10]), Err(MessageError));
    assert!(decode_message::<Goal>(&[0xff, 0xff, 0xff, 0xff, 0x0f]).is_ok());
}
