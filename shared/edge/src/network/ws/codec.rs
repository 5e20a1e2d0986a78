//! The WebSocket protocol of RFC 6455, the server's side, as bytes in and messages out: no socket, no clock.

use amphi_shared_wire::Code;
use amphi_shared_wire::limits::FRAME_BYTES_MAX;
use bytes::Bytes;
use thiserror::Error;

/// Payload of a control frame, bytes (RFC 6455 section 5.5).
pub(crate) const CONTROL_BYTES_MAX: usize = 125;
/// Frames that one message may be cut into. Beyond: [`Violation::Fragments`].
const FRAGMENTS_MAX: u16 = 256;
/// The longest header that a client sends: two bytes, a length of eight, a mask of four.
const CLIENT_HEADER_BYTES_MAX: usize = 14;
/// The longest header that a server sends.
pub(crate) const SERVER_HEADER_BYTES_MAX: usize = 10;
/// First number of the close codes that are ours (RFC 6455 section 7.4.2: 4000 to 4999 are private).
const CLOSE_CODES: u16 = 4_000;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// A whole message, or a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// UTF-8.
    Text(Bytes),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    /// The close code, when there is one.
    Close(Option<u16>),
}

/// How a client broke the protocol.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum Violation {
    #[error("a client's frame is not masked")]
    Unmasked,
    #[error("a reserved bit is set, and no extension was agreed on")]
    Reserved,
    #[error("there is no such opcode")]
    Opcode,
    #[error("a control frame is cut into fragments or longer than 125 bytes")]
    Control,
    #[error("a length is not written in its shortest form")]
    Length,
    #[error("a continuation without a start, or a start inside a message")]
    Order,
    #[error("a message is cut into too many frames")]
    Fragments,
    #[error("a message is longer than the limit")]
    TooLarge,
    #[error("text is not UTF-8")]
    Utf8,
    #[error("a close frame without a valid code or reason")]
    Close,
}

/// Cuts the bytes of a client into messages. Holds nothing on the heap between messages, and never more than what has
/// arrived of one.
#[derive(Debug)]
pub(crate) struct Decoder {
    bytes_max: u32,
    header: [u8; CLIENT_HEADER_BYTES_MAX],
    header_bytes: u8,
    /// The frame whose payload is arriving.
    frame: Option<Frame>,
    /// The data message whose frames are arriving, and of how many frames it is.
    message: Option<(Opcode, u16)>,
    data: Vec<u8>,
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    /// Bytes that have not arrived.
    left: u32,
    mask: [u8; 4],
}

impl Opcode {
    fn from_bits(bits: u8) -> Result<Self, Violation> {
        match bits {
            0 => Ok(Self::Continuation),
            1 => Ok(Self::Text),
            2 => Ok(Self::Binary),
            8 => Ok(Self::Close),
            9 => Ok(Self::Ping),
            10 => Ok(Self::Pong),
            _ => Err(Violation::Opcode),
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    const fn is_control(self) -> bool {
        self.bits() & 8 != 0
    }
}

impl Violation {
    /// What the client is closed with.
    pub(crate) const fn code(self) -> Code {
        match self {
            Self::TooLarge => Code::FrameTooLarge,
            Self::Unmasked
            | Self::Reserved
            | Self::Opcode
            | Self::Control
            | Self::Length
            | Self::Order
            | Self::Fragments
            | Self::Utf8
            | Self::Close => Code::FrameInvalid,
        }
    }
}

impl Decoder {
    /// A decoder at the start of a connection, for messages of at most `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max: bytes_max as u32,
            header: [0; CLIENT_HEADER_BYTES_MAX],
            header_bytes: 0,
            frame: None,
            message: None,
            data: Vec::new(),
            control: Vec::new(),
        }
    }

