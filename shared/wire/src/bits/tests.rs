//! Round trips, copied ranges and hostile bytes.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn what_is_written_is_read(values in prop::collection::vec((any::<u32>(), 0_u32..=32), 0..200)) {
        let mut writer = BitWriter::new();
        for (value, count) in &values {
            let masked = (u64::from(*value) & ((1_u64 << count) - 1)) as u32;
            writer.bits(masked, *count);
            writer.uint(*value);
        }
        let bits = writer.len_bits();
        let bytes = writer.finish();
        let mut reader = BitReader::new(&bytes);
        for (value, count) in &values {
            prop_assert_eq!(u64::from(reader.bits(*count).unwrap()), u64::from(*value) & ((1_u64 << count) - 1));
            prop_assert_eq!(reader.uint().unwrap(), *value);
        }
        prop_assert_eq!(reader.position(), bits);
        prop_assert!(reader.left() < 8);
    }

    #[test]
    fn long_values_are_seen_before_they_are_passed(values in prop::collection::vec((any::<u64>(), 0_u32..=64), 0..99)) {
        let low = |value: u64, count: u32| value & 1_u64.checked_shl(count).unwrap_or(0).wrapping_sub(1);
        let mut writer = BitWriter::new();
        for (value, count) in &values {
            writer.long(low(*value, *count), *count);
        }
        let bits = writer.len_bits();
        let bytes = writer.finish();
        let mut reader = BitReader::new(&bytes);
        for (value, count) in &values {
            let seen = (*count).min(BitReader::LONG_BITS);
            prop_assert_eq!(low(reader.peek_long(), seen), low(*value, seen));
            prop_assert_eq!(reader.skip(*count), Ok(()));
        }
        prop_assert_eq!((reader.position(), reader.skip(8)), (bits, Err(OutOfBits)));
        prop_assert_eq!(reader.position(), bits);
    }

    #[test]
    fn a_writer_goes_on_behind_bytes(before: Vec<u8>, value: u32) {
        let mut writer = BitWriter::behind(before.clone());
        writer.bits(value, 32);
        let bytes = writer.finish();
        prop_assert_eq!(bytes.strip_prefix(&before[..]), Some(&value.to_le_bytes()[..]));
    }

    #[test]
    fn a_copied_range_reads_the_same(bytes in prop::collection::vec(any::<u8>(), 1..64), cut in 0_usize..64, shift in 0_u32..8) {
        let start = cut % (bytes.len() * 8);
        let count = bytes.len() * 8 - start;
        let mut writer = BitWriter::new();
        writer.bits(0, shift);
        writer.copy(&bytes, start, count);
        let copied = writer.finish();
        let (mut a, mut b) = (BitReader::new(&bytes), BitReader::new(&copied));
        a.position = start;
        b.position = shift as usize;
        for _ in 0..count {
            prop_assert_eq!(a.bit(), b.bit());
        }
    }

    #[test]
    fn hostile_bytes_end_with_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut reader = BitReader::new(&bytes);
        while reader.uint().is_ok() {}
        prop_assert!(reader.position() <= bytes.len() * 8);
    }
}
