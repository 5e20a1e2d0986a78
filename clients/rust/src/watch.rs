//! How long the server has left a differing prediction unmentioned, and how its corrections are shown.

use crate::smooth::Smoothing;

/// Snapshots in a row that may leave a differing prediction unmentioned: its row may be under way.
pub(crate) const SILENT_MAX: u32 = 8;

/// One predicted entity, as the server's rows judge it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    silent: u32,
    pub(crate) smoothing: Smoothing,
}

impl Watch {
    /// A snapshot was read. `right`: the prediction is as the newest row; `fresh`: that row is of the snapshot's tick. True when
    /// the prediction is wrong.
    pub(crate) fn is_wrong(&mut self, right: bool, fresh: bool) -> bool {
        self.silent = if right || fresh { 0 } else { self.silent + 1 };
        let wrong = !right && (fresh || self.silent > SILENT_MAX);
        if wrong {
            self.silent = 0;
        }
        wrong
    }
}
