//! Carries a connection on to another service of the deployment: messages pass unread, in order, and each side waits
//! while the other has no room.

use std::time::Duration;

use amphi_shared_session::PipeId;
use amphi_shared_wire::limits::{RING_FRAMES_MAX, SEND_QUEUE_AGE_MS_MAX};
use amphi_shared_wire::{Code, LANE_CONTROL, LANE_PIPE};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::dial::{DialError, Dialer};
use crate::endpoint::Endpoint;
use crate::session::{Incoming, PipeEvent, PipeEventKind, PipeHandle};

/// Messages of one side that wait to be passed on. Beyond: that side is not read.
const WAITING_MAX: usize = RING_FRAMES_MAX / 128;
/// A side without room is looked at again after this long.
const RETRY: Duration = Duration::from_millis(1);
/// A side without room for this long is too slow: both are closed with `SlowReader`, and the session resumes.
const STALL_MAX: Duration = Duration::from_millis(SEND_QUEUE_AGE_MS_MAX);
/// Names each side in its own mailbox.
const PIPE: PipeId = PipeId(0);

/// The way on: an ordered pipe to the service that holds the session.
#[derive(Debug)]
pub struct Leg {
    handle: PipeHandle,
    events: mpsc::Receiver<PipeEvent>,
}

impl Leg {
    /// Connects to the service.
    ///
    /// # Errors
    /// The endpoint cannot be used, or does not answer within the handshake time.
    pub async fn dial(dialer: &Dialer, endpoint: &Endpoint) -> Result<Self, DialError> {
        let (mailbox, events) = mpsc::channel(WAITING_MAX);
        let dialled = dialer.dial(endpoint, &[LANE_PIPE], PIPE, mailbox).await?;
        Ok(Self { handle: dialled.handle, events })
    }
}

/// Takes a connection and carries it over `leg`, its Hello first, until one side ends or `end` says why both do. The
/// other side is then closed with the same code, which is returned; a side that ended without one counts as `Silent`.
///
/// The service decides on the Hello: its Welcome or refusal passes like everything else.
pub async fn carry(incoming: Incoming, mut leg: Leg, end: impl Future<Output = Code>) -> Code {
    let hello = incoming.first.clone();
    let (mailbox, mut events) = mpsc::channel(WAITING_MAX);
    let client = incoming.accept(PIPE, mailbox);
    let service = leg.handle;
    let greeting = PipeEventKind::Frame { lane: LANE_CONTROL, payload: hello };
    let mut ended = pass(greeting, &service);
    let mut stalled = None;
    tokio::pin!(end);
    let code = loop {
        if let Some(code) = ended {
            break code;
        }
        let (to_client, to_service) = (client.has_room(), service.has_room());
        if to_client && to_service {
            stalled = None;
        } else if stalled.get_or_insert_with(Instant::now).elapsed() >= STALL_MAX {
            break Code::SlowReader;
        }
        ended = tokio::select! {
            event = events.recv(), if to_service => event.map_or(Some(Code::Silent), |event| pass(event.kind, &service)),
            event = leg.events.recv(), if to_client => event.map_or(Some(Code::Silent), |event| pass(event.kind, &client)),
            code = &mut end => Some(code),
            () = tokio::time::sleep(RETRY), if stalled.is_some() => None,
        };
    };
    // The side that has ended ignores it.
    client.close(code, code.name());
    service.close(code, code.name());
    code
}

/// Passes on what happened on one side; a code when that ends the other.
fn pass(event: PipeEventKind, to: &PipeHandle) -> Option<Code> {
    match event {
        PipeEventKind::Frame { lane, payload } => to.frame(lane, payload).err().map(|_| Code::SlowReader),
        PipeEventKind::Datagram(bytes) => {
            to.datagram(bytes);
            None
        }
        // Nothing is sent early here.
        PipeEventKind::Confirmed => None,
        PipeEventKind::Closed(code) => Some(code.unwrap_or(Code::Silent)),
    }
}
