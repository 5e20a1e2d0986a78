//! The load: sessions over real sockets, as clients have them, on any transport.

mod ca;
mod client;
mod dialler;
mod proxy;
mod quic;
mod reader;
mod wire;
mod ws;

use self::ca::tls;
pub(crate) use self::client::{Client, subscribed};
pub(crate) use self::dialler::{Dialler, Way};
pub(crate) use self::proxy::{Shape, TcpProxy, UdpProxy};
use self::quic::Quic;
pub(crate) use self::reader::{Reader, publication};
pub(crate) use self::wire::{Arrival, Wire};
use self::ws::address;
pub(crate) use self::ws::{Message, Socket};
