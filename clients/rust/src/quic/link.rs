//! One QUIC connection: a stream per lane, datagrams, and tasks that carry both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amphi_shared_session::PipeId;
use amphi_shared_wire::limits::{DATAGRAM_BYTES_NATIVE_MAX, IDLE_MS_MAX, PING_EVERY_MS, RING_FRAMES_MAX};
use amphi_shared_wire::{
    ALPN_AMPHI, Code, LANE_BULK, LANE_CONTROL, LANE_ROOM, Lane, StreamDecoder, encode_stream_message,
};
use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use tokio::sync::{mpsc, watch};

use super::pinned::Pinned;
use super::{ConnectError, Host, Traffic};

/// Lanes of a match session.
const LANES: [Lane; 3] = [LANE_CONTROL, LANE_ROOM, LANE_BULK];
/// Old datagrams are worth nothing: few are kept.
const DATAGRAM_BUFFER_BYTES: usize = 8 * 1024;
/// The round trip that is assumed before the first is measured (RFC 9002 6.2.2 assumes 333 ms, and says hello again after
/// three of them): players are near their host.
const INITIAL_RTT: Duration = Duration::from_millis(100);
const READ_BYTES_MAX: usize = 16 * 1024;

/// What arrives on a connection.
pub(super) enum LinkEvent {
    Frame { lane: Lane, payload: Bytes },
    Datagram(Bytes),
    Closed(Option<Code>),
}

/// A connection with its lanes.
pub(super) struct Link {
    pipe: PipeId,
    connection: Connection,
    lanes: Vec<(Lane, mpsc::Sender<Bytes>)>,
    inbox: mpsc::Receiver<LinkEvent>,
}

/// A client socket that accepts this host's certificates only.
pub(super) fn endpoint(host: &Host) -> Result<quinn::Endpoint, ConnectError> {
    let tls = |error: &dyn std::fmt::Display| ConnectError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pinned = Arc::new(Pinned::new(host.cert_sha256.clone(), Arc::clone(&provider)));
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| tls(&error))?
        .dangerous()
        .with_custom_certificate_verifier(pinned)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_AMPHI.to_vec()];
    config.enable_early_data = true;
    let mut transport = quinn::TransportConfig::default();
    transport
        .datagram_send_buffer_size(DATAGRAM_BUFFER_BYTES)
        .initial_rtt(INITIAL_RTT)
        .keep_alive_interval(Some(Duration::from_millis(PING_EVERY_MS)))
        .max_idle_timeout(Some(Duration::from_millis(IDLE_MS_MAX).try_into().map_err(|error| tls(&error))?));
    let mut client =
        quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).map_err(|error| tls(&error))?));
    client.transport_config(Arc::new(transport));
    let any = if host.address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let any: SocketAddr = any.parse().map_err(|_| tls(&"no address"))?;
    let mut endpoint = quinn::Endpoint::client(any)?;
    endpoint.set_default_client_config(client);
    Ok(endpoint)
}

