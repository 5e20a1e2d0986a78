//! A connection that this process wants.

use std::net::SocketAddr;
use std::sync::Arc;

use amphi_shared_session::PipeId;
use amphi_shared_wire::Lane;
use quinn_proto::ClientConfig;
use tokio::sync::{mpsc, oneshot};
use url::Url;

use crate::network::Outlet;
use crate::session::PipeEvent;

/// What to dial, and where to answer.
pub(crate) struct Dial {
    pub(crate) address: SocketAddr,
    /// Name of the server in its certificate.
    pub(crate) name: String,
    pub(crate) config: ClientConfig,
    /// The session to ask for over HTTP/3; without it the connection is native.
    pub(crate) web_transport: Option<Url>,
    /// Lanes to open.
    pub(crate) lanes: Vec<Lane>,
    pub(crate) pipe: PipeId,
    pub(crate) mailbox: mpsc::Sender<PipeEvent>,
    /// The way to the connection, or why there is none.
    pub(crate) answer: oneshot::Sender<Result<Arc<Outlet>, String>>,
}
