//! Our side: a listener, and one owner of all sessions that answers once per tick.

use amphi_shared_session::Event;
use amphi_shared_wire::{LANE_SNAPSHOT, Micros};

use super::RATE_HZ;
use crate::harness::Stage;
use crate::owner::{self, Owned, Owner};

const TICK: Micros = Micros(1_000_000 / RATE_HZ as u64);

pub(super) fn serve(stage: Stage) -> anyhow::Result<()> {
    owner::serve(stage, tick)
}

fn tick(mut owner: Owner<()>) {
    let mut due = owner.clock().now();
    while owner.is_wanted() {
        due += TICK;
        std::thread::sleep(owner.clock().until(due));
        owner.drain(echo, |_, _| {});
    }
}

fn echo(session: &mut Owned<()>, now: Micros, event: Event) {
    if let Event::Datagram { payload, .. } = event {
        // One that there is no room for is lost, and missed when they are counted.
        let _ = session.engine.send_datagram(now, LANE_SNAPSHOT, payload);
    }
}
