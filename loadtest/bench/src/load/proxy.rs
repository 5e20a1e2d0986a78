//! Networks between load and server: each way takes its time, loses, or goes silent.
//!
//! A packet waits on a thread that sleeps until it is due, so delays are exact to some tens of microseconds, where
//! timers of an event loop would round to milliseconds.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use amphi_shared_wire::{Rng, Seed};

use super::address;

/// How often a thread looks whether the proxy is still wanted.
const LOOK: Duration = Duration::from_millis(50);
const PACKET_BYTES_MAX: usize = 2_048;

/// What a network does to what it carries, each way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Time from one end to the other.
    pub(crate) delay: Duration,
    /// Packets in a thousand that are lost.
    pub(crate) loss_permille: u64,
}

/// What both kinds of proxies share with their threads.
#[derive(Debug, Default)]
struct Path {
    ended: AtomicBool,
    silent: AtomicBool,
    bytes: AtomicU64,
    packets: AtomicU64,
    lost: AtomicU64,
}

impl Path {
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether a packet goes on; counted either way.
    fn carries(&self, bytes: usize, shape: Shape, rng: &mut Rng) -> bool {
        if self.silent.load(Ordering::Relaxed) || rng.below(1_000) < shape.loss_permille {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        true
    }
}

/// A UDP network in front of a server; it ends when this is dropped.
pub(crate) struct UdpProxy {
    /// Where clients send to.
    pub(crate) address: SocketAddr,
    path: Arc<Path>,
}

impl UdpProxy {
    /// A network to `server`.
    ///
    /// # Errors
    /// There is no socket.
    pub(crate) fn start(server: SocketAddr, shape: Shape) -> anyhow::Result<Self> {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0")?);
        let address = socket.local_addr()?;
        let path = Arc::new(Path::default());
        let carried = Arc::clone(&path);
        // A thread that fails ends its flow, and who waits for it says so.
        thread::spawn(move || drop(forward_udp(&socket, server, (shape, &carried))));
        Ok(Self { address, path })
    }

    /// Loses everything from here on, both ways.
    pub(crate) fn silence(&self) {
        self.path.silent.store(true, Ordering::Relaxed);
    }

    /// Bytes of UDP payload carried so far, both ways.
    pub(crate) fn bytes(&self) -> u64 {
        self.path.bytes.load(Ordering::Relaxed)
    }

    /// Packets carried so far, both ways.
    pub(crate) fn packets(&self) -> u64 {
        self.path.packets.load(Ordering::Relaxed)
    }

    /// Packets lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.path.lost.load(Ordering::Relaxed)
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.path.ended.store(true, Ordering::Relaxed);
    }
}

/// Client to server; each client gets a socket towards the server, and a thread for the way back.
fn forward_udp(socket: &Arc<UdpSocket>, server: SocketAddr, (shape, path): (Shape, &Arc<Path>)) -> std::io::Result<()> {
    socket.set_read_timeout(Some(LOOK))?;
    let mut flows: Vec<(SocketAddr, Delay<Vec<u8>>)> = Vec::new();
    let (mut packet, mut rng) = ([0; PACKET_BYTES_MAX], Seed(7).split("up").rng());
    while !path.has_ended() {
        let Ok((length, client)) = socket.recv_from(&mut packet) else { continue };
        if !path.carries(length, shape, &mut rng) {
            continue;
        }
        let known = flows.iter().position(|(address, _)| *address == client);
        let at = match known {
            Some(at) => at,
            None => {
                let upstream = Arc::new(UdpSocket::bind((address(flows.len()), 0))?);
                upstream.connect(server)?;
                let (back, client_socket, carried) = (Arc::clone(&upstream), Arc::clone(socket), Arc::clone(path));
                thread::spawn(move || drop(return_udp(&back, &client_socket, client, (shape, &carried))));
                flows.push((client, Delay::start(shape.delay, move |packet: Vec<u8>| upstream.send(&packet).is_ok())));
                flows.len() - 1
            }
        };
        flows[at].1.carry(packet[..length].to_vec());
    }
    Ok(())
}

