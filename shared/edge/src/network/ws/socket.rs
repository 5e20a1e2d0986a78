//! A TCP connection, plain or under TLS, that never blocks.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use crate::network::TlsState;

/// Bytes that TLS encrypts ahead of the socket.
const TLS_AHEAD_BYTES_MAX: usize = 64 * 1024;
/// The kernel's send buffer (it doubles the number): left to itself it takes megabytes from a client that does not
/// read, and hides them from the limits on what waits.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// An upgraded connection's bytes.
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Tls),
}

pub(super) struct Tls {
    stream: TcpStream,
    state: Box<TlsState>,
    /// The last read has taken all there was.
    is_dry: bool,
}

impl Socket {
    pub(super) fn new(stream: std::net::TcpStream, tls: Option<Box<TlsState>>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES)?;
        let stream = TcpStream::from_std(stream);
        Ok(match tls {
            None => Self::Plain(stream),
            Some(state) => Self::Tls(Tls { stream, state, is_dry: false }),
        })
    }

    /// Makes `registry`'s poll tell once each time there is more to read, or room to write again.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream().register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Whether a read that did not fill its buffer has taken all there was.
    pub(super) fn reads_dry(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Tls(tls) => tls.is_dry && !tls.state.has_plain(),
        }
    }

    /// Without TLS.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Reads what has arrived; 0 at the end of the stream.
    pub(super) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => retry(|| stream.read(out)),
            Self::Tls(tls) => tls.read(out),
        }
    }

    /// Writes as much as there is room for. Under TLS it may wait inside until [`Socket::flush`].
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => retry(|| stream.write(bytes)),
            Self::Tls(tls) => tls.state.write(&[IoSlice::new(bytes)], TLS_AHEAD_BYTES_MAX),
        }
    }

    /// The same for bytes in pieces.
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => retry(|| stream.write_vectored(slices)),
            Self::Tls(tls) => tls.state.write(slices, TLS_AHEAD_BYTES_MAX),
        }
    }

    /// Whether TLS has something to say that [`Socket::flush`] has not handed over.
    pub(super) fn wants_flush(&self) -> bool {
        matches!(self, Self::Tls(tls) if !tls.state.outgoing().is_empty())
    }

    /// Moves what TLS has encrypted into the socket; `WouldBlock` when not all of it has room.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Self::Tls(tls) = self else {
            return Ok(());
        };
        while !tls.state.outgoing().is_empty() {
            match retry(|| tls.stream.write(tls.state.outgoing()))? {
                0 => return Err(ErrorKind::WriteZero.into()),
                bytes => tls.state.left(bytes),
            }
        }
        Ok(())
    }

    /// Says that nothing more will be written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if let Self::Tls(tls) = self {
            tls.state.close()?;
            self.flush()?;
        }
        self.stream().shutdown(Shutdown::Write)
    }

    fn stream(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &mut tls.stream,
        }
    }
}

impl Tls {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.state.has_plain() || self.state.is_ended() {
                return Ok(self.state.read(out));
            }
            let bytes = retry(|| self.stream.read(out))?;
            if bytes == 0 {
                return Ok(0);
            }
            self.is_dry = bytes < out.len();
            if let Err(error) = self.state.receive(&mut out[..bytes]) {
                // The alert says why, if it still can.
                let _ = self.stream.write(self.state.outgoing());
                return Err(error);
            }
        }
    }
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
