//! The sender behind our listener.

use std::time::Duration;

use amphi_shared_session::Event;
use amphi_shared_wire::{LANE_CONTROL, Micros};

use super::tally::{Numbers, Tally};
use super::{LANES, Work};
use crate::harness::Stage;
use crate::owner::{self, Owned, Owner};

/// Messages that may wait for acknowledgement; half of what a connection's queue takes.
const UNACKED_MAX: u64 = 512;
/// How often the sender looks.
const LOOK: Duration = Duration::from_millis(1);

#[derive(Default)]
struct State {
    numbers: Numbers,
    tally: Tally,
    told: bool,
}

pub(super) fn serve(work: Work, stage: Stage) -> anyhow::Result<()> {
    owner::serve(stage, move |mut owner: Owner<State>| {
        while owner.is_wanted() {
            owner.drain(take, |session, now| send(session, now, work));
            std::thread::sleep(LOOK);
        }
    })
}

fn take(session: &mut Owned<State>, _: Micros, event: Event) {
    if let Event::Message { lane, payload } = event
        && LANES.contains(&lane)
    {
        session.state.tally.take(lane, &payload);
    }
}

/// Sends what may be sent; at the end, what was seen of the client's messages.
fn send(session: &mut Owned<State>, now: Micros, work: Work) {
    let Owned { engine, state } = session;
    while state.numbers.sent() < work.down && engine.is_attached() && (engine.retained_messages() as u64) < UNACKED_MAX
    {
        let (lane, payload) = state.numbers.next();
        if engine.send(now, lane, payload).is_err() {
            return;
        }
        state.numbers.took(lane);
    }
    if state.tally.received() >= work.up && state.numbers.sent() == work.down && !state.told {
        let faults = state.tally.faults(work.up).encode();
        state.told = engine.send(now, LANE_CONTROL, faults).is_ok();
    }
}
