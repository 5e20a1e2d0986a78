//! One reader: it follows its topic over whatever connection it gets, and notes what came.

use std::rc::Rc;
use std::time::Duration;

use amphi_shared_wire::proto::{Position, Subscribed};
use amphi_shared_wire::{LANE_CONTROL, LANE_TOPICS, Lane};
use anyhow::{Context, ensure};
use bytes::{BufMut, Bytes, BytesMut};

use super::scene::Scene;
use crate::load::{Client, Message, Reader, Way, publication, subscribed};

/// The lanes of a home session.
const LANES: [Lane; 2] = [LANE_CONTROL, LANE_TOPICS];
/// Digits of a message.
const DIGITS: usize = 8;
/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(50);
/// Who stops reading does so after so many messages, for so long.
const STOP_AFTER: usize = 700;
const STOP: Duration = Duration::from_millis(1_500);
/// A connection that says nothing for so long is given up: nobody says goodbye for a node that was killed.
const SILENCE: Duration = Duration::from_secs(2);
/// The same through the bad network, where a handshake alone takes seconds; the session says itself when it has ended.
const LOSSY_SILENCE: Duration = Duration::from_secs(45);
const LOSSY_OPEN_MAX: Duration = Duration::from_secs(30);

/// How somebody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// Stops now and then.
    Pausing,
    /// Over WebTransport through the bad network.
    Lossy,
}

/// A connection.
enum Feed {
    Socket(Box<Reader>),
    Client(Box<Client>),
}

impl Feed {
    /// The next message of lane 1, with its lane; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Socket(reader) => match reader.socket.next().await {
                Ok(Message::Binary(message)) => Some(message),
                Ok(Message::Text(_) | Message::Closed(_)) | Err(_) => None,
            },
            Self::Client(client) => client.topic_message().await.ok().map(|message| {
                let mut whole = BytesMut::with_capacity(message.len() + 1);
                whole.put_u8(LANE_TOPICS);
                whole.put_slice(&message);
                whole.freeze()
            }),
        }
    }
}

impl Kind {
    /// How long a connection may say nothing, and take to be there.
    fn patience(self) -> (Duration, Duration) {
        match self {
            Self::Plain | Self::Pausing => (SILENCE, 3 * SILENCE),
            Self::Lossy => (LOSSY_SILENCE, LOSSY_OPEN_MAX),
        }
    }
}

/// Reads until it is dropped.
pub(super) async fn read(scene: Rc<Scene>, number: usize) -> anyhow::Result<()> {
    let (topic, kind) = scene.seat(number);
    let topic = super::topic(topic);
    let (mut at, mut place, mut since_stop) = (None::<Position>, number, 0);
    let (silence, open_max) = kind.patience();
    loop {
        let opened = tokio::time::timeout(open_max, open(&scene, (place, number, kind), &topic, at)).await;
        let Ok(Ok(Some((mut feed, told)))) = opened else {
            place += 1;
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        scene.note(number, |read| read.connections += 1);
        take(&scene, number, &mut at, &told);
        while let Ok(Some(message)) = tokio::time::timeout(silence, feed.next()).await {
            if let Some((offset, rest)) = publication(&message) {
                let at = at.as_mut().context("a publication before the first answer")?;
                ensure!(offset == at.offset + 1, "reader {number}: {offset} follows {}", at.offset);
                at.offset = offset;
                let digits =
                    rest.len().checked_sub(DIGITS).and_then(|from| rest.get(from..)).context("a short message")?;
                let message: usize = std::str::from_utf8(digits)?.parse()?;
                scene.note(number, |read| read.note(message));
                since_stop += 1;
            } else if message.first() == Some(&LANE_TOPICS)
                && let Some(told) = subscribed(&message.slice(1..))?
            {
                take(&scene, number, &mut at, &told);
            }
            if kind == Kind::Pausing && since_stop >= STOP_AFTER {
                since_stop = 0;
                tokio::time::sleep(STOP).await;
            }
        }
        place += 1;
    }
}

/// Takes the answer to a subscription, or the word that the topic begins anew.
fn take(scene: &Scene, number: usize, at: &mut Option<Position>, told: &Subscribed) {
    if at.is_some() && told.recovered {
        return;
    }
    if at.is_some() {
        scene.note(number, |read| read.resets += 1);
    }
    *at = Some(Position { epoch: told.epoch, offset: told.offset - u64::from(told.replayed) });
}

/// Connects to a node that is there, and subscribes.
async fn open(
    scene: &Scene,
    (place, number, kind): (usize, usize, Kind),
    topic: &str,
    at: Option<Position>,
) -> anyhow::Result<Option<(Feed, Subscribed)>> {
    let Some((address, token)) = scene.door(place, number, kind == Kind::Lossy) else { return Ok(None) };
    if kind != Kind::Lossy {
        let reader = Reader::open(number, address, token, (topic, at)).await?;
        let told = reader.subscribed.clone();
        return Ok(Some((Feed::Socket(Box::new(reader)), told)));
    }
    let mut client = Client::home(amphi_shared_edge::clock::Clock::start(), token);
    client.connect(&scene.dialler, (number, address), Way::WebTransport, &LANES).await?;
    client.attached().await?;
    client.subscribe(1, topic, at);
    loop {
        if let Some(told) = subscribed(&client.topic_message().await?)? {
            return Ok(Some((Feed::Client(Box::new(client)), told)));
        }
    }
}