fn return_udp(
    from: &UdpSocket,
    to: &Arc<UdpSocket>,
    client: SocketAddr,
    (shape, path): (Shape, &Arc<Path>),
) -> std::io::Result<()> {
    from.set_read_timeout(Some(LOOK))?;
    let to = Arc::clone(to);
    let delay = Delay::start(shape.delay, move |packet: Vec<u8>| to.send_to(&packet, client).is_ok());
    let (mut packet, mut rng) = ([0; PACKET_BYTES_MAX], Seed(8).split("down").rng());
    while !path.has_ended() {
        // An error may say that the server's port is closed for now.
        let Ok(length) = from.recv(&mut packet) else { continue };
        if path.carries(length, shape, &mut rng) {
            delay.carry(packet[..length].to_vec());
        }
    }
    Ok(())
}

/// A TCP network in front of a server. A connection through it is open at once for the client, so its first bytes wait
/// for the round trip that the handshake of TCP would have taken.
pub(crate) struct TcpProxy {
    /// Where clients connect to.
    pub(crate) address: SocketAddr,
    path: Arc<Path>,
}

impl TcpProxy {
    /// A network to `server`.
    ///
    /// # Errors
    /// There is no socket.
    pub(crate) fn start(server: SocketAddr, delay: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let path = Arc::new(Path::default());
        let carried = Arc::clone(&path);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if carried.has_ended() {
                    return;
                }
                let carried = Arc::clone(&carried);
                thread::spawn(move || drop(forward_tcp(&client, server, delay, &carried)));
            }
        });
        Ok(Self { address, path })
    }

    /// Bytes carried so far, both ways.
    pub(crate) fn bytes(&self) -> u64 {
        self.path.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.path.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts; if it is gone already, so much the better.
        let _ = TcpStream::connect(self.address);
    }
}

fn forward_tcp(client: &TcpStream, server: SocketAddr, delay: Duration, path: &Arc<Path>) -> std::io::Result<()> {
    let opened = Instant::now() + delay * 2;
    let upstream = TcpStream::connect(server)?;
    for stream in [client, &upstream] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
    }
    let (back_from, back_to, back_path) = (upstream.try_clone()?, client.try_clone()?, Arc::clone(path));
    let back = thread::spawn(move || pump(&back_from, back_to, (Instant::now(), delay), &back_path));
    pump(client, upstream, (opened, delay), path);
    // It ends when either end does.
    let _ = back.join();
    Ok(())
}

/// Carries bytes one way until an end closes.
fn pump(mut from: &TcpStream, to: TcpStream, (opened, delay): (Instant, Duration), path: &Path) {
    let closing = to.try_clone();
    let delayed = Delay::start(delay, move |bytes: Vec<u8>| (&to).write_all(&bytes).is_ok());
    let mut buffer = [0; 16 * 1024];
    while !path.has_ended() {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                path.bytes.fetch_add(length as u64, Ordering::Relaxed);
                delayed.carry_from(Instant::now().max(opened), buffer[..length].to_vec());
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    delayed.end();
    if let Ok(to) = closing {
        // The other end may be gone.
        let _ = to.shutdown(Shutdown::Write);
    }
}

/// A queue whose items come out a fixed time after they went in.
struct Delay<T> {
    delay: Duration,
    queue: mpsc::Sender<(Instant, T)>,
    thread: thread::JoinHandle<()>,
}

impl<T: Send + 'static> Delay<T> {
    /// `deliver` says whether it takes more.
    fn start(delay: Duration, mut deliver: impl FnMut(T) -> bool + Send + 'static) -> Self {
        let (queue, waiting) = mpsc::channel::<(Instant, T)>();
        let thread = thread::spawn(move || {
            while let Ok((due, item)) = waiting.recv() {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if !deliver(item) {
                    return;
                }
            }
        });
        Self { delay, queue, thread }
    }

    fn carry(&self, item: T) {
        self.carry_from(Instant::now(), item);
    }

    fn carry_from(&self, sent: Instant, item: T) {
        // The other end may have closed.
        let _ = self.queue.send((sent + self.delay, item));
    }

    /// Waits until everything came out.
    fn end(self) {
        drop(self.queue);
        // A thread that panicked delivered nothing more.
        let _ = self.thread.join();
    }
}
