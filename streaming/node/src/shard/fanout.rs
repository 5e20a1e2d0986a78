//! The shard's publications on their way out: one job per network thread, and what slow readers get of it.

use amphi_shared_edge::session::Broadcast;
use amphi_shared_wire::{Code, LANE_TOPICS, Micros};
use amphi_streaming_core::{Lag, Place, SessionKey, SlowReader};
use bytes::Bytes;

use super::Shard;
use crate::gather::Group;
use crate::lag::{Fate, Kept};

impl Shard {
    /// Takes a publication for its readers. It leaves with others of its topic, unless readers that do not keep up are
    /// treated one by one.
    pub(super) fn publication(&mut self, now: Micros, (alias, offset): (u32, u64), lag: &Lag, payload: Bytes) {
        // The connection's own limits are the default, so nothing is to be asked then.
        if lag.slow == SlowReader::default() {
            if let Some(full) = self.gathering.add(now, alias, (offset, payload)) {
                self.broadcast(now, &full);
            }
        } else {
            self.broadcast_by_policy(now, (alias, offset), lag, &payload);
        }
    }

    /// Sends what need not wait for more.
    pub(super) fn flush_gathered(&mut self, now: Micros) {
        while let Some(group) = self.gathering.poll_due(now) {
            self.broadcast(now, &group);
        }
    }

    /// Sends what waits for more, before something else goes to one of its readers.
    pub(super) fn flush_gathered_for(&mut self, now: Micros, key: SessionKey) {
        while let Some(group) = self.gathering.take(now, |alias| self.hub.reads(key, alias)) {
            self.broadcast(now, &group);
        }
    }

    /// One job for the network thread, whatever the number of readers.
    fn broadcast(&mut self, now: Micros, group: &Group) {
        let (Some((first, _)), Some((last, _))) = (group.messages.first(), group.messages.last()) else { return };
        let (messages, mut slow) = (group.messages.len(), Vec::new());
        let mut broadcast = Broadcast::new(LANE_TOPICS, group.payloads());
        for key in self.hub.receivers(group.alias, *first) {
            self.counters.deliveries += messages as u64;
            let Some(pipe_id) = self.homes.get(key).and_then(|home| home.engine.broadcast(messages, group.bytes()))
            else {
                continue;
            };
            let Some(pipe) = self.homes.pipe(pipe_id) else { continue };
            if broadcast.add(&pipe.handle).is_err() {
                slow.push((key, pipe_id));
            }
        }
        broadcast.send();
        for (key, pipe_id) in slow {
            self.let_go(now, (key, pipe_id));
            self.drain_engine(now, key);
        }
        if messages > 1 {
            // Those who came in between have the rest to get.
            let between: Vec<_> = self.hub.receivers_between(group.alias, *first, *last).collect();
            for (key, given) in between {
                for (_, payload) in group.messages.iter().filter(|(offset, _)| *offset > given) {
                    self.counters.deliveries += 1;
                    self.send_now(now, key, payload.clone());
                }
            }
        }
    }

    /// The same where the class says what becomes of those that do not keep up.
    fn broadcast_by_policy(&mut self, now: Micros, (alias, offset): (u32, u64), lag: &Lag, payload: &Bytes) {
        let (bytes, mut slow) = (payload.len(), Vec::new());
        let mut broadcast = Broadcast::new(LANE_TOPICS, [payload.clone()]);
        for key in self.hub.receivers(alias, offset) {
            self.counters.deliveries += 1;
            let Some(pipe_id) = self.homes.get(key).and_then(|home| home.engine.broadcast(1, bytes)) else { continue };
            let Some(pipe) = self.homes.pipe_mut(pipe_id) else { continue };
            let fate = pipe.lateness.fate(now, lag.slow, &pipe.handle, bytes);
            let fate = if self.lagging.holds((key, alias)) { Fate::Keep } else { fate };
            match fate {
                Fate::Send if broadcast.add(&pipe.handle).is_ok() => {}
                Fate::Send | Fate::Close => slow.push((key, pipe_id)),
                Fate::LeaveOut => self.counters.left_out += 1,
                Fate::Keep => {
                    let kept = Kept { offset, bytes_max: budget(lag.slow), place: None, payload: payload.clone() };
                    self.counters.left_out += self.lagging.keep(now, (key, alias), (lag.key.clone(), kept));
                }
            }
        }
        broadcast.send();
        for (key, pipe_id) in slow {
            self.let_go(now, (key, pipe_id));
            self.drain_engine(now, key);
        }
    }

    /// The same text to every reader of a topic: made once, and one job for the network thread.
    pub(super) fn broadcast_text(&mut self, now: Micros, place: Place, lag: &Lag, text: &Bytes) {
        let mut broadcast = Broadcast::new(LANE_TOPICS, [text.clone()]);
        let (mut event, mut slow) = (None, Vec::new());
        let has_policy = lag.slow != SlowReader::default();
        for key in self.hub.text_receivers(place) {
            self.counters.deliveries += 1;
            let Some(stock) = self.stocks.get(key) else { continue };
            let fate = if has_policy { stock.fate(now, lag.slow, text.len()) } else { Fate::Send };
            let fate = if self.lagging.holds((key, place.alias)) { Fate::Keep } else { fate };
            match fate {
                Fate::Send if stock.broadcast(place, text, (&mut broadcast, &mut event)) => {}
                Fate::Send | Fate::Close => slow.push(key),
                Fate::LeaveOut => self.counters.left_out += 1,
                Fate::Keep => {
                    let (offset, bytes_max) = (place.offset, budget(lag.slow));
                    let kept = Kept { offset, bytes_max, place: Some(place), payload: text.clone() };
                    self.counters.left_out += self.lagging.keep(now, (key, place.alias), (lag.key.clone(), kept));
                }
            }
        }
        broadcast.send();
        slow.into_iter().for_each(|key| self.let_stock_go(now, key, Some((Code::SlowReader, 0))));
    }

    /// Sends what was kept to those for whom there is room again.
    pub(super) fn flush_lagging(&mut self, now: Micros) {
        for ((key, alias), bytes_max) in self.lagging.poll_look(now) {
            if !self.hub.reads(key, alias) {
                self.lagging.take((key, alias));
            } else if self.waiting_bytes(key) <= bytes_max {
                for Kept { place, payload, .. } in self.lagging.take((key, alias)) {
                    match place {
                        Some(_) => self.send_text(now, key, place, &payload),
                        None => self.send(now, key, payload),
                    }
                }
            }
        }
    }

    /// Bytes that wait for a reader; none for one that is not connected.
    fn waiting_bytes(&mut self, key: SessionKey) -> usize {
        if let Some(stock) = self.stocks.get(key) {
            return stock.waiting_bytes();
        }
        let pipe = self.homes.get(key).and_then(|home| home.engine.pipe()).map(|pipe| pipe.id);
        pipe.and_then(|pipe| self.homes.pipe(pipe)).map_or(0, |pipe| pipe.handle.queued_bytes())
    }
}

fn budget(slow: SlowReader) -> usize {
    match slow {
        SlowReader::Reliable { bytes_max, .. } | SlowReader::Latest { bytes_max } | SlowReader::Lossy { bytes_max } => {
            bytes_max
        }
    }
}
