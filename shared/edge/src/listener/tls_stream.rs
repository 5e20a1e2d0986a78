//! TLS over a TCP connection of tokio: the handshake, and what HTTP reads and writes.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::network::TlsState;

/// What is read at a time.
const READ_BYTES: usize = 4 * 1024;
/// Bytes that are encrypted ahead of the socket.
const AHEAD_BYTES_MAX: usize = 64 * 1024;

/// A connection after its handshake.
pub(super) struct TlsStream {
    stream: TcpStream,
    state: Box<TlsState>,
    is_closing: bool,
}

impl TlsStream {
    /// Goes through the handshake.
    pub(super) async fn accept(config: Arc<ServerConfig>, mut stream: TcpStream) -> io::Result<Self> {
        let mut state = Box::new(TlsState::new(config).map_err(io::Error::other)?);
        let mut arrived = vec![0; READ_BYTES];
        while state.is_handshaking() {
            let bytes = stream.read(&mut arrived).await?;
            if bytes == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let received = state.receive(&mut arrived[..bytes]);
            stream.write_all(state.outgoing()).await?;
            state.left(state.outgoing().len());
            received?;
        }
        Ok(Self { stream, state, is_closing: false })
    }

    /// The socket and its TLS.
    pub(super) fn into_parts(self) -> (TcpStream, Box<TlsState>) {
        (self.stream, self.state)
    }

    /// Hands what is encrypted to the socket.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.state.outgoing().is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, self.state.outgoing()))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                bytes => self.state.left(bytes),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let tls = self.get_mut();
        while !tls.state.has_plain() && !tls.state.is_ended() {
            let mut arrived = [0; READ_BYTES];
            let mut arrived = ReadBuf::new(&mut arrived);
            ready!(Pin::new(&mut tls.stream).poll_read(cx, &mut arrived))?;
            if arrived.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            let received = tls.state.receive(arrived.filled_mut());
            // What TLS answers leaves now, or with the next write.
            if let Poll::Ready(sent) = tls.poll_send(cx) {
                sent?;
            }
            received?;
        }
        let bytes = tls.state.read(buf.initialize_unfilled());
        buf.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tls = self.get_mut();
        if tls.state.outgoing().len() >= AHEAD_BYTES_MAX {
            ready!(tls.poll_send(cx))?;
        }
        let written = tls.state.write(bufs, AHEAD_BYTES_MAX)?;
        // What finds no room leaves with the next write or flush.
        if let Poll::Ready(sent) = tls.poll_send(cx) {
            sent?;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tls = self.get_mut();
        ready!(tls.poll_send(cx))?;
        Pin::new(&mut tls.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tls = self.get_mut();
        if !std::mem::replace(&mut tls.is_closing, true) {
            tls.state.close()?;
        }
        ready!(tls.poll_send(cx))?;
        Pin::new(&mut tls.stream).poll_shutdown(cx)
    }
}
