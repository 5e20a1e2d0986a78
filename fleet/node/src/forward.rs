//! Results on their way to the match role: recorded first, then told until it confirms.

use std::sync::Arc;
use std::time::Duration;

use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::service::ServiceClient;
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_store::FleetStore;
use amphi_shared_wire::proto::ResultsReply;
use tokio::sync::Notify;

/// Results per round.
const BATCH: u32 = 64;
/// Time between rounds while the match role does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// Tells results to the match role until the process stops.
pub(crate) async fn run(store: FleetStore, client: ServiceClient, clock: Clock, wake: Arc<Notify>, shutdown: Shutdown) {
    loop {
        let all_told = once(&store, &client, &clock).await;
        tokio::select! {
            () = wake.notified(), if all_told => {}
            () = tokio::time::sleep(RETRY), if !all_told => {}
            () = shutdown.wait_stop() => return,
        }
    }
}

/// One round; true when nothing is left to tell.
pub(crate) async fn once(store: &FleetStore, client: &ServiceClient, clock: &Clock) -> bool {
    let results = match store.unforwarded_results(BATCH).await {
        Ok(results) => results,
        Err(error) => {
            tracing::warn!(%error, "results could not be read");
            return false;
        }
    };
    let whole = results.len() < BATCH as usize;
    for result in results {
        let Ok(match_id) = result.match_id.parse() else { continue };
        match client.call::<_, ResultsReply>("/internal/v1/results", &result).await {
            Ok(reply) => tracing::info!(%match_id, outcome = result.outcome, counted = reply.counted, "result told"),
            Err(error) => {
                tracing::warn!(%match_id, %error, "the match role did not take a result");
                return false;
            }
        }
        if let Err(error) = store.mark_forwarded(match_id, result.version, clock.now()).await {
            tracing::warn!(%match_id, %error, "a told result could not be marked");
            return false;
        }
    }
    whole
}
