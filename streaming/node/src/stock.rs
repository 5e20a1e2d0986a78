//! Readers without a protocol of their own: WebSockets with text messages, and server-sent events.
//!
//! They have no session engine and no resume: a reader that returns says where it stood, and gets what it missed.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use amphi_shared_edge::http::{Event, Events};
use amphi_shared_edge::session::{Broadcast, PipeHandle};
use amphi_shared_session::PipeId;
use amphi_shared_wire::limits::SUBSCRIPTIONS_MAX;
use amphi_shared_wire::proto::Position;
use amphi_shared_wire::{Code, LANE_TOPICS, Micros};
use amphi_streaming_core::{Person, Place, SessionKey, SlowReader};
use bytes::Bytes;

use crate::home::HomeToken;
use crate::lag::{Fate, Lateness};

/// Keys of these readers; those of home sessions stay below.
const KEYS_FROM: u64 = 1 << 63;

/// Topics by their alias, and where a reader stands in each.
pub(crate) type Places = Vec<(u32, Option<Position>)>;

/// One reader.
pub(crate) struct Stock {
    pub(crate) person: Person,
    /// What ends with it; a reader of events without a token has none.
    pub(crate) token: Option<HomeToken>,
    pub(crate) address: IpAddr,
    pub(crate) way: Way,
    pub(crate) lateness: Lateness,
}

/// How text reaches a reader.
pub(crate) enum Way {
    /// A WebSocket.
    Text { pipe: PipeId, handle: PipeHandle },
    /// Server-sent events: the topics in the order of the request, with the reader's place in each.
    Events { events: Events, places: Places },
}

/// Every reader of one shard.
#[derive(Default)]
pub(crate) struct Stocks {
    readers: HashMap<SessionKey, Stock>,
    pipes: HashMap<PipeId, SessionKey>,
    last: u64,
    ends: BTreeSet<(Micros, SessionKey)>,
}

impl Stocks {
    pub(crate) fn len(&self) -> usize {
        self.readers.len()
    }

    pub(crate) fn next_key(&mut self) -> SessionKey {
        self.last += 1;
        SessionKey(KEYS_FROM | self.last)
    }

    pub(crate) fn insert(&mut self, key: SessionKey, stock: Stock) {
        if let Some(token) = stock.token {
            self.ends.insert((token.expires, key));
        }
        if let Way::Text { pipe, .. } = &stock.way {
            self.pipes.insert(*pipe, key);
        }
        self.readers.insert(key, stock);
    }

    pub(crate) fn get(&mut self, key: SessionKey) -> Option<&mut Stock> {
        self.readers.get_mut(&key)
    }

    pub(crate) fn find(&self, pipe: PipeId) -> Option<SessionKey> {
        self.pipes.get(&pipe).copied()
    }

    pub(crate) fn keys(&self) -> Vec<SessionKey> {
        self.readers.keys().copied().collect()
    }

    /// Lets a reader go, after telling it why.
    pub(crate) fn remove(&mut self, key: SessionKey, why: Option<(Code, u32)>) {
        let Some(stock) = self.readers.remove(&key) else { return };
        if let Some(token) = stock.token {
            self.ends.remove(&(token.expires, key));
        }
        match stock.way {
            Way::Text { pipe, handle } => {
                self.pipes.remove(&pipe);
                if let Some((code, _)) = why {
                    handle.close(code, code.help());
                }
            }
            Way::Events { events, .. } => {
                if let Some((_, retry_after_ms @ 1..)) = why {
                    // Whoever does not read will not read this either.
                    let _ = events.send(Event::retry(retry_after_ms));
                }
            }
        }
    }

    /// The next reader whose token has ended.
    pub(crate) fn poll_ended(&self, now: Micros) -> Option<SessionKey> {
        self.ends.first().filter(|(at, _)| *at <= now).map(|(_, key)| *key)
    }