    /// From the next frame on, messages have at most `bytes_max` bytes.
    pub(crate) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max as u32;
    }

    /// The next message in `input`, which then begins behind it; `None` when all of it was taken and more is needed.
    /// Unmasks in place. After an error the connection can only be closed.
    pub(crate) fn next(&mut self, input: &mut &mut [u8]) -> Result<Option<Message>, Violation> {
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.read_header(input)? {
                    Some(frame) => *self.frame.insert(frame),
                    None => return Ok(None),
                },
            };
            let payload = take(input, frame.left as usize);
            unmask(payload, frame.mask);
            let left = frame.left - payload.len() as u32;
            if left > 0 {
                let mut mask = frame.mask;
                mask.rotate_left(payload.len() % 4);
                self.frame = Some(Frame { left, mask, ..frame });
                self.buffer(frame.opcode).extend_from_slice(payload);
                return Ok(None);
            }
            self.frame = None;
            if frame.opcode.is_control() {
                return end_control(frame.opcode, std::mem::take(&mut self.control), payload).map(Some);
            }
            if !frame.fin {
                self.data.extend_from_slice(payload);
                continue;
            }
            let Some((opcode, _)) = self.message.take() else {
                return Err(Violation::Order);
            };
            return end_message(opcode, std::mem::take(&mut self.data), payload).map(Some);
        }
    }

    /// Collects a header, and checks all that it says.
    fn read_header(&mut self, input: &mut &mut [u8]) -> Result<Option<Frame>, Violation> {
        loop {
            let have = usize::from(self.header_bytes);
            let wanted = if have < 2 { 2 } else { header_bytes(self.header[1]) };
            if have >= 2 && have == wanted {
                break;
            }
            let bytes = take(input, wanted - have);
            if bytes.is_empty() {
                return Ok(None);
            }
            self.header[have..have + bytes.len()].copy_from_slice(bytes);
            self.header_bytes += bytes.len() as u8;
            if self.header_bytes == 2 {
                // What the first bytes show to be wrong needs no more of them.
                check_start(self.header[0], self.header[1])?;
            }
        }
        self.header_bytes = 0;
        let (first, second) = (self.header[0], self.header[1]);
        let opcode = Opcode::from_bits(first & 0x0f)?;
        let (length, at) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes([self.header[2], self.header[3]])), 4),
            127 => {
                let mut length = [0; 8];
                length.copy_from_slice(&self.header[2..10]);
                (u64::from_be_bytes(length), 10)
            }
            short => (u64::from(short), 2),
        };
        if (at == 4 && length < 126) || (at == 10 && length <= u64::from(u16::MAX)) {
            return Err(Violation::Length);
        }
        let mut mask = [0; 4];
        mask.copy_from_slice(&self.header[at..at + 4]);
        let fin = first & FIN != 0;
        if !opcode.is_control() {
            self.count_frame(opcode)?;
            // A client may claim any length.
            if length.saturating_add(self.data.len() as u64) > u64::from(self.bytes_max) {
                return Err(Violation::TooLarge);
            }
        }
        Ok(Some(Frame { opcode, fin, left: length as u32, mask }))
    }

    fn count_frame(&mut self, opcode: Opcode) -> Result<(), Violation> {
        self.message = match (self.message, opcode) {
            (Some((started, frames)), Opcode::Continuation) if frames < FRAGMENTS_MAX => Some((started, frames + 1)),
            (Some(_), Opcode::Continuation) => return Err(Violation::Fragments),
            (Some(_), _) | (None, Opcode::Continuation) => return Err(Violation::Order),
            (None, started) => Some((started, 1)),
        };
        Ok(())
    }

    fn buffer(&mut self, opcode: Opcode) -> &mut Vec<u8> {
        if opcode.is_control() { &mut self.control } else { &mut self.data }
    }
}

/// Writes the header of a server's unmasked frame and returns its length.
pub(crate) fn encode_header(opcode: Opcode, payload_bytes: usize, out: &mut [u8; SERVER_HEADER_BYTES_MAX]) -> usize {
    out[0] = FIN | opcode.bits();
    match payload_bytes {
        0..126 => {
            out[1] = payload_bytes as u8;
            2
        }
        126..65_536 => {
            out[1] = 126;
            out[2..4].copy_from_slice(&(payload_bytes as u16).to_be_bytes());
            4
        }
        _ => {
            out[1] = 127;
            out[2..10].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
            10
        }
    }
}

