//! Native QUIC and WebTransport, the client's side, on quinn.

use amphi_shared_wire::{Code, Lane, StreamDecoder, encode_stream_message};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use web_transport_quinn::{RecvStream, SendStream, Session, SessionError, WebTransportError};

use super::Arrival;

/// Arrivals that wait to be taken; the server waits with the rest.
const INBOX_MAX: usize = 256;
const READ_BYTES_MAX: usize = 16 * 1024;

/// A connection with its lanes. Dropping it closes it.
pub(crate) struct Quic {
    session: Session,
    lanes: Vec<Outgoing>,
    inbox: mpsc::Receiver<Arrival>,
    _readers: JoinSet<()>,
}

struct Outgoing {
    lane: Lane,
    send: SendStream,
    waiting: Vec<u8>,
}

impl Quic {
    /// Opens `lanes` on a connection that may still be in its early data.
    pub(super) async fn open(session: Session, lanes: &[Lane]) -> anyhow::Result<Self> {
        let (arrivals, inbox) = mpsc::channel(INBOX_MAX);
        let mut readers = JoinSet::new();
        let mut outgoing = Vec::with_capacity(lanes.len());
        for lane in lanes {
            let (send, recv) = session.open_bi().await?;
            readers.spawn(read(*lane, recv, arrivals.clone()));
            outgoing.push(Outgoing { lane: *lane, send, waiting: vec![*lane] });
        }
        readers.spawn(read_datagrams(session.clone(), arrivals));
        Ok(Self { session, lanes: outgoing, inbox, _readers: readers })
    }

    pub(super) fn max_datagram(&self) -> usize {
        self.session.max_datagram_size()
    }

    pub(super) async fn next(&mut self) -> Arrival {
        self.flush().await;
        self.inbox.recv().await.unwrap_or(Arrival::Closed(None))
    }

    pub(super) fn frame(&mut self, lane: Lane, payload: &[u8]) {
        if let Some(outgoing) = self.lanes.iter_mut().find(|outgoing| outgoing.lane == lane) {
            encode_stream_message(payload, &mut outgoing.waiting);
        }
    }

    pub(super) fn datagram(&self, bytes: Bytes) {
        // One that does not fit is lost like any other.
        let _ = self.session.send_datagram(bytes);
    }

    /// What is written stays out of the buffer when the future is dropped, and the rest in it.
    pub(super) async fn flush(&mut self) {
        for outgoing in &mut self.lanes {
            while !outgoing.waiting.is_empty() {
                match outgoing.send.write(&outgoing.waiting).await {
                    Ok(written) => drop(outgoing.waiting.drain(..written)),
                    // The end of the connection arrives by the inbox.
                    Err(_) => outgoing.waiting.clear(),
                }
            }
        }
    }

    pub(super) fn close(self, code: Code) {
        self.session.close(code.number(), code.name().as_bytes());
    }
}

async fn read(lane: Lane, mut recv: RecvStream, arrivals: mpsc::Sender<Arrival>) {
    let mut decoder = StreamDecoder::new();
    while let Ok(Some(chunk)) = recv.read_chunk(READ_BYTES_MAX, true).await {
        decoder.push(&chunk.bytes);
        loop {
            let arrival = match decoder.poll() {
                Ok(Some(payload)) => Arrival::Frame(lane, payload),
                Ok(None) => break,
                Err(_) => Arrival::Closed(Some(Code::FrameInvalid)),
            };
            if arrivals.send(arrival).await.is_err() {
                return;
            }
        }
    }
}

async fn read_datagrams(session: Session, arrivals: mpsc::Sender<Arrival>) {
    let error = loop {
        match session.read_datagram().await {
            // Whoever is behind loses datagrams, as on any network.
            Ok(bytes) => drop(arrivals.try_send(Arrival::Datagram(bytes))),
            Err(error) => break error,
        }
    };
    let code = match error {
        SessionError::WebTransportError(WebTransportError::Closed(number, _)) => Code::from_number(number),
        SessionError::WebTransportError(_) | SessionError::ConnectionError(_) | SessionError::SendDatagramError(_) => {
            None
        }
    };
    // The owner may have dropped the connection.
    let _ = arrivals.send(Arrival::Closed(code)).await;
}
