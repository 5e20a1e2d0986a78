//! Round trips, streams cut anywhere, and hostile bytes.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn varints_survive(value: u64) {
        let mut out = Vec::new();
        encode_varint(value, &mut out);
        prop_assert_eq!(decode_varint(&out), Ok(Some((value, out.len()))));
        prop_assert_eq!(decode_varint(&out[..out.len() - 1]), Ok(None));
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_messages(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
        cut in 1_usize..64,
    ) {
        let mut stream = Vec::new();
        messages.iter().for_each(|m| encode_stream_message(m, &mut stream));
        let mut decoder = StreamDecoder::new();
        let mut seen = Vec::new();
        for piece in stream.chunks(cut) {
            decoder.push(piece);
            while let Some(message) = decoder.poll().unwrap() {
                seen.push(message.to_vec());
            }
        }
        prop_assert_eq!(seen, messages);
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut decoder = StreamDecoder::new();
        decoder.push(&bytes);
        while let Ok(Some(_)) = decoder.poll() {}
        let bytes = Bytes::from(bytes);
        let _ = decode_pipe_frame(bytes.clone());
        if let Ok(datagram) = Datagram::decode(bytes.clone()) {
            prop_assert_eq!(datagram.encode(), bytes);
        }
    }
}

#[test]
fn an_oversized_frame_is_refused_before_it_is_buffered() {
    let mut bytes = Vec::new();
    encode_varint(FRAME_BYTES_MAX as u64 + 1, &mut bytes);
    let mut decoder = StreamDecoder::new();
    decoder.push(&bytes);
    assert_eq!(decoder.poll(), Err(FrameError::TooLarge));
    let frame = Bytes::from(vec![2; FRAME_BYTES_MAX + 2]);
    assert_eq!(decode_pipe_frame(frame), Err(FrameError::TooLarge));
}
