//! A session over WebSocket: one ordered pipe of binary messages, `u8 lane, payload`.

use std::sync::Arc;
use std::time::Duration;

use amphi_shared_session::Refusal;
use amphi_shared_wire::limits::{FRAME_BYTES_MAX, HELLO_BYTES_MAX, IDLE_MS_MAX};
use amphi_shared_wire::{Code, LANE_CONTROL, LANE_DATAGRAM, WS_BINARY, decode_pipe_frame, encode_pipe_frame};
use axum::Extension;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite;

use super::admission::{HANDSHAKE, OVERLOADED_RETRY_MS, Place, Shared};
use crate::counters::Refused;
use crate::http::{Context, Peer, Problem};
use crate::inbound::{End, Inbound, code_of};
use crate::session::{From, Next, Outbox, Transport};

/// What is queued gets this long to leave when a connection closes.
const GRACE: Duration = Duration::from_secs(1);
/// A connection that is silent this long is dead.
const IDLE: Duration = Duration::from_millis(IDLE_MS_MAX);
/// An idle connection is asked for a sign of life this often.
const PING_EVERY: Duration = Duration::from_millis(IDLE_MS_MAX / 3);
/// 128 KiB by default, which is nearly all the memory of an idle connection.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// WebSocket close codes 4000 to 4999 are ours (RFC 6455 section 7.4.2).
const CLOSE_CODES: u16 = 4_000;
/// Bytes of a close reason (RFC 6455 section 5.5: a control frame has 125, two are the code).
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// The route that upgrades to a session.
pub(super) fn route(shared: Arc<Shared>, context: Arc<Context>) -> MethodRouter {
    get(move |peer: Extension<Peer>, headers: HeaderMap, upgrade: Result<WebSocketUpgrade, _>| {
        let (shared, context) = (Arc::clone(&shared), Arc::clone(&context));
        async move {
            open(peer.0, &headers, upgrade, shared).unwrap_or_else(|problem| {
                let request_id = context.next_request_id();
                problem.into_json(&request_id).into_axum(&request_id)
            })
        }
    })
}

fn open(
    Peer(peer): Peer,
    headers: &HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    shared: Arc<Shared>,
) -> Result<Response, Problem> {
    let upgrade =
        upgrade.map_err(|_| Problem::new(Code::RequestInvalid, "this address takes WebSocket upgrades only"))?;
    let upgrade = upgrade.protocols([WS_BINARY]);
    if upgrade.selected_protocol().is_none() {
        shared.counters.count(Refused::Protocol);
        return Err(Problem::new(Code::ProtocolUnsupported, format!("the subprotocol here is `{WS_BINARY}`")));
    }
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).map(str::to_owned);
    if !shared.allows(origin.as_deref()) {
        return Err(Code::OriginForbidden.into());
    }
    let place = shared.place().ok_or_else(|| Problem::from(Code::Overloaded).retry_after(OVERLOADED_RETRY_MS))?;
    let from = From { transport: Transport::WebSocket, peer, origin };
    let response = upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(FRAME_BYTES_MAX + 1)
        .max_frame_size(FRAME_BYTES_MAX + 1)
        .on_upgrade(move |socket| serve(socket, place, from, shared));
    Ok(response)
}

/// Serves an upgraded connection to its end.
async fn serve(socket: WebSocket, place: Place, from: From, shared: Arc<Shared>) {
    let (mut sink, mut source) = socket.split();
    let first = match tokio::time::timeout(HANDSHAKE, read_hello(&mut source)).await {
        Ok(Ok(first)) => first,
        Ok(Err(None)) => return shared.counters.count(Refused::Handshake),
        Ok(Err(Some(code))) => {
            shared.counters.count(Refused::of(code));
            return refuse(&mut sink, code.into()).await;
        }
        Err(_) => {
            shared.counters.count(Refused::HandshakeTimeout);
            return refuse(&mut sink, Code::HandshakeTimeout.into()).await;
        }
    };
    let outbox = Outbox::new(shared.counters.clone());
    let admitted = tokio::time::timeout(HANDSHAKE, shared.admit(place, from, first, &outbox)).await;
    let inbound = match admitted.unwrap_or_else(|_| Err(Code::Unavailable.into())) {
        Ok(inbound) => inbound,
        Err(refusal) => return refuse(&mut sink, refusal).await,
    };
    let end = tokio::select! {
        end = run(&mut sink, &mut source, &inbound, &outbox) => end,
        () = shared.closed() => End::ByOwner(Code::Draining, Code::Draining.help().to_owned()),
    };
    outbox.gone();
    inbound.closed(&end).await;
    match end {
        End::ByPeer(_) => {}
        End::ByOwner(code, message) => close(&mut sink, code, &message).await,
        End::Broken(code) => close(&mut sink, code, code.name()).await,
    }
}

