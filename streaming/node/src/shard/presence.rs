//! The shard's presence: what watchers hear, and lists for services.

use amphi_shared_edge::session::Broadcast;
use amphi_shared_wire::proto::{ListPresence, PresencePage};
use amphi_shared_wire::{AppId, LANE_TOPICS, Micros};
use amphi_streaming_core::Denied;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::Shard;

impl Shard {
    /// One job for the network thread. A watcher without room loses its connection: it would not hold the truth any more.
    pub(super) fn tell_watchers(&mut self, now: Micros, alias: u32, payload: &Bytes) {
        let mut slow = Vec::new();
        let mut broadcast = Broadcast::new(LANE_TOPICS, [payload.clone()]);
        for key in self.hub.watchers(alias) {
            let Some(pipe_id) = self.homes.get(key).and_then(|home| home.engine.broadcast(1, payload.len())) else {
                continue;
            };
            let Some(pipe) = self.homes.pipe_mut(pipe_id) else { continue };
            if broadcast.add(&pipe.handle).is_err() {
                slow.push((key, pipe_id));
            }
        }
        broadcast.send();
        for (key, pipe_id) in slow {
            self.let_go(now, (key, pipe_id));
            self.drain_engine(now, key);
        }
    }

    pub(super) fn tell_text_watchers(&mut self, now: Micros, alias: u32, text: &Bytes) {
        let watchers: Vec<_> = self.hub.text_watchers(alias).collect();
        watchers.into_iter().for_each(|key| self.send_text(now, key, None, text));
    }

    /// Lists members for a service.
    pub(super) fn list(
        &mut self,
        now: Micros,
        (app, ask): (&AppId, &ListPresence),
        reply: oneshot::Sender<Result<PresencePage, Denied>>,
    ) {
        self.list_last += 1;
        match self.hub.list_for_service(now, self.list_last, app, ask) {
            Ok(()) => drop(self.lists.insert(self.list_last, reply)),
            // The caller may have gone.
            Err(denied) => drop(reply.send(Err(denied))),
        }
        self.drain(now);
    }

    pub(super) fn listed(&mut self, ticket: u64, page: Result<PresencePage, Denied>) {
        if let Some(reply) = self.lists.remove(&ticket) {
            // The caller may have gone.
            let _ = reply.send(page);
        }
    }
}
