//! Several messages in one input, for decoders that remember.

/// Messages that are read from one input: enough for a state, few enough to be fast.
const PIECES_MAX: usize = 64;
/// Bits of the length.
const LENGTH: u16 = 0x0fff;

/// A message and what kind of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its meaning is the decoder's.
    pub kind: u8,
    /// The message.
    pub bytes: &'a [u8],
}

/// Cuts an input into pieces: `u8 kind, u16 length` (little-endian, 12 bits count), bytes. The last one may be short.
pub fn split(mut input: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    std::iter::from_fn(move || {
        let ([kind, low, high], rest) = input.split_first_chunk::<3>()?;
        let length = usize::from(u16::from_le_bytes([*low, *high]) & LENGTH).min(rest.len());
        let (bytes, left) = rest.split_at(length);
        input = left;
        Some(Piece { kind: *kind, bytes })
    })
    .take(PIECES_MAX)
}

/// The input that [`split`] cuts into these pieces; what is longer than a piece may be is cut off.
pub fn join(pieces: &[Piece<'_>]) -> Vec<u8> {
    let mut input = Vec::new();
    for Piece { kind, bytes } in pieces {
        let bytes = &bytes[..bytes.len().min(usize::from(LENGTH))];
        input.push(*kind);
        input.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        input.extend_from_slice(bytes);
    }
    input
}
