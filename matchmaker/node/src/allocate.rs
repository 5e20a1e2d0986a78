//! Getting a host for a claim: asked until the fleet says yes or no, or patience ends.

use std::time::Duration;

use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::service::{ServiceClient, ServiceFailure};
use amphi_shared_store::Claim;
use amphi_shared_wire::proto::{AllocateReply, AllocateRequest, SeatPlan};
use amphi_shared_wire::{Code, Micros};
use metrics::Counter;

use crate::Mode;

/// First pause between two tries; it doubles up to `PAUSE_MAX`.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What the fleet is asked for a claim. A repeated question is the same question: the fleet answers once per match.
pub(crate) fn request(claim: &Claim, mode: &Mode, region: String) -> AllocateRequest {
    let seat = |hold: &amphi_shared_store::Hold| SeatPlan {
        team: u32::from(hold.team),
        user: hold.player.user.to_string(),
        name: hold.player.name.clone(),
    };
    AllocateRequest {
        match_id: claim.match_id.to_string(),
        app: claim.app.to_string(),
        mode: claim.mode.clone(),
        teams: u32::from(mode.teams),
        team_size: u32::from(mode.team_size),
        seats: claim.holds.iter().map(seat).collect(),
        region,
    }
}

/// Asks the fleet until it answers or `deadline` has passed.
///
/// # Errors
/// Why there is no host: the fleet's code, or `NoCapacity` when it never answered.
pub(crate) async fn ask(
    fleet: &ServiceClient,
    clock: Clock,
    request: &AllocateRequest,
    deadline: Micros,
    retries: &Counter,
) -> Result<AllocateReply, Code> {
    let mut pause = PAUSE;
    loop {
        let failure = match fleet.call("/internal/v1/fleet/allocate", request).await {
            Ok(reply) => return Ok(reply),
            Err(failure) => failure,
        };
        if !may_pass(&failure) {
            tracing::warn!(match_id = request.match_id, %failure, "the fleet has no host for a match");
            return Err(failure.code());
        }
        if clock.now() + Micros(pause.as_micros() as u64) >= deadline {
            tracing::warn!(match_id = request.match_id, %failure, "the fleet did not answer in time");
            return Err(Code::NoCapacity);
        }
        retries.increment(1);
        tracing::debug!(match_id = request.match_id, %failure, "the fleet is asked again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Whether the same call may have another answer soon. A stated lack of hosts is an answer: the fleet has already
/// waited for one.
fn may_pass(failure: &ServiceFailure) -> bool {
    matches!(failure.code(), Code::Unavailable | Code::Draining | Code::Overloaded | Code::Internal)
}
