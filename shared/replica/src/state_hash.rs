//! A fast 64-bit hash of simulation state. The same on every machine; not for secrets.

use serde::Serialize;

const K: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes words and bytes in order.
#[derive(Clone, Debug, Default)]
pub struct StateHasher {
    state: u64,
    words: u64,
    scratch: Vec<u8>,
}

impl StateHasher {
    /// The hash of some bytes.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut hasher = Self::default();
        hasher.bytes(bytes);
        hasher.finish()
    }

    /// Adds a word.
    pub fn word(&mut self, word: u64) {
        self.state = (self.state.rotate_left(23) ^ word).wrapping_mul(K);
        self.words += 1;
    }

    /// Adds a row.
    pub fn row(&mut self, row: &[i32]) {
        for value in row {
            self.word(u64::from(*value as u32));
        }
    }

    /// Adds bytes: their number, then 8 at a time, little-endian, the last word filled up with zeros.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    /// Adds a value by its postcard bytes. A value that cannot be written counts as no bytes.
    pub fn value<T: Serialize>(&mut self, value: &T) {
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.clear();
        let scratch = postcard::to_extend(value, scratch).unwrap_or_default();
        self.bytes(&scratch);
        self.scratch = scratch;
    }

    /// The hash of everything added.
    pub fn finish(&self) -> u64 {
        // The finaliser of SplitMix64.
        let mut z = self.state ^ self.words.wrapping_mul(K);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
