use amphi_shared_wire::{BitReader, BitWriter};
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn what_is_written_is_read(buttons in 0_u8..8, move_x: i8, move_y: i8, yaw: u16, pitch: i16) {
        let input = ArenaInput { buttons, move_x, move_y, yaw, pitch }.sanitise();
        let mut writer = BitWriter::new();
        input.encode(&mut writer);
        prop_assert_eq!(writer.len_bits(), 50);
        prop_assert_eq!(ArenaInput::decode(&mut BitReader::new(&writer.finish())), Ok(input));
    }

    #[test]
    fn sane_is_within_the_rules_and_stays(buttons: u8, move_x: i8, move_y: i8, yaw: u16, pitch: i16) {
        let sane = ArenaInput { buttons, move_x, move_y, yaw, pitch }.sanitise();
        prop_assert!(sane.buttons < 8 && sane.move_x >= -127 && sane.move_y >= -127);
        prop_assert!((-PITCH_MAX..=PITCH_MAX).contains(&sane.pitch));
        prop_assert_eq!(sane.sanitise(), sane);
    }
}

#[test]
fn the_bits_lie_as_documented() {
    let mut writer = BitWriter::new();
    ArenaInput { buttons: 0b101, move_x: -1, move_y: 127, yaw: 0x1234, pitch: -2 }.encode(&mut writer);
    // Each number above its least: 5, 126, 254, 0x1234, 14,998 in 3, 8, 8, 16 and 15 bits, least significant bit first.
    let word = 5_u64 | 126 << 3 | 254 << 11 | 0x1234 << 19 | 14_998 << 35;
    assert_eq!(writer.finish(), word.to_le_bytes()[..7]);
}

#[test]
fn a_late_input_fades_to_rest() {
    let mut input = ArenaInput { buttons: 7, move_x: -127, move_y: 127, yaw: 9, pitch: 3 };
    for _ in 0..40 {
        input = input.decayed();
    }
    assert_eq!(input, ArenaInput { yaw: 9, pitch: 3, ..ArenaInput::default() });
}

#[test]
fn too_few_bits_are_an_error() {
    assert!(ArenaInput::decode(&mut BitReader::new(&[0; 6])).is_err());
}
