//! What the fleet hears of this host: every second, and at once when a room changes.

use std::collections::BTreeMap;
use std::time::Duration;

use amphi_shared_edge::service::{ServiceClient, ServiceFailure};
use amphi_shared_wire::proto::{Endpoint, HostReport, HostReportReply, RoomReport};
use amphi_shared_wire::{HostId, LeaseId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use crate::host::Event;

/// Interval of reports without news.
const EVERY: Duration = Duration::from_secs(1);
/// Interval of attempts to hand over the last results.
const FLUSH_EVERY: Duration = Duration::from_millis(250);
const CALL_TIME_MAX: Duration = Duration::from_secs(2);
/// Reports of rooms that wait to be taken in. Beyond: a room repeats its report a little later.
const UPDATES_MAX: usize = 1_024;
const PATH: &str = "/internal/v1/fleet/report";

/// News for the fleet.
#[derive(Debug)]
pub(crate) enum Update {
    /// How rooms of a worker are, without news.
    Rooms(Vec<RoomReport>),
    /// A room that started, changed its roster, or ended (with its result, which is repeated until the fleet has it).
    Changed(Box<RoomReport>),
    /// How clients reach the host, and which certificates they pin.
    Endpoints(Vec<Endpoint>),
    /// The host takes no new rooms any more.
    Draining,
    /// The host ends: say it all once more, then answer.
    Flush(oneshot::Sender<()>),
}

/// Who reports.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) host_id: HostId,
    pub(crate) lease_id: LeaseId,
    pub(crate) rooms_max: u32,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// The queue of news.
pub(crate) fn channel() -> (mpsc::Sender<Update>, mpsc::Receiver<Update>) {
    mpsc::channel(UPDATES_MAX)
}

/// Reports to the fleet until the news end.
#[derive(Debug)]
pub(crate) struct Reporter {
    fleet: ServiceClient,
    identity: Identity,
    rooms: BTreeMap<String, RoomReport>,
    sequence: u64,
    draining: bool,
    reachable: bool,
    events: mpsc::Sender<Event>,
}

impl Reporter {
    pub(crate) fn new(fleet: ServiceClient, identity: Identity, events: mpsc::Sender<Event>) -> Self {
        let fleet = fleet.with_timeout(CALL_TIME_MAX);
        Self { fleet, identity, rooms: BTreeMap::new(), sequence: 0, draining: false, reachable: true, events }
    }

    pub(crate) async fn run(mut self, mut updates: mpsc::Receiver<Update>) {
        let mut due = tokio::time::interval_at(Instant::now(), EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let update = tokio::select! {
                update = updates.recv() => update,
                _ = due.tick() => {
                    self.report().await;
                    continue;
                }
            };
            let Some(mut update) = update else {
                return;
            };
            // News that waited while the last report was on its way go into one.
            let mut news = false;
            loop {
                news |= self.take(update).await;
                match updates.try_recv() {
                    Ok(next) => update = next,
                    Err(_) => break,
                }
            }
            if news {
                self.report().await;
            }
        }
    }

    /// Takes in one update; says whether the fleet should hear of it at once.
    async fn take(&mut self, update: Update) -> bool {
        match update {
            Update::Rooms(rooms) => {
                rooms.into_iter().for_each(|room| self.put(room));
                false
            }
            Update::Changed(room) => {
                self.put(*room);
                true
            }
            Update::Endpoints(endpoints) => {
                let before = std::mem::replace(&mut self.identity.endpoints, endpoints);
                before != self.identity.endpoints
            }
            Update::Draining => !std::mem::replace(&mut self.draining, true),
            Update::Flush(done) => {
                self.flush(&done).await;
                // Whoever asked may have given up waiting.
                let _ = done.send(());
                false
            }
        }
    }

    /// Reports until the fleet has every result, or nobody waits for that any more.
    async fn flush(&mut self, asked: &oneshot::Sender<()>) {
        self.report().await;
        while !asked.is_closed() && self.rooms.values().any(|room| room.result.is_some()) {
            tokio::time::sleep(FLUSH_EVERY).await;
            self.report().await;
        }
    }

    /// A room that has ended stays ended: reports of its last tick may still be on their way.
    fn put(&mut self, room: RoomReport) {
        let ended = self.rooms.get(&room.match_id).is_some_and(|known| known.result.is_some());
        if !ended {
            self.rooms.insert(room.match_id.clone(), room);
        }
    }

    async fn report(&mut self) {
        self.sequence += 1;
        let report = HostReport {
            host_id: self.identity.host_id.to_string(),
            lease_id: self.identity.lease_id.to_string(),
            sequence: self.sequence,
            draining: self.draining,
            rooms_max: self.identity.rooms_max,
            rooms: self.rooms.values().cloned().collect(),
            endpoints: self.identity.endpoints.clone(),
        };
        match self.fleet.call::<_, HostReportReply>(PATH, &report).await {
            Ok(reply) => {
                self.reachable = true;
                self.rooms.retain(|_, room| room.result.is_none());
                self.obey(&reply);
            }
            Err(error) => self.failed(&error),
        }
    }

    fn obey(&mut self, reply: &HostReportReply) {
        let event = if !reply.lease_valid {
            Event::LeaseEnded
        } else if reply.drain && !self.draining {
            Event::Drain { deadline_ms: Some(reply.drain_deadline_ms) }
        } else {
            return;
        };
        // A host that is too busy, or gone: the next reply says it again.
        let _ = self.events.try_send(event);
    }

    fn failed(&mut self, error: &ServiceFailure) {
        metrics::counter!("game_reports_failed_total").increment(1);
        if std::mem::replace(&mut self.reachable, false) {
            tracing::warn!(%error, "the fleet takes no reports");
        }
    }
}
