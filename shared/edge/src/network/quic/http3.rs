//! As much of HTTP/3 as WebTransport needs: SETTINGS, one extended CONNECT on `/session`, and capsules
//! (RFC 9114, RFC 9220, RFC 9297, draft-ietf-webtrans-http3).
//!
//! The session is the first bidirectional stream of the connection, so its id is 0 everywhere.

use bytes::{Buf, Bytes, BytesMut};
use quinn_proto::{Connection, Dir, StreamId, VarInt, WriteError};
use url::Url;
use web_transport_proto as proto;
use web_transport_proto::http::StatusCode;
use web_transport_proto::{
    Capsule, CapsuleError, ConnectError, ConnectRequest, ConnectResponse, Frame, Settings, SettingsError, StreamUni,
};

use super::lanes::{Chunk, read_chunk};

/// Bytes of SETTINGS, of a request or response head, or of a capsule. Beyond: the connection is closed.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes taken from a stream at a time.
const READ_BYTES_MAX: usize = 4 * 1024;
/// Streams of the other side that HTTP/3 has open: control, two for QPACK, and room for greasing. Beyond: ignored.
const UNI_STREAMS_MAX: usize = 8;
/// Error code of a stream that is none of ours (RFC 9114 section 8.1).
const H3_REQUEST_REJECTED: u32 = 0x10b;
/// The session's id before each datagram: the stream's id, divided by 4.
const SESSION: u8 = 0;

/// A stream or datagram that belongs to no session of ours.
pub(super) struct NotOurs;

/// What the other side broke.
#[derive(Debug)]
pub(super) struct Broken;

/// HTTP/3 on one connection.
pub(super) struct Http3 {
    /// Ours must stay open as long as the connection (RFC 9114 section 6.2.1).
    uni: Vec<Uni>,
    has_settings: bool,
    connect: Option<Connect>,
    is_readable: bool,
}

/// A unidirectional stream of the other side.
struct Uni {
    stream: StreamId,
    /// What came of the control stream until its SETTINGS were whole.
    head: BytesMut,
    is_control: Option<bool>,
}

/// The stream of the CONNECT request.
struct Connect {
    stream: StreamId,
    unread: BytesMut,
    stage: Stage,
    capsules: BytesMut,
    is_acknowledged: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The server waits for the request, the client for the response.
    Head,
    /// The server decides.
    Deciding,
    Open,
    Ended,
}

/// What was heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// A page wants a session.
    Request { path: String, origin: Option<String> },
    /// The server has opened the session.
    Opened,
    /// The other side has ended the session.
    Closed(Option<u32>),
}

impl Http3 {
    /// Says SETTINGS.
    pub(super) fn start(quic: &mut Connection) -> Result<Self, Broken> {
        let mut settings = Settings::default();
        settings.enable_webtransport(1);
        let mut bytes = Vec::new();
        settings.encode(&mut bytes);
        let stream = quic.streams().open(Dir::Uni).ok_or(Broken)?;
        write(quic, stream, &bytes)?;
        Ok(Self { uni: Vec::new(), has_settings: false, connect: None, is_readable: true })
    }

    /// Asks the server for a session.
    pub(super) fn request(&mut self, quic: &mut Connection, url: &Url) -> Result<(), Broken> {
        let mut bytes = Vec::new();
        ConnectRequest::new(url.clone()).encode(&mut bytes).map_err(|_| Broken)?;
        let stream = quic.streams().open(Dir::Bi).ok_or(Broken)?;
        write(quic, stream, &bytes)?;
        self.connect = Some(Connect::new(stream));
        Ok(())
    }

    /// The client has opened a bidirectional stream: the first one is the request.
    pub(super) fn takes(&mut self, stream: StreamId) -> bool {
        let is_first = self.connect.is_none();
        if is_first {
            self.connect = Some(Connect::new(stream));
            self.is_readable = true;
        }
        is_first
    }

    /// Everything sent on the stream was acknowledged.
    pub(super) fn on_ended(&mut self, stream: StreamId) {
        if let Some(connect) = self.connect.as_mut().filter(|connect| connect.stream == stream) {
            connect.is_acknowledged = true;
        }
    }

