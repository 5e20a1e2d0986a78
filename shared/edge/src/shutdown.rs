//! Ending in order: a process drains first, then stops.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How far a process is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everything works.
    Running,
    /// No new work; what runs may finish.
    Draining,
    /// Leave at once.
    Stopping,
}

/// Tells every part of a process to drain, then to stop. Cheap to clone; all clones see the same phase.
#[derive(Clone, Debug)]
pub struct Shutdown {
    phase: watch::Sender<Phase>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A process that runs, and ends only by [`Shutdown::trigger`] or [`Shutdown::stop`].
    pub fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Running) }
    }

    /// As [`Shutdown::new`], and SIGTERM or SIGINT drain; a second one stops. Needs a tokio runtime.
    ///
    /// # Errors
    /// The signal handlers could not be installed.
    pub fn signal() -> io::Result<Self> {
        let shutdown = Self::new();
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let inner = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = term.recv() => "SIGTERM",
                    _ = int.recv() => "SIGINT",
                };
                tracing::info!(signal = name, "signal received");
                if inner.phase() == Phase::Running { inner.trigger() } else { inner.stop() }
            }
        });
        Ok(shutdown)
    }

    /// Starts to drain, if that has not happened yet.
    pub fn trigger(&self) {
        self.raise(Phase::Draining);
    }

    /// Stops at once.
    pub fn stop(&self) {
        self.raise(Phase::Stopping);
    }

    /// The phase at this moment.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Returns when the process drains (or stops).
    pub async fn wait(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Returns when the process is to leave at once.
    pub async fn wait_stop(&self) {
        self.reached(Phase::Stopping).await;
    }

    fn raise(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let higher = to > *phase;
            *phase = to.max(*phase);
            higher
        });
    }

    async fn reached(&self, wanted: Phase) {
        // The sender lives in `self`, so the channel is open.
        let _ = self.phase.subscribe().wait_for(|phase| *phase >= wanted).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_rise() {
        let shutdown = Shutdown::new();
        let other = shutdown.clone();
        assert_eq!(shutdown.phase(), Phase::Running);
        shutdown.stop();
        shutdown.trigger();
        other.wait().await;
        other.wait_stop().await;
        assert_eq!(other.phase(), Phase::Stopping);
    }
}
