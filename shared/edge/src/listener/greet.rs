//! The start of a session over QUIC or WebTransport: the Hello on lane 0, and its answer.

use std::sync::Arc;

use amphi_shared_session::Refusal;
use amphi_shared_wire::limits::HELLO_BYTES_MAX;
use amphi_shared_wire::{Code, LANE_CONTROL, ORDERED_LANES, encode_stream_message};
use bytes::Bytes;
use web_transport_quinn::Session;

use super::admission::{HANDSHAKE, Place, Shared};
use crate::counters::Refused;
use crate::inbound::code_of;
use crate::session::{Datagrams, From, Outbox};
use crate::streams::{self, GRACE, LaneStream, READ_BYTES_MAX, Streams};

/// Serves a connection whose transport handshake is done, to its end.
pub(super) async fn serve(session: Session, datagrams: Datagrams, place: (Place, From), shared: Arc<Shared>) {
    let greet = async {
        let (control, streams) = open_control(&session).await?;
        let (control, first) = read_hello(control).await?;
        Ok((control, streams, first))
    };
    let (control, mut streams, first) = match tokio::time::timeout(HANDSHAKE, greet).await {
        Ok(Ok(read)) => read,
        Ok(Err(NoHello::Broken)) => return shared.counters.count(Refused::Handshake),
        Ok(Err(NoHello::Lane(code))) => {
            shared.counters.count(Refused::of(code));
            return close(&session, code).await;
        }
        Ok(Err(NoHello::Message(control, code))) => {
            shared.counters.count(Refused::of(code));
            return refuse(&session, *control, code.into()).await;
        }
        Err(_) => {
            shared.counters.count(Refused::HandshakeTimeout);
            return close(&session, Code::HandshakeTimeout).await;
        }
    };
    let outbox = Outbox::new(datagrams, shared.counters.clone());
    let (place, from) = place;
    let admitted = tokio::time::timeout(HANDSHAKE, shared.admit(place, from, first, &outbox)).await;
    let inbound = match admitted.unwrap_or_else(|_| Err(Code::Unavailable.into())) {
        Ok(inbound) => Arc::new(inbound),
        Err(refusal) => return refuse(&session, control, refusal).await,
    };
    streams.lanes.push(control);
    streams::carry(session, streams, inbound, outbox).await;
}

/// Why there is no Hello.
enum NoHello {
    /// The connection broke.
    Broken,
    /// The client broke a rule before it had a lane 0.
    Lane(Code),
    /// The client broke a rule on lane 0, where it can be told.
    Message(Box<LaneStream>, Code),
}

/// Waits for lane 0. Streams of other lanes may overtake it: they are kept for later.
async fn open_control(session: &Session) -> Result<(LaneStream, Streams), NoHello> {
    let mut streams = Streams::default();
    loop {
        tokio::select! {
            stream = session.accept_bi() => {
                let (send, recv) = stream.map_err(|_| NoHello::Broken)?;
                streams.opening.spawn(streams::open_lane(send, recv));
            }
            Some(Ok(opened)) = streams.opening.join_next() => match opened.map_err(NoHello::Lane)? {
                Some(stream) if stream.lane == LANE_CONTROL => return Ok((stream, streams)),
                Some(_) if streams.lanes.len() == ORDERED_LANES => return Err(NoHello::Lane(Code::HandshakeInvalid)),
                Some(stream) => streams.lanes.push(stream),
                None => return Err(NoHello::Broken),
            },
        }
    }
}

/// The first message of lane 0.
async fn read_hello(mut control: LaneStream) -> Result<(LaneStream, Bytes), NoHello> {
    let mut received = 0;
    loop {
        match control.decoder.poll() {
            Ok(Some(first)) => return Ok((control, first)),
            // A longer one is refused by its length alone.
            Ok(None) if received > HELLO_BYTES_MAX => {
                return Err(NoHello::Message(Box::new(control), Code::FrameTooLarge));
            }
            Ok(None) => {}
            Err(error) => return Err(NoHello::Message(Box::new(control), code_of(error))),
        }
        let Ok(Some(chunk)) = control.recv.read_chunk(READ_BYTES_MAX, true).await else {
            return Err(NoHello::Broken);
        };
        received += chunk.bytes.len();
        control.decoder.push(&chunk.bytes);
    }
}

async fn refuse(session: &Session, control: LaneStream, refusal: Refusal) {
    let say = async {
        let mut send = control.send;
        let payload = refusal.encode();
        let mut bytes = Vec::with_capacity(payload.len() + 4);
        encode_stream_message(&payload, &mut bytes);
        if send.write_all(&bytes).await.is_ok() && send.finish().is_ok() {
            let _ = send.stopped().await;
        }
    };
    let _ = tokio::time::timeout(GRACE, say).await;
    close(session, refusal.code).await;
}

async fn close(session: &Session, code: Code) {
    session.close(code.number(), code.name().as_bytes());
    // A WebTransport session says goodbye on its streams first, which dropping it would cut short.
    let _ = tokio::time::timeout(GRACE, session.closed()).await;
}
