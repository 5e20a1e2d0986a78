//! Canonical prefix codes: built from counts, kept as lengths, read through a table of their first bits.

use amphi_shared_wire::BitWriter;

/// Symbols that stand for one small number each.
pub(super) const LITERALS: usize = 12;
/// Symbols of a code: literals, a class per bit length, and the escape.
pub(super) const SYMBOLS: usize = LITERALS + 30 + 1;
/// A rotation whose largest part changed. Only codes of rotations have it.
pub(super) const ESCAPE: usize = SYMBOLS - 1;
/// Bits of a code word at most.
pub(super) const LENGTH_MAX: u8 = 15;

/// Bits of the first table: the tables of all codes together should fit into a processor's nearest cache.
const PEEK_BITS: u32 = 7;

/// A complete canonical prefix code over [`SYMBOLS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PrefixCode {
    lengths: [u8; SYMBOLS],
    // Code words, first bit lowest.
    words: [u16; SYMBOLS],
    // By the next bits: symbol and length; length 0 for words that are longer.
    short: [(u8, u8); 1 << PEEK_BITS],
    // By length: the first word of that length (first bit highest), and where its symbols begin in `order`.
    first: [(u16, u8); LENGTH_MAX as usize + 2],
    order: [u8; SYMBOLS],
}

impl PrefixCode {
    /// The code with these lengths, 0 for a symbol without a word; `None` when they do not make a complete code.
    pub(super) fn new(lengths: [u8; SYMBOLS]) -> Option<Self> {
        let space: u32 = lengths.iter().filter(|l| **l > 0).map(|l| 1 << (LENGTH_MAX - (*l).min(LENGTH_MAX))).sum();
        if space != 1 << LENGTH_MAX || lengths.iter().any(|l| *l > LENGTH_MAX) {
            return None;
        }
        let (mut words, mut short) = ([0; SYMBOLS], [(0, 0); 1 << PEEK_BITS]);
        let (mut first, mut order) = ([(0, 0); LENGTH_MAX as usize + 2], [0; SYMBOLS]);
        let (mut word, mut ordered) = (0_u16, 0);
        for length in 1..=LENGTH_MAX {
            first[usize::from(length)] = (word, ordered as u8);
            for symbol in (0..SYMBOLS).filter(|symbol| lengths[*symbol] == length) {
                let reversed = word.reverse_bits() >> (16 - length);
                words[symbol] = reversed;
                order[ordered] = symbol as u8;
                ordered += 1;
                if u32::from(length) <= PEEK_BITS {
                    for above in 0..1_usize << (PEEK_BITS - u32::from(length)) {
                        short[above << length | usize::from(reversed)] = (symbol as u8, length);
                    }
                }
                word += 1;
            }
            word <<= 1;
        }
        first[usize::from(LENGTH_MAX) + 1].1 = ordered as u8;
        Some(Self { lengths, words, short, first, order })
    }

    /// The best code for these counts with no word longer than [`LENGTH_MAX`]. A count of 0 gets no word.
    pub(super) fn from_counts(mut counts: [u64; SYMBOLS]) -> Self {
        loop {
            let lengths = huffman(&counts);
            if lengths.iter().all(|length| *length <= LENGTH_MAX)
                && let Some(code) = Self::new(lengths)
            {
                return code;
            }
            // Flatter counts make a flatter tree.
            for count in counts.iter_mut().filter(|count| **count > 0) {
                *count = *count / 2 + 1;
            }
        }
    }

    pub(super) fn lengths(&self) -> &[u8; SYMBOLS] {
        &self.lengths
    }

    pub(super) fn write(&self, writer: &mut BitWriter, symbol: usize) {
        let (word, length) = self.word(symbol);
        writer.bits(u32::from(word), length);
    }

    /// The word of a symbol, and its length.
    pub(super) fn word(&self, symbol: usize) -> (u16, u32) {
        debug_assert!(self.lengths[symbol] > 0);
        (self.words[symbol], u32::from(self.lengths[symbol]))
    }

    /// The symbol whose word comes next in these bits, and the word's length.
    pub(super) fn symbol(&self, bits: u64) -> (usize, u32) {
        let (symbol, length) = self.short[bits as usize % (1 << PEEK_BITS)];
        if length > 0 {
            return (usize::from(symbol), u32::from(length));
        }
        self.long_symbol(bits as u16)
    }

    fn long_symbol(&self, bits: u16) -> (usize, u32) {
        let bits = bits.reverse_bits();
        for length in PEEK_BITS as usize + 1..=usize::from(LENGTH_MAX) {
            let word = bits >> (16 - length);
            let ((first, at), end) = (self.first[length], self.first[length + 1].1);
            // No word of this length is less: those are the beginnings of shorter words.
            if word - first < u16::from(end - at) {
                return (usize::from(self.order[usize::from(at) + usize::from(word - first)]), length as u32);
            }
        }
        unreachable!("a complete code has a word for any bits")
    }
}

/// Lengths of the best code without a limit. At least two counts are not 0.
fn huffman(counts: &[u64; SYMBOLS]) -> [u8; SYMBOLS] {
    // Roots of the trees that are not yet joined: weight, and the symbols below.
    let mut roots: Vec<(u64, Vec<usize>)> =
        (0..SYMBOLS).filter(|symbol| counts[*symbol] > 0).map(|symbol| (counts[symbol], vec![symbol])).collect();
    let mut lengths = [0; SYMBOLS];
    while roots.len() > 1 {
        roots.sort_by(|a, b| b.cmp(a));
        let joined = roots.split_off(roots.len() - 2);
        let mut root = (0, Vec::new());
        for (weight, symbols) in joined {
            symbols.iter().for_each(|symbol| lengths[*symbol] += 1);
            root.0 += weight;
            root.1.extend(symbols);
        }
        roots.push(root);
    }
    lengths
}