    /// Whether the other side has the end of the CONNECT stream.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.connect.as_ref().is_none_or(|connect| connect.is_acknowledged)
    }

    /// A stream that is no lane has something to read.
    pub(super) fn on_readable(&mut self) {
        self.is_readable = true;
    }

    /// Reads what has arrived. Call it until it hears nothing more.
    pub(super) fn hear(&mut self, quic: &mut Connection) -> Result<Option<Heard>, Broken> {
        if !self.is_readable {
            return Ok(None);
        }
        self.read_uni(quic)?;
        let heard = match &mut self.connect {
            Some(connect) if self.has_settings => connect.hear(quic)?,
            Some(_) | None => None,
        };
        self.is_readable = heard.is_some();
        Ok(heard)
    }

    /// Answers the request.
    pub(super) fn respond(&mut self, quic: &mut Connection, status: StatusCode) -> Result<(), Broken> {
        let connect = self.connect.as_mut().ok_or(Broken)?;
        let mut bytes = Vec::new();
        ConnectResponse::new(status).encode(&mut bytes).map_err(|_| Broken)?;
        write(quic, connect.stream, &bytes)?;
        connect.stage = if status.is_success() { Stage::Open } else { Stage::Ended };
        self.is_readable = true;
        if connect.stage == Stage::Ended {
            // An error says that the client gave up already.
            let _ = quic.send_stream(connect.stream).finish();
        }
        Ok(())
    }

    /// Ends the session with a code; the client closes the connection then.
    pub(super) fn close(&mut self, quic: &mut Connection, code: u32, reason: &str) -> Result<(), Broken> {
        let connect = self.connect.as_mut().ok_or(Broken)?;
        let mut capsule = Vec::new();
        Capsule::CloseWebTransportSession { code, reason: reason.to_owned() }.encode(&mut capsule);
        let mut bytes = Vec::new();
        Frame::DATA.encode(&mut bytes);
        proto::VarInt::try_from(capsule.len()).map_err(|_| Broken)?.encode(&mut bytes);
        bytes.extend_from_slice(&capsule);
        write(quic, connect.stream, &bytes)?;
        let _ = quic.send_stream(connect.stream).finish();
        connect.stage = Stage::Ended;
        Ok(())
    }

    fn read_uni(&mut self, quic: &mut Connection) -> Result<(), Broken> {
        while let Some(stream) = quic.streams().accept(Dir::Uni) {
            if self.uni.len() < UNI_STREAMS_MAX {
                self.uni.push(Uni { stream, head: BytesMut::new(), is_control: None });
            }
        }
        for uni in &mut self.uni {
            self.has_settings |= uni.read(quic)?;
        }
        Ok(())
    }
}

impl Uni {
    /// True when SETTINGS have arrived here.
    fn read(&mut self, quic: &mut Connection) -> Result<bool, Broken> {
        while let Chunk::Bytes(bytes) = read_chunk(quic, self.stream, READ_BYTES_MAX) {
            if self.is_control == Some(false) {
                continue;
            }
            self.head.extend_from_slice(&bytes);
            let Ok(kind) = StreamUni::decode(&mut &self.head[..]) else {
                continue;
            };
            self.is_control = Some(kind == StreamUni::CONTROL);
            match Settings::decode(&mut &self.head[..]) {
                _ if kind != StreamUni::CONTROL => self.head = BytesMut::new(),
                Ok(settings) if settings.supports_webtransport() > 0 => {
                    // What follows on it is nothing to us.
                    self.is_control = Some(false);
                    self.head = BytesMut::new();
                    return Ok(true);
                }
                Err(SettingsError::UnexpectedEnd) if self.head.len() <= HEAD_BYTES_MAX => {}
                Ok(_) | Err(_) => return Err(Broken),
            }
        }
        Ok(false)
    }
}

impl Connect {
    fn new(stream: StreamId) -> Self {
        Self { stream, unread: BytesMut::new(), stage: Stage::Head, capsules: BytesMut::new(), is_acknowledged: false }
    }

    fn hear(&mut self, quic: &mut Connection) -> Result<Option<Heard>, Broken> {
        loop {
            let heard = match self.stage {
                Stage::Head if quic.side().is_server() => self.request()?,
                Stage::Head => self.response()?,
                Stage::Open => self.capsule()?,
                Stage::Deciding | Stage::Ended => return Ok(None),
            };
            if heard.is_some() {
                return Ok(heard);
            }
            match read_chunk(quic, self.stream, READ_BYTES_MAX) {
                Chunk::Bytes(bytes) => self.unread.extend_from_slice(&bytes),
                Chunk::Later => {
                    if self.unread.is_empty() {
                        self.unread = BytesMut::new();
                    }
                    return Ok(None);
                }
                Chunk::End if self.stage == Stage::Open => {
                    self.stage = Stage::Ended;
                    return Ok(Some(Heard::Closed(None)));
                }
                Chunk::End => return Err(Broken),
            }
        }
    }

    fn request(&mut self) -> Result<Option<Heard>, Broken> {
        let mut rest = &self.unread[..];
        let request = match ConnectRequest::decode(&mut rest) {
            Ok(request) => request,
            Err(error) => return self.unfinished(&error),
        };
        self.read_to(rest.len());
        self.stage = Stage::Deciding;
        let origin = request.headers.get("origin").and_then(|origin| origin.to_str().ok()).map(str::to_owned);
        Ok(Some(Heard::Request { path: request.url.path().to_owned(), origin }))
    }

