//! One connection on any transport.

use amphi_shared_session::{PipeId, PipeInfo, PipeKind};
use amphi_shared_wire::limits::{DATAGRAM_BYTES_BROWSER_MAX, DATAGRAM_BYTES_NATIVE_MAX};
use amphi_shared_wire::{Code, LANE_DATAGRAM, Lane, decode_pipe_frame};
use bytes::Bytes;

use super::{Message, Quic, Socket};

/// WebSocket close codes of ours begin here (docs/wire.md).
const CLOSE_CODES: u16 = 4_000;

/// A connection: what is sent waits in it until it is asked for what arrives.
pub(crate) enum Wire {
    /// WebSocket, plain or TLS.
    Socket(Socket),
    /// Native QUIC or WebTransport.
    Quic(Box<Quic>),
}

/// What comes from a connection.
pub(crate) enum Arrival {
    /// A message of a reliable lane.
    Frame(Lane, Bytes),
    /// A datagram.
    Datagram(Bytes),
    /// The end.
    Closed(Option<Code>),
}

impl Wire {
    /// What the session engine must know of it.
    pub(crate) fn info(&self, id: PipeId) -> PipeInfo {
        match self {
            Self::Socket(_) => Self::socket_info(id),
            Self::Quic(quic) => {
                let max_datagram = quic.max_datagram().min(DATAGRAM_BYTES_BROWSER_MAX);
                PipeInfo { id, kind: PipeKind::Streams, max_datagram, early: false }
            }
        }
    }

    /// The same for a WebSocket, which is known before there is one.
    pub(super) fn socket_info(id: PipeId) -> PipeInfo {
        PipeInfo { id, kind: PipeKind::Ordered, max_datagram: DATAGRAM_BYTES_NATIVE_MAX, early: false }
    }

    /// Sends what waits, and returns the next arrival. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Arrival {
        match self {
            Self::Quic(quic) => quic.next().await,
            Self::Socket(socket) => match socket.next().await {
                Ok(Message::Binary(frame)) => match decode_pipe_frame(frame) {
                    Ok((LANE_DATAGRAM, bytes)) => Arrival::Datagram(bytes),
                    Ok((lane, payload)) => Arrival::Frame(lane, payload),
                    Err(_) => Arrival::Closed(Some(Code::FrameInvalid)),
                },
                Ok(Message::Text(_)) => Arrival::Closed(Some(Code::FrameInvalid)),
                Ok(Message::Closed(code)) => {
                    let number = code.and_then(|code| code.checked_sub(CLOSE_CODES));
                    Arrival::Closed(number.and_then(|number| Code::from_number(number.into())))
                }
                Err(_) => Arrival::Closed(None),
            },
        }
    }

    /// Queues a message of a reliable lane.
    pub(crate) fn frame(&mut self, lane: Lane, payload: &[u8]) {
        match self {
            Self::Socket(socket) => socket.push_binary(&[&[lane], payload]),
            Self::Quic(quic) => quic.frame(lane, payload),
        }
    }

    /// Sends a datagram; one that does not fit is lost like any other.
    pub(crate) fn datagram(&mut self, bytes: Bytes) {
        match self {
            Self::Socket(socket) => socket.push_binary(&[&[LANE_DATAGRAM], &bytes]),
            Self::Quic(quic) => quic.datagram(bytes),
        }
    }

    /// Sends what waits.
    pub(crate) async fn flush(&mut self) {
        match self {
            // A broken connection is noticed by who reads.
            Self::Socket(socket) => drop(socket.flush().await),
            Self::Quic(quic) => quic.flush().await,
        }
    }

    /// Closes it in order.
    pub(crate) async fn close(mut self, code: Code) {
        self.flush().await;
        match self {
            Self::Socket(mut socket) => socket.close(CLOSE_CODES + code.number() as u16).await,
            Self::Quic(quic) => quic.close(code),
        }
    }
}
