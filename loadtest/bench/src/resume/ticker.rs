//! A stand-in for a match host: an owner that sends each of its sessions a state when it attaches, and once per tick.

use amphi_shared_wire::{LANE_SNAPSHOT, Micros};
use bytes::Bytes;

use crate::harness::Stage;
use crate::owner::{self, Owned, Owner};

const TICK: Micros = Micros(1_000_000 / 60);
/// About a snapshot of the sample game.
const STATE: Bytes = Bytes::from_static(&[0xa5; 220]);

pub(crate) fn serve(stage: Stage) -> anyhow::Result<()> {
    owner::serve(stage, |mut owner: Owner<()>| {
        let mut due = owner.clock().now();
        while owner.is_wanted() {
            due += TICK;
            owner.admit_until(due, show);
            owner.drain(|_, _, _| {}, show);
        }
    })
}

fn show(session: &mut Owned<()>, now: Micros) {
    // Without a connection nobody is to hear it.
    let _ = session.engine.send_datagram(now, LANE_SNAPSHOT, STATE);
}
