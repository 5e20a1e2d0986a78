//! The UDP socket: many datagrams per system call, and a look at what arrives.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use quinn_proto::EcnCodepoint;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};

use crate::counters::{Counters, Refused};

/// What the kernel may hold for us while the thread is busy, bytes; it grants as much of it as its own limit allows.
const KERNEL_BYTES: usize = 2 * 1024 * 1024;
/// The bit that every QUIC packet carries (RFC 9000 section 17): we do not offer to do without it (RFC 9287).
const FIXED_BIT: u8 = 0x40;

/// A UDP socket of a network thread, edge-triggered.
pub(super) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    counters: Counters,
    buffer: Box<[u8]>,
    /// There may be more to read.
    is_readable: bool,
    registry: Registry,
    token: Token,
    /// The kernel had no room for this; nothing else is sent before it.
    unsent: Option<Unsent>,
}

struct Unsent {
    transmit: quinn_proto::Transmit,
    contents: Vec<u8>,
}

/// A datagram that arrived.
pub(super) struct Arrival {
    pub(super) remote: SocketAddr,
    pub(super) local_ip: Option<IpAddr>,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) data: BytesMut,
}

impl Socket {
    /// Takes over a bound socket. `bytes_max` is the largest datagram it receives.
    pub(super) fn new(
        socket: std::net::UdpSocket,
        counters: Counters,
        bytes_max: usize,
        (registry, token): (&Registry, Token),
    ) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // Less than wanted is enough; the kernel drops what does not fit, and QUIC sends it again.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), KERNEL_BYTES);
        let _ = state.set_send_buffer_size(UdpSockRef::from(&socket), KERNEL_BYTES);
        let mut io = UdpSocket::from_std(socket);
        registry.register(&mut io, token, Interest::READABLE)?;
        let buffer = vec![0; bytes_max * state.gro_segments() * BATCH_SIZE].into_boxed_slice();
        let registry = registry.try_clone()?;
        Ok(Self { io, state, counters, buffer, is_readable: true, registry, token, unsent: None })
    }

    pub(super) fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }

    /// Datagrams that one call of [`Socket::send`] may hold.
    pub(super) fn segments_max(&self) -> usize {
        self.state.max_gso_segments()
    }

    pub(super) fn is_readable(&self) -> bool {
        self.is_readable
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.unsent.is_some()
    }

    /// The poll says that the socket is readable.
    pub(super) fn on_readable(&mut self) {
        self.is_readable = true;
    }

    /// The poll says that the socket is writable.
    pub(super) fn on_writable(&mut self) {
        if let Some(Unsent { transmit, contents }) = self.unsent.take() {
            self.listen_for(Interest::READABLE);
            self.send(&transmit, &contents);
        }
    }

    /// Reads one batch; each datagram becomes an arrival.
    pub(super) fn receive(&mut self, arrivals: &mut Vec<Arrival>) -> io::Result<()> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut chunks = self.buffer.chunks_mut(self.buffer.len() / BATCH_SIZE);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let count = match self.state.recv(UdpSockRef::from(&self.io), &mut slices, &mut metas) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_readable = false;
                return Ok(());
            }
            // Whoever is on the way can send us this; QUIC does not know it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        };
        // A batch that is not full has emptied the socket, and the next datagram is a new edge.
        self.is_readable = count == BATCH_SIZE;
        for (meta, slice) in metas.iter().zip(&slices).take(count) {
            let mut data = BytesMut::from(&slice[..meta.len]);
            while !data.is_empty() {
                let datagram = data.split_to(meta.stride.clamp(1, data.len()));
                if datagram[0] & FIXED_BIT == 0 {
                    self.counters.count(Refused::UdpNoise);
                    continue;
                }
                let ecn = meta.ecn.and_then(|ecn| EcnCodepoint::from_bits(ecn as u8));
                arrivals.push(Arrival { remote: meta.addr, local_ip: meta.dst_ip, ecn, data: datagram });
            }
        }
        Ok(())
    }

    /// Sends, or keeps it until the socket is writable. Only while it is not blocked.
    pub(super) fn send(&mut self, transmit: &quinn_proto::Transmit, contents: &[u8]) {
        debug_assert!(self.unsent.is_none(), "nothing overtakes what waits");
        let udp = quinn_udp::Transmit {
            destination: transmit.destination,
            ecn: transmit.ecn.and_then(|ecn| quinn_udp::EcnCodepoint::from_bits(ecn as u8)),
            contents: &contents[..transmit.size],
            segment_size: transmit.segment_size,
            src_ip: transmit.src_ip,
        };
        // Every other error is a lost datagram.
        if self.state.send(UdpSockRef::from(&self.io), &udp).is_err() {
            let transmit = quinn_proto::Transmit { ..*transmit };
            self.unsent = Some(Unsent { contents: contents[..transmit.size].to_vec(), transmit });
            // Only now: the kernel wakes for writing with every datagram that leaves.
            self.listen_for(Interest::READABLE | Interest::WRITABLE);
        }
    }

    /// Sends an answer that no connection stands behind. One that the kernel has no room for is lost; the client asks
    /// again.
    pub(super) fn answer(&mut self, transmit: &quinn_proto::Transmit, contents: &[u8]) {
        if !self.is_blocked() {
            self.send(transmit, contents);
        }
    }

    fn listen_for(&mut self, interest: Interest) {
        if let Err(error) = self.registry.reregister(&mut self.io, self.token, interest) {
            tracing::error!(%error, "the UDP socket cannot be polled");
        }
    }
}
