//! The load: viewers that subscribe and then only read and count.

use std::time::{Duration, Instant};

use amphi_shared_wire::proto::{Hello, Link, Subscribe, TopicRequest, link, topic_request};
use amphi_shared_wire::{LANE_CONTROL, LANE_TOPICS, PROTOCOL_MAX, PROTOCOL_MIN, WS_BINARY};
use anyhow::ensure;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Work;
use super::server::TOPIC;

/// Longest wait for the last frame.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connects the viewers and waits until each has every frame. The time from the first copy of each frame to the last,
/// in µs, smallest first. `ready` is the server's address and, when it wants sessions, a token.
pub(super) fn watch(ready: &str, work: Work) -> anyhow::Result<Vec<f64>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut viewers = JoinSet::new();
        for _ in 0..work.viewers {
            let (stream, frames) = (open(ready).await?, work.frames);
            viewers.spawn(async move { tokio::time::timeout(PATIENCE, count(stream, frames)).await? });
        }
        let arrivals = viewers.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        Ok(spreads_us(work.frames, &arrivals))
    })
}

fn spreads_us(frames: usize, arrivals: &[Vec<Instant>]) -> Vec<f64> {
    let spread = |frame: usize| {
        let copies = || arrivals.iter().map(|viewer| viewer[frame]);
        Some(copies().max()?.duration_since(copies().min()?).as_nanos() as f64 / 1_000.0)
    };
    let mut spreads: Vec<f64> = (0..frames).filter_map(spread).collect();
    spreads.sort_by(f64::total_cmp);
    spreads
}

async fn open(ready: &str) -> anyhow::Result<TcpStream> {
    let (address, token) = ready.split_once(' ').unwrap_or((ready, ""));
    let mut stream = TcpStream::connect(address).await?;
    if token.is_empty() {
        return Ok(stream);
    }
    let upgrade = format!(
        "GET /session HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: {WS_BINARY}\r\n\r\n"
    );
    stream.write_all(upgrade.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    ensure!(head.starts_with(b"HTTP/1.1 101"), "no upgrade: {}", String::from_utf8_lossy(&head));
    let hello = Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        token: token.to_owned(),
        build: "bench".to_owned(),
        ..Hello::default()
    };
    let mut payload = vec![LANE_CONTROL, 0];
    Link { kind: Some(link::Kind::Hello(hello)) }.encode(&mut payload)?;
    stream.write_all(&masked(&payload)).await?;
    let ask = Subscribe { topic: TOPIC.to_owned(), ..Subscribe::default() };
    let mut payload = vec![LANE_TOPICS];
    TopicRequest { id: 1, kind: Some(topic_request::Kind::Subscribe(ask)) }.encode(&mut payload)?;
    stream.write_all(&masked(&payload)).await?;
    Ok(stream)
}

/// A client's WebSocket message, masked with zeros (RFC 6455 section 5.3), which leaves it as it is.
fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Reads until `frames` publications have arrived; when each did.
async fn count(mut stream: TcpStream, frames: usize) -> anyhow::Result<Vec<Instant>> {
    let (mut buffer, mut arrivals) = (Vec::with_capacity(16 * 1024), Vec::with_capacity(frames));
    while arrivals.len() < frames {
        let read = stream.read_buf(&mut buffer).await?;
        ensure!(read > 0, "the server closed after {} of {frames} frames", arrivals.len());
        let (now, mut at) = (Instant::now(), 0);
        while let Some((head, length)) = message(&buffer[at..]) {
            if buffer[at + head..at + head + length].starts_with(&[LANE_TOPICS, 1]) {
                arrivals.push(now);
            }
            at += head + length;
        }
        buffer.drain(..at);
    }
    ensure!(arrivals.len() == frames, "more frames than were published");
    Ok(arrivals)
}

/// Lengths of head and payload of the first whole message, when there is one.
fn message(bytes: &[u8]) -> Option<(usize, usize)> {
    let (head, length) = match *bytes.get(1)? {
        126 => (4, u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]).into()),
        short => (2, usize::from(short)),
    };
    (bytes.len() >= head + length).then_some((head, length))
}
