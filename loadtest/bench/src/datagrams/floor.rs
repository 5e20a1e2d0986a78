//! The floor: the same datagrams over one bare socket.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use super::{PAYLOAD_BYTES, RATE_HZ, Work};
use crate::harness::{Sample, Server, Stage};

/// How often the server looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);
/// The load sends in bursts this often.
const BURST: Duration = Duration::from_millis(1);

pub(super) fn serve(mut stage: Stage) -> anyhow::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(LOOK))?;
    stage.ready(socket.local_addr()?.to_string());
    let mut datagram = [0; 2 * PAYLOAD_BYTES];
    while !stage.is_stopped() {
        // A time-out is the only error; one more look.
        while let Ok((length, client)) = socket.recv_from(&mut datagram) {
            socket.send_to(&datagram[..length], client)?;
        }
    }
    Ok(())
}

pub(super) fn measure(server: &Server, work: Work) -> anyhow::Result<Sample> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server.ready())?;
    socket.set_nonblocking(true)?;
    let per_burst = (work.clients as f64 * f64::from(RATE_HZ) * BURST.as_secs_f64()).ceil() as usize;
    let (mut datagram, mut returned, mut sent) = ([0xa5; PAYLOAD_BYTES], 0_u64, 0_u64);
    let before_ns = server.cpu_ns()?;
    let start = Instant::now();
    while start.elapsed() < work.window {
        for _ in 0..per_burst {
            sent += u64::from(socket.send(&datagram).is_ok());
        }
        thread::sleep(BURST);
        while socket.recv(&mut datagram).is_ok() {
            returned += 1;
        }
    }
    let spent_ns = server.cpu_ns()?.saturating_sub(before_ns);
    Ok(Sample::new().with("cpu_us", spent_ns as f64 / 1_000.0 / (sent + returned) as f64))
}
