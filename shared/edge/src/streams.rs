//! Bytes over QUIC streams and datagrams: one bidirectional stream per reliable lane, opened by the client.

use std::sync::Arc;
use std::time::Duration;

use amphi_shared_wire::{Code, Lane, ORDERED_LANES, StreamDecoder, encode_varint};
use bytes::Bytes;
use tokio::task::JoinSet;
use web_transport_quinn::{RecvStream, SendStream, Session, SessionError, WebTransportError};

use crate::inbound::{End, Inbound, code_of};
use crate::session::{Next, Outbox};

/// What is queued gets this long to leave when a connection closes.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// Bytes taken from a stream at a time.
pub(crate) const READ_BYTES_MAX: usize = 16 * 1024;

/// A lane's stream, its lane byte read or written.
pub(crate) struct LaneStream {
    pub(crate) lane: Lane,
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
    pub(crate) decoder: StreamDecoder,
}

/// Streams at the start of a session.
#[derive(Default)]
pub(crate) struct Streams {
    /// Their lane is known.
    pub(crate) lanes: Vec<LaneStream>,
    /// Their lane byte has not arrived yet.
    pub(crate) opening: JoinSet<Result<Option<LaneStream>, Code>>,
}

/// Carries a session to the end of the connection, starting with these streams.
pub(crate) async fn carry(session: Session, streams: Streams, inbound: Arc<Inbound>, outbox: Arc<Outbox>) {
    let end = run(&session, streams, &inbound, &outbox).await;
    outbox.gone();
    inbound.closed(&end).await;
    match end {
        End::ByPeer(_) => {}
        End::ByOwner(code, message) => session.close(code.number(), message.as_bytes()),
        End::Broken(code) => session.close(code.number(), code.name().as_bytes()),
    }
    // A WebTransport session says goodbye on its streams first, which dropping it would cut short.
    let _ = tokio::time::timeout(GRACE, session.closed()).await;
}

/// Moves bytes both ways until someone ends it.
async fn run(session: &Session, streams: Streams, inbound: &Arc<Inbound>, outbox: &Arc<Outbox>) -> End {
    let mut opened = [false; ORDERED_LANES];
    let Streams { lanes, mut opening } = streams;
    let (mut readers, mut writers) = (JoinSet::new(), JoinSet::new());
    let mut start = |stream: LaneStream, readers: &mut JoinSet<_>, writers: &mut JoinSet<_>| {
        if std::mem::replace(&mut opened[usize::from(stream.lane)], true) {
            return Err(Code::LaneInvalid);
        }
        let LaneStream { lane, send, recv, decoder } = stream;
        readers.spawn(read(lane, recv, decoder, Arc::clone(inbound)));
        writers.spawn(write(usize::from(lane), send, Arc::clone(outbox)));
        Ok(())
    };
    let mut state = lanes.into_iter().try_for_each(|stream| start(stream, &mut readers, &mut writers));
    let end = loop {
        if let Err(code) = state {
            break End::Broken(code);
        }
        tokio::select! {
            biased;
            (code, message) = outbox.closed_by_owner() => break End::ByOwner(code, message),
            Some(done) = readers.join_next() => state = done.unwrap_or(Ok(())),
            Some(done) = opening.join_next() => state = match done {
                Ok(Ok(Some(stream))) => start(stream, &mut readers, &mut writers),
                Ok(Err(code)) => Err(code),
                Ok(Ok(None)) | Err(_) => Ok(()),
            },
            datagram = session.read_datagram() => match datagram {
                Ok(bytes) => inbound.datagram(bytes),
                Err(error) => break End::ByPeer(code_from(&error)),
            },
            stream = session.accept_bi() => match stream {
                Ok((send, recv)) => { opening.spawn(open_lane(send, recv)); }
                Err(error) => break End::ByPeer(code_from(&error)),
            },
        }
    };
    readers.shutdown().await;
    if let End::ByOwner(code, _) = &end
        && *code != Code::SlowReader
    {
        // What the owner queued before it closed still leaves, if the other side reads it.
        let _ = tokio::time::timeout(GRACE, async { while writers.join_next().await.is_some() {} }).await;
    }
    writers.shutdown().await;
    end
}

/// A stream that the other side has opened, with its lane. `None`: the other side gave the stream up, or the connection broke, which is noticed elsewhere.
pub(crate) async fn open_lane(send: SendStream, mut recv: RecvStream) -> Result<Option<LaneStream>, Code> {
    let mut lane = [0];
    if recv.read_exact(&mut lane).await.is_err() {
        return Ok(None);
    }
    if usize::from(lane[0]) >= ORDERED_LANES {
        return Err(Code::LaneInvalid);
    }
    Ok(Some(LaneStream { lane: lane[0], send, recv, decoder: StreamDecoder::new() }))
}

/// One lane from the other side, until its stream ends.
async fn read(lane: Lane, mut recv: RecvStream, mut decoder: StreamDecoder, inbound: Arc<Inbound>) -> Result<(), Code> {
    loop {
        while let Some(payload) = decoder.poll().map_err(code_of)? {
            inbound.frame(lane, payload).await?;
        }
        match recv.read_chunk(READ_BYTES_MAX, true).await {
            Ok(Some(chunk)) => decoder.push(&chunk.bytes),
            Ok(None) | Err(_) => return Ok(()),
        }
    }
}

/// One lane to the other side, until the outbox ends or the other side stops it.
async fn write(queue: usize, mut send: SendStream, outbox: Arc<Outbox>) {
    while let Next::Write(batch) = outbox.next(queue).await {
        let mut chunks = Vec::with_capacity(batch.len() * 2);
        for (_, payload) in &batch {
            let mut header = Vec::with_capacity(4);
            encode_varint(payload.len() as u64, &mut header);
            chunks.extend([Bytes::from(header), payload.clone()]);
        }
        for chunk in chunks {
            if send.write_chunk(chunk).await.is_err() {
                return;
            }
        }
        outbox.written(&batch);
    }
    // Closing the connection throws away what is not acknowledged, so wait for that.
    if send.finish().is_ok() {
        let _ = send.stopped().await;
    }
}

/// The code the other side closed with, when it named one of ours.
fn code_from(error: &SessionError) -> Option<Code> {
    match error {
        SessionError::WebTransportError(WebTransportError::Closed(number, _)) => Code::from_number(*number),
        SessionError::ConnectionError(quinn::ConnectionError::TimedOut) => Some(Code::Silent),
        SessionError::ConnectionError(_) | SessionError::WebTransportError(_) | SessionError::SendDatagramError(_) => {
            None
        }
    }
}
