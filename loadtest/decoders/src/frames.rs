//! Lane framing: frames of a pipe, messages on a stream, datagrams.

use amphi_shared_wire::limits::FRAME_BYTES_MAX;
use amphi_shared_wire::{
    Datagram, FrameError, StreamDecoder, decode_pipe_frame, decode_varint, encode_pipe_frame, encode_varint,
};
use bytes::Bytes;

/// Reads `bytes` as a frame of an ordered pipe, as a varint and as a lane's stream, at once and in pieces.
///
/// # Panics
/// What was read is not written as the same bytes, or the pieces read otherwise.
pub fn frames(bytes: &[u8]) {
    if let Ok((lane, payload)) = decode_pipe_frame(Bytes::copy_from_slice(bytes)) {
        assert_eq!(encode_pipe_frame(lane, &payload), bytes);
    }
    if let Ok(Some((value, length))) = decode_varint(bytes) {
        let mut shortest = Vec::new();
        encode_varint(value, &mut shortest);
        assert!(shortest.len() <= length);
    }
    let once = stream(bytes, bytes.len().max(1));
    for piece_bytes in [1, 2, 7] {
        assert_eq!(stream(bytes, piece_bytes), once, "in pieces of {piece_bytes}");
    }
}

/// Reads `bytes` as a datagram of a session.
///
/// # Panics
/// What was read is not written as the same bytes.
pub fn datagrams(bytes: &[u8]) {
    if let Ok(datagram) = Datagram::decode(Bytes::copy_from_slice(bytes)) {
        assert_eq!(datagram.encode(), bytes);
    }
}

fn stream(bytes: &[u8], piece_bytes: usize) -> Vec<Result<Bytes, FrameError>> {
    let (mut decoder, mut messages) = (StreamDecoder::new(), Vec::new());
    for piece in bytes.chunks(piece_bytes) {
        decoder.push(piece);
        loop {
            match decoder.poll() {
                Ok(Some(message)) => messages.push(Ok(message)),
                Ok(None) => break,
                Err(error) => {
                    messages.push(Err(error));
                    return messages;
                }
            }
        }
        assert!(piece_bytes > 7 || decoder.buffered() <= FRAME_BYTES_MAX + 10 + piece_bytes);
    }
    messages
}
