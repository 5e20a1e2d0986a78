//! Any chunking gives the same messages, and whatever breaks RFC 6455 is named.

use amphi_shared_wire::limits::FRAME_BYTES_MAX;
use proptest::prelude::*;

use super::*;

const BYTES_MAX: usize = FRAME_BYTES_MAX + 1;

/// A client's frame, with `start` as its first byte.
fn frame(start: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut header = [0; SERVER_HEADER_BYTES_MAX];
    let length = encode_header(Opcode::Binary, payload.len(), &mut header);
    header[0] = start;
    header[1] |= MASKED;
    let masked = payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]);
    header[..length].iter().copied().chain(mask).chain(masked).collect()
}

/// What a decoder makes of `bytes` when they arrive in pieces of these sizes (and the rest at once).
fn decode(bytes: &[u8], cuts: &[usize]) -> Result<Vec<Message>, Violation> {
    let (mut decoder, mut messages, mut rest) = (Decoder::new(BYTES_MAX), Vec::new(), bytes);
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (piece, after) = rest.split_at(cut.min(rest.len()));
        rest = after;
        let mut piece = piece.to_vec();
        let mut input = piece.as_mut_slice();
        while let Some(message) = decoder.next(&mut input)? {
            messages.push(message);
        }
        assert!(input.is_empty(), "all of the input is taken");
    }
    Ok(messages)
}

/// A data message in fragments, with a control frame after each of them.
fn message() -> impl Strategy<Value = (Vec<u8>, Vec<Message>)> {
    let pieces = prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<[u8; 4]>(), 0..4_u8), 1..4);
    pieces.prop_map(|pieces| {
        let (last, mut bytes, mut whole, mut said) = (pieces.len() - 1, Vec::new(), Vec::new(), Vec::new());
        for (i, (payload, mask, between)) in pieces.iter().enumerate() {
            let start = if i == 0 { 2 } else { 0 } | if i == last { FIN } else { 0 };
            bytes.extend(frame(start, payload, *mask));
            whole.extend_from_slice(payload);
            if i == last {
                said.push(Message::Binary(whole.clone().into()));
            }
            if *between == 0 {
                let control = &payload[..payload.len().min(CONTROL_BYTES_MAX)];
                bytes.extend(frame(FIN | 9, control, *mask));
                said.push(Message::Ping(control.to_vec().into()));
            } else if *between == 1 {
                bytes.extend(frame(FIN | 10, b"x", *mask));
                said.push(Message::Pong);
            }
        }
        (bytes, said)
    })
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_messages(
        messages in prop::collection::vec(message(), 1..4),
        cuts in prop::collection::vec(0..40_usize, 0..60),
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let said: Vec<Message> = messages.into_iter().flat_map(|(_, said)| said).collect();
        prop_assert_eq!(decode(&bytes, &cuts), Ok(said));
    }

    #[test]
    fn noise_never_panics_and_pieces_do_not_change_what_it_is(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&bytes);
    }
}

#[test]
fn lengths_are_read_and_written_in_each_of_their_forms() {
    for bytes in [0, 1, 125, 126, 127, 65_535, 65_536, BYTES_MAX] {
        let payload = vec![7; bytes];
        let whole = frame(FIN | 2, &payload, [1, 2, 3, 4]);
        assert_eq!(decode(&whole, &[1, 1, 1, 1]), Ok(vec![Message::Binary(payload.into())]));
    }
    assert_eq!(decode(&frame(FIN | 2, &vec![7; BYTES_MAX + 1], [0; 4]), &[]), Err(Violation::TooLarge));
}

#[test]
fn what_breaks_the_protocol_is_named() {
    let masked = |start: u8, payload: &[u8]| frame(start, payload, [9, 8, 7, 6]);
    let long_form = |marker: u8, length: &[u8]| [&[FIN | 2, MASKED | marker], length, &[0; 4]].concat();
    let many = [masked(2, b"a"), masked(0, b"").repeat(usize::from(FRAGMENTS_MAX))].concat();
    let check = |bytes: &[u8], violation: Violation| assert_eq!(decode(bytes, &[]), Err(violation));
    check(&[FIN | 2, 0], Violation::Unmasked);
    check(&masked(FIN | 0x40 | 2, b"a"), Violation::Reserved);
    check(&masked(FIN | 3, b"a"), Violation::Opcode);
    check(&masked(FIN | 11, b"a"), Violation::Opcode);
    check(&masked(9, b"a"), Violation::Control);
    check(&masked(FIN | 9, &[0; 126]), Violation::Control);
    check(&long_form(126, &125_u16.to_be_bytes()), Violation::Length);
    check(&long_form(127, &65_535_u64.to_be_bytes()), Violation::Length);
    check(&long_form(127, &u64::MAX.to_be_bytes()), Violation::TooLarge);
    check(&masked(FIN, b"a"), Violation::Order);
    check(&[masked(2, b"a"), masked(FIN | 2, b"b")].concat(), Violation::Order);
    check(&many, Violation::Fragments);
    check(&[masked(2, &[0; 60_000]), masked(FIN, &[0; 6_000])].concat(), Violation::TooLarge);
    check(&masked(FIN | 1, &[0xff]), Violation::Utf8);
    check(&masked(FIN | 8, &[3]), Violation::Close);
    for code in [0_u16, 999, 1_004, 1_005, 1_006, 1_015, 2_999, 5_000] {
        check(&masked(FIN | 8, &code.to_be_bytes()), Violation::Close);
    }
    check(&masked(FIN | 8, &[3, 0xe8, 0xff]), Violation::Close);
}

#[test]
fn text_may_be_cut_inside_a_character() {
    let text = "gr\u{fc}\u{df}".as_bytes();
    let bytes = [frame(1, &text[..3], [1, 2, 3, 4]), frame(FIN, &text[3..], [5, 6, 7, 8])].concat();
    assert_eq!(decode(&bytes, &[]), Ok(vec![Message::Text(text.to_vec().into())]));
}

#[test]
fn a_message_costs_no_more_memory_than_what_has_arrived() {
    let mut decoder = Decoder::new(BYTES_MAX);
    let mut start = frame(FIN | 2, &[1; 60_000], [0; 4]);
    start.truncate(100);
    assert_eq!(decoder.next(&mut start.as_mut_slice()), Ok(None));
    assert!(decoder.data.capacity() < 256);
    let mut rest = vec![1; 60_000 - (100 - 8)];
    assert!(
        matches!(decoder.next(&mut rest.as_mut_slice()), Ok(Some(Message::Binary(whole))) if whole.len() == 60_000)
    );
    assert_eq!(decoder.data.capacity(), 0);
}

#[test]
fn a_close_says_its_code_and_as_many_words_as_fit() {
    let payload = encode_close(Code::Draining, &"\u{fc}".repeat(100));
    assert_eq!(payload.len(), 2 + 122);
    let close = decode(&frame(FIN | 8, &payload, [4, 3, 2, 1]), &[]);
    assert_eq!(close, Ok(vec![Message::Close(Some(4_116))]));
    assert_eq!((code_of_close(4_116), code_of_close(1_000)), (Some(Code::Draining), None));
    assert_eq!(decode(&frame(FIN | 8, b"", [0; 4]), &[]), Ok(vec![Message::Close(None)]));
}
