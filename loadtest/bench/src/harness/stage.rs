//! What a server says and hears while it serves.

use std::io::Read;
use std::thread;

use tokio::sync::oneshot;

type Ready = Box<dyn FnOnce(String) + Send>;

/// Where a server serves: in a process of its own, or on a thread of this one.
pub(crate) struct Stage {
    ready: Option<Ready>,
    stop: oneshot::Receiver<()>,
}

impl Stage {
    /// The only server of this process: its line goes to standard output, and it ends with its standard input.
    pub(crate) fn process(print: impl FnOnce(String) + Send + 'static) -> Self {
        let (stopping, stop) = oneshot::channel();
        // A read of standard input cannot be cancelled, so it gets a thread that may outlive the server.
        thread::spawn(move || {
            let _ = std::io::stdin().read(&mut [0]);
            // A server that has ended needs not know.
            let _ = stopping.send(());
        });
        Self { ready: Some(Box::new(print)), stop }
    }

    /// On a thread: its line goes to `ready`, and it ends on `stop`.
    pub(super) fn thread(ready: impl FnOnce(String) + Send + 'static, stop: oneshot::Receiver<()>) -> Self {
        Self { ready: Some(Box::new(ready)), stop }
    }

    /// Says that the server serves, and where. Only the first line counts.
    pub(crate) fn ready(&mut self, line: impl Into<String>) {
        if let Some(ready) = self.ready.take() {
            ready(line.into());
        }
    }

    /// Returns when nobody needs the server any more.
    pub(crate) async fn stopped(&mut self) {
        // An error says the same: whoever could stop it is gone.
        let _ = (&mut self.stop).await;
    }

    /// The same for a server without a runtime: whether nobody needs it any more.
    pub(crate) fn is_stopped(&mut self) -> bool {
        !matches!(self.stop.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }
}