/// Moves messages both ways until someone ends it.
async fn run(
    sink: &mut SplitSink<WebSocket, Message>,
    source: &mut SplitStream<WebSocket>,
    inbound: &Inbound,
    outbox: &Outbox,
) -> End {
    let mut writing = std::pin::pin!(write(sink, outbox));
    let (code, message) = tokio::select! {
        biased;
        closed = outbox.closed_by_owner() => closed,
        end = read(source, inbound) => return end,
        () = &mut writing => return End::ByPeer(None),
    };
    if code != Code::SlowReader {
        // What the owner queued before it closed still leaves, if the client reads it.
        let _ = tokio::time::timeout(GRACE, writing).await;
    }
    End::ByOwner(code, message)
}

async fn read(source: &mut SplitStream<WebSocket>, inbound: &Inbound) -> End {
    loop {
        let message = match tokio::time::timeout(IDLE, source.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return from_error(error),
            Ok(None) => return End::ByPeer(None),
            Err(_) => return End::Broken(Code::Silent),
        };
        let frame = match message {
            Message::Binary(frame) => frame,
            Message::Text(_) => return End::Broken(Code::FrameInvalid),
            Message::Ping(_) | Message::Pong(_) => match inbound.nothing() {
                Ok(()) => continue,
                Err(code) => return End::Broken(code),
            },
            Message::Close(close) => return End::ByPeer(close.and_then(|close| code_from(close.code))),
        };
        let (lane, payload) = match decode_pipe_frame(frame) {
            Ok(frame) => frame,
            Err(error) => return End::Broken(code_of(error)),
        };
        if lane == LANE_DATAGRAM {
            inbound.datagram(payload);
        } else if let Err(code) = inbound.frame(lane, payload).await {
            return End::Broken(code);
        }
    }
}

/// Writes until the outbox ends or the connection breaks.
async fn write(sink: &mut SplitSink<WebSocket, Message>, outbox: &Outbox) {
    loop {
        let Ok(next) = tokio::time::timeout(PING_EVERY, outbox.next(0)).await else {
            if sink.send(Message::Ping(Bytes::new())).await.is_err() {
                return;
            }
            continue;
        };
        let Next::Write(batch) = next else {
            return;
        };
        for (lane, payload) in &batch {
            if sink.feed(Message::Binary(encode_pipe_frame(*lane, payload))).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
        outbox.written(&batch);
    }
}

/// The first message, which must be on lane 0. `Err(None)`: the connection broke.
async fn read_hello(source: &mut SplitStream<WebSocket>) -> Result<Bytes, Option<Code>> {
    loop {
        let frame = match source.next().await {
            Some(Ok(Message::Binary(frame))) => frame,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Text(_))) => return Err(Some(Code::HandshakeInvalid)),
            Some(Ok(Message::Close(_))) | None => return Err(None),
            Some(Err(error)) => {
                return Err(match from_error(error) {
                    End::Broken(code) => Some(code),
                    End::ByPeer(_) | End::ByOwner(..) => None,
                });
            }
        };
        if frame.len() > HELLO_BYTES_MAX + 1 {
            return Err(Some(Code::FrameTooLarge));
        }
        return match decode_pipe_frame(frame) {
            Ok((LANE_CONTROL, first)) => Ok(first),
            Ok(_) | Err(_) => Err(Some(Code::HandshakeInvalid)),
        };
    }
}

async fn refuse(sink: &mut SplitSink<WebSocket, Message>, refusal: Refusal) {
    let frame = encode_pipe_frame(LANE_CONTROL, &refusal.encode());
    let say = sink.send(Message::Binary(frame));
    if let Ok(Ok(())) = tokio::time::timeout(GRACE, say).await {
        close(sink, refusal.code, refusal.code.name()).await;
    }
}

async fn close(sink: &mut SplitSink<WebSocket, Message>, code: Code, reason: &str) {
    let mut end = reason.len().min(CLOSE_REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let frame = CloseFrame { code: CLOSE_CODES + code.number() as u16, reason: reason[..end].into() };
    // A client that does not read never gets it.
    let _ = tokio::time::timeout(GRACE, sink.send(Message::Close(Some(frame)))).await;
}

fn from_error(error: axum::Error) -> End {
    let inner = error.into_inner();
    match inner.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => End::Broken(Code::FrameTooLarge),
        Some(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
            End::ByPeer(None)
        }
        Some(tungstenite::Error::Protocol(_) | tungstenite::Error::Utf8(_)) => End::Broken(Code::FrameInvalid),
        Some(_) | None => End::ByPeer(None),
    }
}

/// The code behind a close code of ours.
fn code_from(close: u16) -> Option<Code> {
    Code::from_number(u32::from(close.checked_sub(CLOSE_CODES)?))
}
