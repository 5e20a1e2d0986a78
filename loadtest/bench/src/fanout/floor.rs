//! The floor: the same frames to the same number of sockets, one `send()` each and nothing else.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{PAYLOAD_BYTES, RATE_HZ, Work};
use crate::harness::Stage;

pub(super) fn serve(work: Work, mut stage: Stage) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    stage.ready(listener.local_addr()?.to_string());
    let mut viewers = Vec::with_capacity(work.viewers);
    for _ in 0..work.viewers {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        viewers.push(stream);
    }
    let frame = frame();
    let start = Instant::now();
    for n in 0..work.frames {
        thread::sleep((start + Duration::from_secs(n as u64) / RATE_HZ).saturating_duration_since(Instant::now()));
        viewers.iter_mut().try_for_each(|viewer| viewer.write_all(&frame))?;
    }
    viewers.iter_mut().for_each(wait_for_end);
    Ok(())
}

/// A WebSocket message as long as the live role's: lane, then a publication.
fn frame() -> Vec<u8> {
    // Lane 1, kind 1, alias, offset (two bytes), flags, and the payload's two heads of three bytes.
    let head = [1, 1, 1, 0x80, 1, 0, 0x1a, 0x90, 3];
    let length = (head.len() + PAYLOAD_BYTES) as u16;
    let mut frame = vec![0x82, 126];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&head);
    frame.resize(4 + usize::from(length), 0xa5);
    frame
}

fn wait_for_end(viewer: &mut TcpStream) {
    // A viewer says nothing; it only leaves, in order or not.
    let _ = viewer.read(&mut [0; 1]);
}
