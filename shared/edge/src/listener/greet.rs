//! The start of a session over QUIC or WebTransport: the Hello on lane 0, and its answer.

use std::sync::Arc;

use amphi_shared_session::Refusal;
use amphi_shared_wire::limits::HELLO_BYTES_MAX;
use amphi_shared_wire::{Code, LANE_CONTROL, StreamDecoder, encode_stream_message};
use bytes::Bytes;
use web_transport_quinn::Session;

use super::admission::{From, HANDSHAKE, Place, Shared};
use crate::counters::Refused;
use crate::inbound::code_of;
use crate::session::{Datagrams, Outbox};
use crate::streams::{self, GRACE, LaneStream, READ_BYTES_MAX};

/// Serves a connection whose transport handshake is done, to its end.
pub(super) async fn serve(session: Session, datagrams: Datagrams, place: (Place, From), shared: Arc<Shared>) {
    let hello = tokio::time::timeout(HANDSHAKE, read_hello(&session)).await;
    let (control, first) = match hello {
        Ok(Ok(read)) => read,
        Ok(Err(None)) => return shared.counters.count(Refused::Handshake),
        Ok(Err(Some((control, code)))) => {
            shared.counters.count(Refused::of(code));
            return refuse(&session, control, code.into()).await;
        }
        Err(_) => {
            shared.counters.count(Refused::HandshakeTimeout);
            return session.close(Code::HandshakeTimeout.number(), Code::HandshakeTimeout.name().as_bytes());
        }
    };
    let outbox = Outbox::new(datagrams, shared.counters.clone());
    let (place, from) = place;
    let admitted = tokio::time::timeout(HANDSHAKE, shared.admit(place, from, first, &outbox)).await;
    let inbound = match admitted.unwrap_or_else(|_| Err(Code::Unavailable.into())) {
        Ok(inbound) => Arc::new(inbound),
        Err(refusal) => return refuse(&session, control, refusal).await,
    };
    streams::carry(session, vec![control], inbound, outbox).await;
}

/// The first message of the first stream, which must be lane 0. `Err(None)`: the connection broke.
async fn read_hello(session: &Session) -> Result<(LaneStream, Bytes), Option<(LaneStream, Code)>> {
    let (send, recv) = session.accept_bi().await.map_err(|_| None)?;
    let mut control = LaneStream { lane: LANE_CONTROL, send, recv, decoder: StreamDecoder::new() };
    let mut lane = [0];
    control.recv.read_exact(&mut lane).await.map_err(|_| None)?;
    if lane[0] != LANE_CONTROL {
        return Err(Some((control, Code::HandshakeInvalid)));
    }
    let mut received = 0;
    loop {
        match control.decoder.poll() {
            Ok(Some(first)) => return Ok((control, first)),
            // A longer one is refused by its length alone.
            Ok(None) if received > HELLO_BYTES_MAX => return Err(Some((control, Code::FrameTooLarge))),
            Ok(None) => {}
            Err(error) => return Err(Some((control, code_of(error)))),
        }
        let Ok(Some(chunk)) = control.recv.read_chunk(READ_BYTES_MAX, true).await else {
            return Err(None);
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
    session.close(refusal.code.number(), refusal.code.name().as_bytes());
    let _ = tokio::time::timeout(GRACE, session.closed()).await;
}
