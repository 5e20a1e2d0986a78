//! Answers that go on: server-sent events (WHATWG HTML, section 9.2).

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amphi_shared_wire::limits::{EVENTS_HEARTBEAT_MS, EVENTS_WAITING_MAX, SEND_QUEUE_BYTES_MAX};
use axum::body::Body;
use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc;

use super::Response;

/// A comment, so that proxies and clients see that the connection lives.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");
/// How often it is written.
const HEARTBEAT: Duration = Duration::from_millis(EVENTS_HEARTBEAT_MS);

/// One event as it is written, so that many clients can share the bytes. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event(Bytes);

/// Why an event was not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum EventsError {
    /// The client reads too slowly: drop the [`Events`], and it comes back with the id of its last event.
    #[error("the client reads too slowly")]
    Full,
    /// The client is gone.
    #[error("the client is gone")]
    Gone,
}

/// The sending half of an answer that goes on. Never blocks; dropping it ends the answer.
pub struct Events {
    sender: mpsc::Sender<Event>,
    /// Bytes that wait.
    bytes: Arc<AtomicUsize>,
}

/// The half that becomes the body.
pub(crate) struct EventStream {
    receiver: mpsc::Receiver<Event>,
    bytes: Arc<AtomicUsize>,
}

impl Event {
    /// An event; `data` may have several lines. A client hands `id` back when it returns (`Last-Event-ID`); `name` is
    /// the type that a page listens for. Line breaks in these two are left out.
    pub fn new(id: Option<&str>, name: Option<&str>, data: &str) -> Self {
        let mut text = String::with_capacity(data.len() + 32);
        for (field, value) in [("id", id), ("event", name)] {
            if let Some(value) = value {
                text.push_str(field);
                text.push_str(": ");
                text.extend(value.chars().filter(|c| !c.is_control()));
                text.push('\n');
            }
        }
        // The standard's line ends: CR LF, LF, or CR.
        for line in data.replace("\r\n", "\n").split(['\n', '\r']) {
            text.push_str("data: ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
        Self(text.into())
    }
}

impl Event {
    /// Tells a client that is about to lose its connection to wait before it comes back.
    pub fn retry(after_ms: u32) -> Self {
        Self(format!("retry: {after_ms}\n\n").into())
    }
}

impl Events {
    /// The two halves.
    pub(crate) fn channel() -> (Self, EventStream) {
        let (sender, receiver) = mpsc::channel(EVENTS_WAITING_MAX);
        let bytes = Arc::new(AtomicUsize::new(0));
        (Self { sender, bytes: Arc::clone(&bytes) }, EventStream { receiver, bytes })
    }

    /// Sends an event.
    ///
    /// # Errors
    /// Too much waits for the client, or it is gone.
    pub fn send(&self, event: Event) -> Result<(), EventsError> {
        let bytes = event.0.len();
        if self.bytes.load(Ordering::Relaxed) + bytes > SEND_QUEUE_BYTES_MAX {
            return Err(EventsError::Full);
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.sender.try_send(event).map_err(|error| {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => EventsError::Full,
                mpsc::error::TrySendError::Closed(_) => EventsError::Gone,
            }
        })
    }

    /// Whether the client is gone.
    pub fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }

    /// Returns when the client is gone.
    pub async fn gone(&self) {
        self.sender.closed().await;
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({} bytes wait)", self.bytes.load(Ordering::Relaxed))
    }
}

impl Response {
    /// 200 with a body of events that goes on until the [`Events`] are dropped or the client goes away. A comment keeps
    /// it alive while nothing happens.
    pub fn events() -> (Events, Self) {
        let (events, stream) = Events::channel();
        let mut response = Self::bytes("text/event-stream", Bytes::new());
        // A proxy that collects an answer before it passes it on would hold back every event.
        response = response.with_header("x-accel-buffering", "no");
        response.events = Some(stream);
        (events, response)
    }
}

impl EventStream {
    pub(super) fn into_body(self) -> Body {
        Body::from_stream(futures_util::stream::unfold(self, |mut stream| async move {
            let chunk = stream.next(HEARTBEAT).await?;
            Some((Ok::<_, Infallible>(chunk), stream))
        }))
    }

    /// The next event, or a comment when none came in time.
    async fn next(&mut self, heartbeat: Duration) -> Option<Bytes> {
        match tokio::time::timeout(heartbeat, self.receiver.recv()).await {
            Ok(Some(Event(bytes))) => {
                self.bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
                Some(bytes)
            }
            Ok(None) => None,
            Err(_) => Some(COMMENT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_lines_that_nothing_in_it_can_break() {
        let text = |event: Event| String::from_utf8(event.0.to_vec()).unwrap();
        assert_eq!(text(Event::new(None, None, "a")), "data: a\n\n");
        assert_eq!(text(Event::new(Some("7\n\nid: 8"), Some("chat"), "")), "id: 7id: 8\nevent: chat\ndata: \n\n");
        assert_eq!(text(Event::new(None, None, "a\r\nb\rc\n")), "data: a\ndata: b\ndata: c\ndata: \n\n");
    }

    #[test]
    fn a_client_that_does_not_read_fills_its_queue() {
        let (events, stream) = Events::channel();
        let (small, large) =
            (Event::new(None, None, ""), Event::new(None, None, &"x".repeat(SEND_QUEUE_BYTES_MAX / 2)));
        assert_eq!(events.send(large.clone()), Ok(()));
        assert_eq!(events.send(large), Err(EventsError::Full));
        let taken = (0..EVENTS_WAITING_MAX).take_while(|_| events.send(small.clone()).is_ok()).count();
        assert_eq!(taken, EVENTS_WAITING_MAX - 1);
        assert_eq!(events.send(small.clone()), Err(EventsError::Full));
        drop(stream);
        assert_eq!((events.send(small), events.is_gone()), (Err(EventsError::Gone), true));
    }

    #[tokio::test]
    async fn silence_is_filled_with_comments() {
        let (events, mut stream) = Events::channel();
        events.send(Event::new(None, None, "a")).unwrap();
        assert_eq!(stream.next(Duration::from_millis(1)).await.unwrap(), "data: a\n\n");
        assert_eq!(stream.next(Duration::from_millis(1)).await.unwrap(), ":\n\n");
        drop(events);
        assert_eq!(stream.next(Duration::from_millis(1)).await, None);
    }
}
