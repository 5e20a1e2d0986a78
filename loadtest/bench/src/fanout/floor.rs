//! The floor: the same bytes to the same number of sockets, one `send()` each and nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use amphi_shared_wire::LANE_TOPICS;

use super::reader::{self, message};
use super::{Measured, PAYLOAD_BYTES, Work, server};
use crate::harness::{Scale, Server, Stage};
use crate::load::Socket;
use crate::serve::Serve;

/// As long as the head of our publications: kind, alias, offset of two bytes, flags, and the payload's two heads.
const HEAD: [u8; 9] = [LANE_TOPICS, 1, 1, 0x80, 1, 0, 0x12, PAYLOAD_BYTES as u8, 0x0a];

/// Publishes when the last reader has said a byte.
pub(crate) fn serve(work: Work, mut stage: Stage) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    stage.ready(listener.local_addr()?.to_string());
    let mut readers = Vec::with_capacity(work.readers);
    for _ in 0..work.readers {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        readers.push(stream);
    }
    let mut starter = listener.accept()?.0;
    starter.read_exact(&mut [0])?;
    let start = Instant::now();
    for round in 0..work.rounds {
        let due = start + Duration::from_secs(round as u64) / work.hz;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        for n in 0..work.burst {
            let frame = frame(round * work.burst + n);
            readers.iter_mut().try_for_each(|reader| reader.write_all(&frame))?;
        }
    }
    // A reader says nothing; it only leaves, in order or not.
    readers.iter_mut().for_each(|reader| drop(reader.read(&mut [0])));
    Ok(())
}

/// A WebSocket message as long as the live role's.
fn frame(number: usize) -> Vec<u8> {
    let mut frame = vec![0x82, (HEAD.len() + PAYLOAD_BYTES) as u8];
    frame.extend_from_slice(&HEAD);
    frame.extend_from_slice(message(number).as_bytes());
    frame
}

pub(super) fn measure(work: Work, scale: Scale) -> anyhow::Result<Measured> {
    let server = Server::start(scale, Serve::FanoutFloor(work))?;
    let address: SocketAddr = server.ready().parse()?;
    let open = move |number| Socket::open_bare(number, address);
    let start = async move {
        TcpStream::connect(address)?.write_all(&[0])?;
        Ok(())
    };
    let (spent_ns, arrivals) = reader::read(&server, work, server::payload, open, start)?;
    let resident_kib = server.resident_kib()?;
    server.stop()?;
    Ok(Measured { work, spent_ns, arrivals, resident_kib })
}