    pub(crate) fn next_end(&self) -> Option<Micros> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Readers of events that went away.
    pub(crate) fn gone(&self) -> Vec<SessionKey> {
        let gone = |stock: &Stock| matches!(&stock.way, Way::Events { events, .. } if events.is_gone());
        self.readers.iter().filter(|(_, stock)| gone(stock)).map(|(key, _)| *key).collect()
    }
}

impl Stock {
    /// What becomes of a publication for this reader.
    pub(crate) fn fate(&mut self, now: Micros, slow: SlowReader, bytes: usize) -> Fate {
        match &self.way {
            Way::Text { handle, .. } => self.lateness.fate(now, slow, handle, bytes),
            // An event stream has the limits of its own queue.
            Way::Events { .. } => Fate::Send,
        }
    }

    /// Bytes that wait for this reader.
    pub(crate) fn waiting_bytes(&self) -> usize {
        match &self.way {
            Way::Text { handle, .. } => handle.queued_bytes(),
            Way::Events { .. } => 0,
        }
    }

    /// Sends one text. False: it reads too slowly, or is gone.
    pub(crate) fn send(&mut self, place: Option<Place>, text: &Bytes) -> bool {
        match &mut self.way {
            Way::Text { handle, .. } => handle.frame(LANE_TOPICS, text.clone()).is_ok(),
            Way::Events { events, places } => events.send(event(places, place, text)).is_ok(),
        }
    }

    /// Sends a publication that others get too. `shared` is the event of those who read this topic only.
    pub(crate) fn broadcast(
        &mut self,
        place: Place,
        text: &Bytes,
        (broadcast, shared): (&mut Broadcast, &mut Option<Event>),
    ) -> bool {
        match &mut self.way {
            Way::Text { handle, .. } => broadcast.add(handle).is_ok(),
            Way::Events { events, places } if places.len() == 1 => {
                let event = shared.get_or_insert_with(|| event(places, Some(place), text));
                events.send(event.clone()).is_ok()
            }
            Way::Events { events, places } => events.send(event(places, Some(place), text)).is_ok(),
        }
    }
}

/// The text as an event. Its id holds the reader's places after it, so that whoever returns with it misses nothing.
fn event(places: &mut [(u32, Option<Position>)], place: Option<Place>, text: &Bytes) -> Event {
    // Texts are made from strings.
    let text = std::str::from_utf8(text).unwrap_or_default();
    let Some(place) = place else { return Event::new(None, Some("reply"), text) };
    if let Some((_, at)) = places.iter_mut().find(|(alias, _)| *alias == place.alias) {
        *at = Some(Position { epoch: place.epoch, offset: place.offset });
    }
    let ids: Vec<String> =
        places.iter().map(|(_, at)| at.map_or_else(String::new, |at| format!("{}:{}", at.epoch, at.offset))).collect();
    Event::new(Some(&ids.join(",")), None, text)
}

/// Reads `epoch:offset`, one per topic, joined by commas; an empty one stands for a topic that was never read.
pub(crate) fn parse_places(text: &str) -> Result<Vec<Option<Position>>, Code> {
    let place = |text: &str| -> Option<Option<Position>> {
        if text.is_empty() {
            return Some(None);
        }
        let (epoch, offset) = text.split_once(':')?;
        Some(Some(Position { epoch: epoch.parse().ok()?, offset: offset.parse().ok()? }))
    };
    let places: Option<Vec<_>> = text.split(',').take(SUBSCRIPTIONS_MAX + 1).map(|part| place(part.trim())).collect();
    places.filter(|places| places.len() <= SUBSCRIPTIONS_MAX).ok_or(Code::RequestInvalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_by_topic() {
        let at = |epoch, offset| Some(Position { epoch, offset });
        assert_eq!(parse_places("5:7"), Ok(vec![at(5, 7)]));
        assert_eq!(parse_places("18446744073709551615:7, ,1:0"), Ok(vec![at(u64::MAX, 7), None, at(1, 0)]));
        for wrong in ["5", "5:", ":5", "a:b", "1:2:3", "-1:2", &"1:2,".repeat(65)] {
            assert_eq!(parse_places(wrong), Err(Code::RequestInvalid), "{wrong}");
        }
    }
}