/// What arrives next on any of the links; waits for ever when there is none.
pub(super) async fn next(links: &mut [Link]) -> (PipeId, LinkEvent) {
    let (first, second) = match links {
        [] => return std::future::pending().await,
        [one] => (one, None),
        [one, two, ..] => (one, Some(two)),
    };
    let (first_pipe, second_pipe) = (first.pipe, second.as_ref().map(|link| link.pipe));
    let other = async {
        match second {
            Some(link) => link.inbox.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        event = first.inbox.recv() => (first_pipe, event.unwrap_or(LinkEvent::Closed(None))),
        event = other => (second_pipe.unwrap_or(first_pipe), event.unwrap_or(LinkEvent::Closed(None))),
    }
}

impl Link {
    /// Connects and opens the lanes. With `early`, and a ticket of an earlier connection, what is sent first travels in
    /// the first packets (0-RTT), so it returns before the host has answered.
    pub(super) async fn open(
        endpoint: &quinn::Endpoint,
        address: SocketAddr,
        pipe: PipeId,
        early: bool,
    ) -> Result<Self, String> {
        let connecting = endpoint.connect(address, "localhost").map_err(|error| error.to_string())?;
        let early = if early { connecting.into_0rtt() } else { Err(connecting) };
        let (verdict, taken) = watch::channel(early.is_err().then_some(true));
        let connection = match early {
            Ok((connection, accepted)) => {
                tokio::spawn(async move {
                    // Nobody listens any more when the link is gone.
                    let _ = verdict.send(Some(accepted.await));
                });
                connection
            }
            Err(connecting) => connecting.await.map_err(|error| error.to_string())?,
        };
        let (events, inbox) = mpsc::channel(RING_FRAMES_MAX);
        let mut lanes = Vec::new();
        for lane in LANES {
            let (queue, waiting) = mpsc::channel(RING_FRAMES_MAX);
            let stream = LaneStream { lane, connection: connection.clone(), events: events.clone() };
            let send = stream.open(&[lane]).await.ok_or_else(|| "no stream could be opened".to_owned())?;
            tokio::spawn(stream.carry(send, waiting, taken.clone()));
            lanes.push((lane, queue));
        }
        tokio::spawn(read_datagrams(connection.clone(), events));
        Ok(Self { pipe, connection, lanes, inbox })
    }

    pub(super) fn pipe(&self) -> PipeId {
        self.pipe
    }

    pub(super) fn max_datagram(&self) -> usize {
        self.connection.max_datagram_size().unwrap_or(0).min(DATAGRAM_BYTES_NATIVE_MAX)
    }

    pub(super) fn traffic(&self) -> Traffic {
        let stats = self.connection.stats();
        Traffic { sent_bytes: stats.udp_tx.bytes, received_bytes: stats.udp_rx.bytes }
    }

    /// Queues a message; a connection that takes no more is closed, and the session resumes on another.
    pub(super) fn frame(&self, lane: Lane, payload: Bytes) {
        let Some((_, queue)) = self.lanes.iter().find(|(known, _)| *known == lane) else { return };
        if queue.try_send(payload).is_err() {
            self.close(Code::SlowReader);
        }
    }

    /// Sends a datagram; one that does not fit is lost like any other.
    pub(super) fn datagram(&self, bytes: Bytes) {
        let _ = self.connection.send_datagram(bytes);
    }

    pub(super) fn close(&self, code: Code) {
        self.connection.close(VarInt::from_u32(code.number()), code.name().as_bytes());
    }
}

/// The stream of one lane.
struct LaneStream {
    lane: Lane,
    connection: Connection,
    events: mpsc::Sender<LinkEvent>,
}

impl LaneStream {
    /// Opens the stream with these bytes and reads from it; `None` when the connection is gone.
    async fn open(&self, bytes: &[u8]) -> Option<SendStream> {
        let (mut send, recv) = self.connection.open_bi().await.ok()?;
        send.write_all(bytes).await.ok()?;
        tokio::spawn(read(self.lane, recv, self.events.clone()));
        Some(send)
    }

    /// Sends what waits. Until it is known whether the host has `taken` the early data, all of it is kept: a host that
    /// has not forgets the streams too, and everything is said again on a new one.
    async fn carry(
        self,
        mut send: SendStream,
        mut waiting: mpsc::Receiver<Bytes>,
        mut taken: watch::Receiver<Option<bool>>,
    ) {
        let mut said = vec![self.lane];
        let is_taken = loop {
            let known = async { taken.wait_for(Option::is_some).await.is_ok_and(|taken| *taken == Some(true)) };
            tokio::select! {
                biased;
                is_taken = known => break is_taken,
                payload = waiting.recv() => {
                    let Some(payload) = payload else { return };
                    let start = said.len();
                    encode_stream_message(&payload, &mut said);
                    // What does not arrive is said again, or the connection is gone.
                    let _ = send.write_all(&said[start..]).await;
                }
            }
        };
        if !is_taken {
            let Some(again) = self.open(&said).await else { return };
            send = again;
        }
        write(send, waiting).await;
    }
}

async fn write(mut send: SendStream, mut waiting: mpsc::Receiver<Bytes>) {
    let mut buffer = Vec::new();
    while let Some(payload) = waiting.recv().await {
        buffer.clear();
        encode_stream_message(&payload, &mut buffer);
        while let Ok(more) = waiting.try_recv() {
            encode_stream_message(&more, &mut buffer);
        }
        if send.write_all(&buffer).await.is_err() {
            return;
        }
    }
}

async fn read(lane: Lane, mut recv: RecvStream, events: mpsc::Sender<LinkEvent>) {
    let mut decoder = StreamDecoder::new();
    while let Ok(Some(chunk)) = recv.read_chunk(READ_BYTES_MAX, true).await {
        decoder.push(&chunk.bytes);
        loop {
            match decoder.poll() {
                Ok(Some(payload)) => {
                    if events.send(LinkEvent::Frame { lane, payload }).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    let _ = events.send(LinkEvent::Closed(Some(Code::FrameInvalid))).await;
                    return;
                }
            }
        }
    }
}

async fn read_datagrams(connection: Connection, events: mpsc::Sender<LinkEvent>) {
    let error = loop {
        match connection.read_datagram().await {
            Ok(bytes) => {
                if events.send(LinkEvent::Datagram(bytes)).await.is_err() {
                    return;
                }
            }
            Err(error) => break error,
        }
    };
    // Messages that arrived before the end are still being read from the streams.
    let _ = events.send(LinkEvent::Closed(code_of(&error))).await;
}

fn code_of(error: &ConnectionError) -> Option<Code> {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            Code::from_number(u32::try_from(close.error_code.into_inner()).ok()?)
        }
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::Reset
        | ConnectionError::TimedOut
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => None,
    }
}

#[cfg(test)]
mod tests;