/// The payload of a close frame; words that are too long for a control frame are cut.
pub(crate) fn encode_close(code: Code, reason: &str) -> Bytes {
    let number = CLOSE_CODES + code.number() as u16;
    let reason = &reason[..reason.floor_char_boundary(CONTROL_BYTES_MAX - 2)];
    [&number.to_be_bytes(), reason.as_bytes()].concat().into()
}

/// The code behind a close code of ours.
pub(crate) fn code_of_close(close: u16) -> Option<Code> {
    Code::from_number(u32::from(close.checked_sub(CLOSE_CODES)?))
}

/// For a fuzz target and for tests: reads `bytes` as a client's, at once and in pieces.
///
/// # Panics
/// The two differ.
pub fn fuzz(bytes: &[u8]) {
    let read = |piece_bytes: usize| {
        let (mut decoder, mut messages) = (Decoder::new(FRAME_BYTES_MAX), Vec::new());
        for piece in bytes.chunks(piece_bytes) {
            let mut piece = piece.to_vec();
            let input = &mut piece.as_mut_slice();
            loop {
                match decoder.next(input) {
                    Ok(Some(message)) => messages.push(Ok(message)),
                    Ok(None) => break,
                    Err(violation) => {
                        messages.push(Err(violation));
                        return messages;
                    }
                }
            }
        }
        messages
    };
    let once = read(bytes.len().max(1));
    for piece_bytes in [1, 2, 7] {
        assert_eq!(read(piece_bytes), once, "in pieces of {piece_bytes}");
    }
}

/// Takes at most `bytes` bytes off the front.
fn take<'a>(input: &mut &'a mut [u8], bytes: usize) -> &'a mut [u8] {
    let whole = std::mem::take(input);
    let (front, rest) = whole.split_at_mut(bytes.min(whole.len()));
    *input = rest;
    front
}

fn check_start(first: u8, second: u8) -> Result<(), Violation> {
    if first & RESERVED != 0 {
        return Err(Violation::Reserved);
    }
    if second & MASKED == 0 {
        return Err(Violation::Unmasked);
    }
    let opcode = Opcode::from_bits(first & 0x0f)?;
    if opcode.is_control() && (first & FIN == 0 || usize::from(second & 0x7f) > CONTROL_BYTES_MAX) {
        return Err(Violation::Control);
    }
    Ok(())
}

/// Length of the header whose second byte is `second`.
const fn header_bytes(second: u8) -> usize {
    match second & 0x7f {
        126 => 8,
        127 => 14,
        _ => 6,
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let word = u32::from_ne_bytes(mask);
    let (words, rest) = payload.as_chunks_mut::<4>();
    for bytes in words {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// `before`: what arrived earlier; `last`: the end, which in most cases is all of it.
fn whole(mut before: Vec<u8>, last: &[u8]) -> Bytes {
    if before.is_empty() {
        return Bytes::copy_from_slice(last);
    }
    before.extend_from_slice(last);
    before.into()
}

fn end_message(opcode: Opcode, before: Vec<u8>, last: &[u8]) -> Result<Message, Violation> {
    let payload = whole(before, last);
    if opcode == Opcode::Binary {
        return Ok(Message::Binary(payload));
    }
    match std::str::from_utf8(&payload) {
        Ok(_) => Ok(Message::Text(payload)),
        Err(_) => Err(Violation::Utf8),
    }
}

fn end_control(opcode: Opcode, before: Vec<u8>, last: &[u8]) -> Result<Message, Violation> {
    let payload = whole(before, last);
    match opcode {
        Opcode::Ping => Ok(Message::Ping(payload)),
        Opcode::Pong => Ok(Message::Pong),
        Opcode::Close | Opcode::Continuation | Opcode::Text | Opcode::Binary => read_close(&payload),
    }
}

fn read_close(payload: &[u8]) -> Result<Message, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(Message::Close(None)) } else { Err(Violation::Close) };
    };
    let code = u16::from_be_bytes(*code);
    // RFC 6455 section 7.4: what may be sent; 1004 to 1006 and 1015 may not.
    if !matches!(code, 1_000..=1_003 | 1_007..=1_014 | 3_000..=4_999) || std::str::from_utf8(reason).is_err() {
        return Err(Violation::Close);
    }
    Ok(Message::Close(Some(code)))
}

#[cfg(test)]
mod tests;
