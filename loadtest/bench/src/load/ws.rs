//! WebSocket, the client's side, as plain as can be: no copy of what it need not keep, no task.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use amphi_shared_wire::{LANE_CONTROL, WS_BINARY, WS_HELLO, WS_HELLO_PREFIX};
use anyhow::ensure;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

/// Bytes taken from a socket at a time.
const READ_BYTES: usize = 2 * 1024;
/// Where sessions are.
pub(super) const SESSION_PATH: &str = "/session";
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// The address of the load is spread over this many of 127.0.0.0/8, for ports and for limits per address.
const ADDRESSES: usize = 64;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection after its upgrade.
pub(crate) struct Socket {
    stream: Box<dyn Stream>,
    inbox: BytesMut,
    outbox: BytesMut,
}

/// A whole message.
pub(crate) enum Message {
    Binary(Bytes),
    Text(Bytes),
    /// The end, with the code the server gave.
    Closed(Option<u16>),
}

/// The own address of client `number`.
pub(super) fn address(number: usize) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, 2 + (number % ADDRESSES) as u8).into()
}

/// Connects from the address of client `number`, over TLS when there is a connector.
async fn connect(number: usize, to: SocketAddr, tls: Option<&TlsConnector>) -> anyhow::Result<Box<dyn Stream>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(address(number), 0))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(match tls {
        // Tickets are kept by name, and each client has only its own.
        Some(tls) => Box::new(tls.connect(format!("client-{number}.localhost").try_into()?, stream).await?),
        None => Box::new(stream),
    })
}

impl Socket {
    fn of(stream: Box<dyn Stream>) -> Self {
        Self { stream, inbox: BytesMut::new(), outbox: BytesMut::new() }
    }

    /// Connects as client `number` to a server that writes WebSocket messages and wants no upgrade.
    ///
    /// # Errors
    /// The server does not accept.
    pub(crate) async fn open_bare(number: usize, to: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self::of(connect(number, to, None).await?))
    }

    /// Connects as client `number`, over TLS when there is a connector, and upgrades at `path`.
    ///
    /// # Errors
    /// The server does not accept or does not upgrade.
    pub(crate) async fn open(
        number: usize,
        to: SocketAddr,
        (path, protocol): (&str, &str),
        tls: Option<&TlsConnector>,
    ) -> anyhow::Result<Self> {
        let mut socket = Self::of(connect(number, to, tls).await?);
        socket.upgrade(to, path, protocol).await?;
        Ok(socket)
    }

    /// The same at the session's path, with the Hello inside the upgrade; where the server does not read it there, it waits
    /// to be sent as the first message.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub(crate) async fn open_greeting(
        number: usize,
        to: SocketAddr,
        hello: &[u8],
        tls: Option<&TlsConnector>,
    ) -> anyhow::Result<Self> {
        let mut socket = Self::of(connect(number, to, tls).await?);
        let protocols = format!("{WS_BINARY}, {WS_HELLO}, {WS_HELLO_PREFIX}{}", URL_SAFE_NO_PAD.encode(hello));
        let head = socket.upgrade(to, SESSION_PATH, &protocols).await?;
        let taken = format!("sec-websocket-protocol: {WS_HELLO}\r\n");
        if !String::from_utf8_lossy(&head).to_ascii_lowercase().contains(&taken) {
            socket.push_binary(&[&[LANE_CONTROL], hello]);
        }
        Ok(socket)
    }

    /// The head of the answer.
    async fn upgrade(&mut self, to: SocketAddr, path: &str, protocol: &str) -> anyhow::Result<BytesMut> {
        let wanted =
            if protocol.is_empty() { String::new() } else { format!("sec-websocket-protocol: {protocol}\r\n") };
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{wanted}\r\n"
        );
        self.stream.write_all(request.as_bytes()).await?;
        loop {
            if let Some(end) = self.inbox.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = self.inbox.split_to(end + 4);
                ensure!(head.starts_with(b"HTTP/1.1 101"), "no upgrade: {}", String::from_utf8_lossy(&head));
                return Ok(head);
            }
            ensure!(self.read().await? > 0, "the server closed before it upgraded");
        }
    }

    /// Sends what waits, answers pings, and returns the next message. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn next(&mut self) -> io::Result<Message> {
        loop {
            self.flush().await?;
            let Some((opcode, payload)) = self.frame() else {
                if self.read().await? == 0 {
                    return Ok(Message::Closed(None));
                }
                continue;
            };
            match opcode {
                BINARY => return Ok(Message::Binary(payload)),
                TEXT => return Ok(Message::Text(payload)),
                CLOSE => {
                    return Ok(Message::Closed(payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]))));
                }
                PING => self.push(PONG, &[&payload]),
                _ => {}
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.inbox.reserve(READ_BYTES);
        self.stream.read_buf(&mut self.inbox).await
    }

    /// Queues a binary message.
    pub(crate) fn push_binary(&mut self, parts: &[&[u8]]) {
        self.push(BINARY, parts);
    }

    /// Queues a text message.
    pub(crate) fn push_text(&mut self, text: &str) {
        self.push(TEXT, &[text.as_bytes()]);
    }

    /// Masked with zeros (RFC 6455 section 5.3), which leaves the payload as it is.
    fn push(&mut self, opcode: u8, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.outbox.extend_from_slice(&[0x80 | opcode]);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(length), _) if length < 126 => self.outbox.extend_from_slice(&[0x80 | length]),
            (_, Ok(length)) => {
                self.outbox.extend_from_slice(&[0x80 | 126]);
                self.outbox.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                self.outbox.extend_from_slice(&[0x80 | 127]);
                self.outbox.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        self.outbox.extend_from_slice(&[0; 4]);
        parts.iter().for_each(|part| self.outbox.extend_from_slice(part));
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        while !self.outbox.is_empty() {
            let written = self.stream.write(&self.outbox).await?;
            self.outbox.advance(written);
        }
        self.outbox = BytesMut::new();
        self.stream.flush().await
    }

    /// Says goodbye and closes.
    pub(crate) async fn close(&mut self, code: u16) {
        self.push(CLOSE, &[&code.to_be_bytes()]);
        // The server may be gone already.
        let _ = self.flush().await;
        let _ = self.stream.shutdown().await;
    }

    /// The first whole frame; servers neither mask nor, here, fragment.
    fn frame(&mut self) -> Option<(u8, Bytes)> {
        let bytes = &self.inbox;
        let (head, length) = match *bytes.get(1)? {
            126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into()),
            127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
            short => (2, usize::from(short)),
        };
        if bytes.len() < head + length {
            return None;
        }
        let opcode = bytes[0] & 0x0f;
        self.inbox.advance(head);
        let payload = Bytes::copy_from_slice(&self.inbox[..length]);
        self.inbox.advance(length);
        if self.inbox.is_empty() {
            self.inbox = BytesMut::new();
        }
        Some((opcode, payload))
    }
}
