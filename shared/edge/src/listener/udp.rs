//! The UDP socket under quinn, with a look at what arrives: noise is counted before quinn drops it in silence.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use crate::counters::{Counters, Refused};

/// The bit that every QUIC packet carries (RFC 9000 section 17): we do not offer to do without it (RFC 9287).
const FIXED_BIT: u8 = 0x40;

pub(super) struct CountingSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    counters: Counters,
}

impl CountingSocket {
    pub(super) fn new(inner: Arc<dyn AsyncUdpSocket>, counters: Counters) -> Self {
        Self { inner, counters }
    }

    fn look(&self, bytes: &[u8], stride: usize) {
        for packet in bytes.chunks(stride.max(1)) {
            if packet[0] & FIXED_BIT == 0 {
                self.counters.count(Refused::UdpNoise);
            }
        }
    }
}

impl AsyncUdpSocket for CountingSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let polled = self.inner.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = &polled {
            for (buffer, meta) in bufs.iter().zip(meta.iter()).take(*count) {
                self.look(&buffer[..meta.len], meta.stride);
            }
        }
        polled
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

impl fmt::Debug for CountingSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
