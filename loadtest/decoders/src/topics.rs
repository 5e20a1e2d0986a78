//! Topics: requests as Protobuf and as text, publications of services, and what readers of both get.

use amphi_shared_wire::proto::{Publish, ServicePublication, TopicRequest};
use amphi_shared_wire::{AppId, Micros, Seed, UserId};
use amphi_streaming_core::{Hub, HubConfig, HubOutput, MemoryBroker, Person, Role, SessionKey, parse_request};
use prost::Message;
use serde_json::Value;

use crate::split;

/// The session that speaks Protobuf.
const BINARY: SessionKey = SessionKey(1);
/// The session that reads text.
const TEXT: SessionKey = SessionKey(2);

/// What a piece means to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A `TopicRequest` as Protobuf.
    Binary = 0,
    /// A `TopicRequest` as JSON.
    Text = 1,
    /// A `ServicePublication`.
    Service = 2,
    /// A session is gone, and time passes.
    Gone = 3,
}

/// Plays pieces to a hub with two sessions; the kind is an [`Ask`], modulo 4.
///
/// # Panics
/// A reader of text gets something that is not one line of JSON.
pub fn topics(bytes: &[u8]) {
    let mut hub = Hub::new(HubConfig::default());
    let mut broker = MemoryBroker::new(HubConfig::default().topics_max, Seed(1));
    hub.open_text(TEXT);
    let mut now = Micros::from_secs(1_763_000_000);
    for piece in split(bytes) {
        match piece.kind % 4 {
            0 => {
                if let Ok(request) = TopicRequest::decode(piece.bytes) {
                    hub.handle_request(now, BINARY, &person(BINARY), request);
                }
            }
            1 => match parse_request(piece.bytes) {
                Ok(request) => hub.handle_request(now, TEXT, &person(TEXT), request),
                Err(denied) => hub.refuse(TEXT, 0, denied),
            },
            2 => {
                if let Ok(publication) = ServicePublication::decode(piece.bytes) {
                    let ServicePublication { topic, flags, payload, key, .. } = publication;
                    let ask = Publish { topic, payload, key };
                    // Refused: counted.
                    let _ = hub.publish_service(now, 0, (&AppId::default(), "service"), (flags as u8, ask));
                }
            }
            _ => {
                hub.session_closed(now, BINARY);
                now += Micros::from_millis(700);
                hub.handle_timeout(now);
                broker.handle_timeout(now);
            }
        }
        settle(now, &mut hub, &mut broker);
    }
}

fn settle(now: Micros, hub: &mut Hub, broker: &mut MemoryBroker) {
    loop {
        if let Some(output) = hub.poll_output() {
            check(hub, &output);
        } else if let Some(request) = hub.poll_request() {
            broker.handle_request(now, request);
        } else if let Some(event) = broker.poll_event() {
            hub.handle_broker(now, event);
        } else {
            return;
        }
    }
}

fn check(hub: &Hub, output: &HubOutput) {
    match output {
        HubOutput::Send { session, payload } => assert!(*session == BINARY && !payload.is_empty()),
        HubOutput::Broadcast { alias, offset, .. } => {
            assert!(hub.receivers(*alias, *offset).all(|session| session == BINARY));
        }
        HubOutput::Published { ticket, .. } | HubOutput::History { ticket, .. } => assert_eq!(*ticket, 0),
        HubOutput::SendText { text, .. } => check_text(text),
        HubOutput::BroadcastText { place, text, .. } => {
            assert!(hub.text_receivers(*place).all(|session| session == TEXT));
            check_text(text);
        }
    }
}

fn check_text(text: &[u8]) {
    assert!(!text.contains(&b'\n') && !text.contains(&b'\r'));
    assert!(serde_json::from_slice::<Value>(text).is_ok_and(|value| value.is_object()));
}

fn person(session: SessionKey) -> Person {
    Person {
        user: UserId::from_bits(u128::from(session.0)),
        app: AppId::default(),
        name: "somebody".to_owned(),
        role: Role::User,
        grants: None,
    }
}
