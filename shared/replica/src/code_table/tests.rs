use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn numbers_survive(numbers in prop::collection::vec(any::<u32>().prop_flat_map(|n| (0_u32..32).prop_map(move |s| n >> s)), 0..100)) {
        for table in [GAP, RESIDUAL, ABSOLUTE] {
            let mut writer = BitWriter::new();
            let mut cost = 0;
            for number in &numbers {
                table.write(&mut writer, *number);
                cost += table.cost(*number);
            }
            prop_assert_eq!(writer.len_bits(), cost);
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for number in &numbers {
                prop_assert_eq!(table.read(&mut reader), Ok(*number));
            }
        }
    }

    #[test]
    fn folding_unfolds(value: i32) {
        prop_assert_eq!(unzigzag(zigzag(value)), value);
    }
}

#[test]
fn class_borders_are_as_documented() {
    assert_eq!(GAP.first, [0, 1, 5, 37, 549]);
    assert_eq!(RESIDUAL.first, [0, 1, 17, 145, 1_169]);
    assert_eq!(ABSOLUTE.first, [0, 1, 17, 273, 8_465]);
    assert_eq!([0, -1, 1, -2, i32::MIN].map(zigzag), [0, 1, 2, 3, u32::MAX]);
}
