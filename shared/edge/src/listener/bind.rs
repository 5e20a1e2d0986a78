//! One port number for TCP and UDP.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use amphi_shared_wire::limits::ACCEPTS_WAITING_MAX;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

/// How often a free port is tried that turns out to be taken for UDP.
const ATTEMPTS: usize = 32;

/// Why nothing listens. The text is one sentence for the person who started the program.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another program has the port.
    #[error("{0} is already in use by another program; stop it or choose another port")]
    InUse(SocketAddr),
    /// This user may not bind the port.
    #[error("this user may not listen on {0}; choose a port above 1023 or grant the right")]
    Forbidden(SocketAddr),
    /// The machine has no such address.
    #[error("this machine has no address {0}; choose one of its own, or 0.0.0.0 for all")]
    NoAddress(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {0}: {1}")]
    Other(SocketAddr, String),
}

impl BindError {
    pub(super) fn other(addr: SocketAddr, error: impl std::fmt::Display) -> Self {
        Self::Other(addr, error.to_string())
    }

    fn from_io(addr: SocketAddr, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::AddrInUse {
            Self::InUse(addr)
        } else if error.kind() == io::ErrorKind::PermissionDenied {
            Self::Forbidden(addr)
        } else if error.kind() == io::ErrorKind::AddrNotAvailable {
            Self::NoAddress(addr)
        } else {
            Self::other(addr, error)
        }
    }
}

pub(super) struct Sockets {
    pub(super) local_addr: SocketAddr,
    pub(super) tcp: TcpListener,
    pub(super) udp: Option<UdpSocket>,
}

/// Binds TCP and, when wanted, UDP to one port number.
pub(super) fn bind(listen: SocketAddr, with_udp: bool) -> Result<Sockets, BindError> {
    let mut attempts = if listen.port() == 0 { ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind_once(listen, with_udp) {
            Ok(sockets) => return Ok(sockets),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            Err(error) => return Err(BindError::from_io(listen, &error)),
        }
    }
}

fn bind_once(listen: SocketAddr, with_udp: bool) -> io::Result<Sockets> {
    let tcp = bind_tcp(listen)?;
    let local_addr = tcp.local_addr()?;
    let udp = if with_udp { Some(UdpSocket::bind(local_addr)?) } else { None };
    Ok(Sockets { local_addr, tcp, udp })
}

/// As the standard library binds, but for the length of the queue: its 128 overflow when a crowd comes back at once, and
/// whoever finds the queue full tries again no earlier than a second later.
fn bind_tcp(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(listen), Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&listen.into())?;
    socket.listen(ACCEPTS_WAITING_MAX)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_that_comes_at_once_finds_room() {
        let sockets = bind(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap();
        // Nobody accepts. Beyond the queue a connect would not return before the system has tried again and again.
        let clients: Vec<_> = (0..200).map(|_| std::net::TcpStream::connect(sockets.local_addr).unwrap()).collect();
        assert_eq!(clients.len(), 200);
    }

    #[test]
    fn what_went_wrong_is_one_sentence() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = bind(any, true).unwrap();
        let again = bind(first.local_addr, true).err().unwrap();
        assert_eq!(
            again.to_string(),
            format!("{} is already in use by another program; stop it or choose another port", first.local_addr)
        );
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
        assert!(matches!(bind(elsewhere, false), Err(BindError::NoAddress(_))));
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(BindError::from_io(any, &denied).to_string().starts_with("this user may not listen on 127.0.0.1:0"));
    }
}
