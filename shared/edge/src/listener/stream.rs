//! A TCP connection under HTTP, plain or TLS, that can be taken apart for its network thread.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::tls_stream::TlsStream;
use crate::network::TlsState;

/// A client that takes nothing of an answer for this long is let go.
const STALL_MAX: Duration = Duration::from_secs(10);

/// What hyper reads from and writes to.
pub(super) struct Stream {
    io: Io,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

enum Io {
    Plain(TcpStream),
    Tls(TlsStream),
}

impl Stream {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self { io: Io::Plain(stream), stalled: None }
    }

    pub(super) fn tls(stream: TlsStream) -> Self {
        Self { io: Io::Tls(stream), stalled: None }
    }

    /// The socket, out of tokio's hands, and its TLS state.
    pub(super) fn into_parts(self) -> io::Result<(std::net::TcpStream, Option<Box<TlsState>>)> {
        match self.io {
            Io::Plain(stream) => Ok((stream.into_std()?, None)),
            Io::Tls(stream) => {
                let (stream, state) = stream.into_parts();
                Ok((stream.into_std()?, Some(state)))
            }
        }
    }

    fn io(&mut self) -> Pin<&mut dyn Duplex> {
        let io: &mut dyn Duplex = match &mut self.io {
            Io::Plain(stream) => stream,
            Io::Tls(stream) => stream,
        };
        Pin::new(io)
    }

    /// Turns a wait that is too long into an error.
    fn patient<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL_MAX)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io().poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let done = stream.io().poll_write(cx, buf);
        stream.patient(cx, done)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let done = stream.io().poll_write_vectored(cx, bufs);
        stream.patient(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        let done = stream.io().poll_flush(cx);
        stream.patient(cx, done)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        let done = stream.io().poll_shutdown(cx);
        stream.patient(cx, done)
    }
}
