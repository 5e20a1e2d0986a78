//! Views to the live role: frames of all rooms, batched, bounded, never waited for.

use std::collections::BTreeSet;
use std::time::Duration;

use amphi_shared_edge::service::ServiceClient;
use amphi_shared_wire::proto::{Payload, PublishBatch, PublishBatchReply, ServicePublication, payload};
use amphi_shared_wire::{AppId, MatchId, Topic};
use bytes::Bytes;
use tokio::sync::mpsc;

/// Frames on their way to the live role. Beyond: the view drops frames up to its next keyframe.
const FRAMES_MAX: usize = 256;
/// Frames of one call.
const BATCH_MAX: usize = 64;
/// A call that takes longer is given up, and its frames with it.
const CALL_TIME_MAX: Duration = Duration::from_secs(2);
const PATH: &str = "/internal/v1/topics/publish";
/// `ServicePublication.flags`: history before this publication is dropped.
const FLAG_KEYFRAME: u32 = 1;

/// One frame of a view.
#[derive(Clone, Debug)]
pub(crate) struct ViewFrame {
    pub(crate) match_id: MatchId,
    pub(crate) view: u32,
    pub(crate) keyframe: bool,
    pub(crate) payload: Bytes,
}

/// The end of the queue that a room worker fills.
#[derive(Debug)]
pub(crate) struct ViewFeed {
    frames: mpsc::Sender<ViewFrame>,
    /// Views that lost a frame: nothing they say makes sense before the next keyframe.
    broken: BTreeSet<(MatchId, u32)>,
}

impl ViewFeed {
    /// Hands over a frame, or drops it (and counts it) when the live role is behind.
    pub(crate) fn push(&mut self, frame: ViewFrame) {
        let view = (frame.match_id, frame.view);
        let lost = if self.broken.contains(&view) && !frame.keyframe {
            true
        } else {
            self.broken.remove(&view);
            self.frames.try_send(frame).is_err()
        };
        if lost {
            self.broken.insert(view);
            metrics::counter!("game_view_frames_dropped_total").increment(1);
        }
    }

    /// A match has no views any more.
    pub(crate) fn forget(&mut self, match_id: MatchId) {
        self.broken.retain(|(id, _)| *id != match_id);
    }
}

/// A queue of frames: its feed, and the end for [`run`].
pub(crate) fn channel() -> (ViewFeedMaker, mpsc::Receiver<ViewFrame>) {
    let (frames, receiver) = mpsc::channel(FRAMES_MAX);
    (ViewFeedMaker { frames }, receiver)
}

/// Makes one feed per room worker.
#[derive(Debug)]
pub(crate) struct ViewFeedMaker {
    frames: mpsc::Sender<ViewFrame>,
}

impl ViewFeedMaker {
    pub(crate) fn feed(&self) -> ViewFeed {
        ViewFeed { frames: self.frames.clone(), broken: BTreeSet::new() }
    }
}

/// Publishes until every feed is gone. One call at a time, so what arrives meanwhile makes the next batch.
pub(crate) async fn run(live: ServiceClient, app: AppId, mut frames: mpsc::Receiver<ViewFrame>) {
    let live = live.with_timeout(CALL_TIME_MAX);
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut reachable = true;
    while frames.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let count = batch.len() as u64;
        let call = PublishBatch { publications: batch.drain(..).map(|frame| publication(&app, frame)).collect() };
        match live.call::<_, PublishBatchReply>(PATH, &call).await {
            Ok(_) => {
                metrics::counter!("game_view_frames_total").increment(count);
                reachable = true;
            }
            Err(error) => {
                metrics::counter!("game_view_frames_dropped_total").increment(count);
                if std::mem::replace(&mut reachable, false) {
                    tracing::warn!(%error, "the live role takes no views");
                }
            }
        }
    }
}

fn publication(app: &AppId, frame: ViewFrame) -> ServicePublication {
    ServicePublication {
        app: app.to_string(),
        key: String::new(),
        topic: Topic::match_view(frame.match_id, frame.view).to_string(),
        flags: if frame.keyframe { FLAG_KEYFRAME } else { 0 },
        payload: Some(Payload { kind: Some(payload::Kind::Binary(frame.payload)) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(keyframe: bool) -> ViewFrame {
        ViewFrame { match_id: MatchId::from_bits(1), view: 0, keyframe, payload: Bytes::new() }
    }

    #[test]
    fn a_view_that_lost_a_frame_waits_for_a_keyframe() {
        let (maker, mut frames) = channel();
        let mut feed = maker.feed();
        (0..FRAMES_MAX + 1).for_each(|_| feed.push(frame(false)));
        assert!(frames.try_recv().is_ok());
        feed.push(frame(false));
        feed.push(frame(true));
        feed.push(frame(false));
        let mut seen = Vec::new();
        while let Ok(frame) = frames.try_recv() {
            seen.push(frame.keyframe);
        }
        assert_eq!(seen.len(), FRAMES_MAX);
        assert_eq!(seen.last(), Some(&true), "there was room for one more: the keyframe");
    }
}