    fn response(&mut self) -> Result<Option<Heard>, Broken> {
        let mut rest = &self.unread[..];
        match ConnectResponse::decode(&mut rest) {
            Ok(response) if response.status == StatusCode::OK => {}
            Ok(_) => return Err(Broken),
            Err(error) => return self.unfinished(&error),
        }
        self.read_to(rest.len());
        self.stage = Stage::Open;
        Ok(Some(Heard::Opened))
    }

    fn unfinished(&self, error: &ConnectError) -> Result<Option<Heard>, Broken> {
        let is_short = matches!(error, ConnectError::UnexpectedEnd) && self.unread.len() <= HEAD_BYTES_MAX;
        if is_short { Ok(None) } else { Err(Broken) }
    }

    /// Looks for the end of the session; other capsules say nothing to us.
    fn capsule(&mut self) -> Result<Option<Heard>, Broken> {
        while let Some(payload) = self.data()? {
            self.capsules.extend_from_slice(&payload);
        }
        loop {
            let mut rest = &self.capsules[..];
            let capsule = Capsule::decode(&mut rest);
            let end = self.capsules.len() - rest.len();
            match capsule {
                Ok(Capsule::CloseWebTransportSession { code, .. }) => {
                    self.stage = Stage::Ended;
                    return Ok(Some(Heard::Closed(Some(code))));
                }
                Ok(Capsule::Grease { .. } | Capsule::Unknown { .. }) => self.capsules.advance(end),
                Err(CapsuleError::UnexpectedEnd | CapsuleError::VarInt(_)) if self.capsules.len() <= HEAD_BYTES_MAX => {
                    return Ok(None);
                }
                Err(_) => return Err(Broken),
            }
        }
    }

    /// Payload of the next DATA frame; other frames are skipped.
    fn data(&mut self) -> Result<Option<Bytes>, Broken> {
        let mut rest = &self.unread[..];
        let Ok((kind, payload)) = Frame::read(&mut rest) else {
            return if self.unread.len() <= HEAD_BYTES_MAX { Ok(None) } else { Err(Broken) };
        };
        let length = payload.remaining();
        let head = self.unread.len() - rest.len();
        self.unread.advance(head);
        let payload = self.unread.split_to(length).freeze();
        if kind == Frame::DATA { Ok(Some(payload)) } else { Ok(Some(Bytes::new())) }
    }

    fn read_to(&mut self, left: usize) {
        self.unread.advance(self.unread.len() - left);
    }
}

/// What stands before the lane on a stream of the session.
pub(super) fn stream_head() -> Vec<u8> {
    let mut head = Vec::new();
    Frame::WEBTRANSPORT.encode(&mut head);
    head.push(SESSION);
    head
}

/// What follows the head of a stream; `None` while the head is not whole.
pub(super) fn after_stream_head(bytes: &[u8]) -> Result<Option<&[u8]>, NotOurs> {
    let mut rest = bytes;
    let (Ok(kind), Ok(session)) = (Frame::decode(&mut rest), proto::VarInt::decode(&mut rest)) else {
        return Ok(None);
    };
    let is_ours = kind == Frame::WEBTRANSPORT && session.into_inner() == u64::from(SESSION);
    if is_ours { Ok(Some(rest)) } else { Err(NotOurs) }
}

/// A datagram of the session.
pub(super) fn datagram(payload: &[u8]) -> Bytes {
    [&[SESSION], payload].concat().into()
}

/// The payload of a datagram of the session.
pub(super) fn datagram_payload(mut datagram: Bytes) -> Result<Bytes, NotOurs> {
    if datagram.first() != Some(&SESSION) {
        return Err(NotOurs);
    }
    datagram.advance(1);
    Ok(datagram)
}

/// The error code on the wire for one of the session.
pub(super) fn error_code(code: u32) -> VarInt {
    VarInt::from_u64(proto::error_to_http3(code)).unwrap_or_default()
}

/// Lets go of a stream that is none of ours.
pub(super) fn reject(quic: &mut Connection, stream: StreamId) {
    // Errors say that the other side let go of it first.
    let _ = quic.recv_stream(stream).stop(H3_REQUEST_REJECTED.into());
    let _ = quic.send_stream(stream).reset(H3_REQUEST_REJECTED.into());
}

/// Writes all of it at once: heads are far shorter than any window.
fn write(quic: &mut Connection, stream: StreamId, bytes: &[u8]) -> Result<(), Broken> {
    match quic.send_stream(stream).write(bytes) {
        Ok(written) if written == bytes.len() => Ok(()),
        Ok(_) | Err(WriteError::Blocked | WriteError::Stopped(_) | WriteError::ClosedStream) => Err(Broken),
    }
}

#[cfg(test)]
mod tests;
