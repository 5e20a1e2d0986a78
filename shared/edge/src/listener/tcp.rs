//! TCP: HTTP/1.1 with bounded headers, times and connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amphi_shared_wire::limits::CONNECTIONS_MAX;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::{Service, service_fn};

use super::stream::Stream;
use crate::counters::{Counters, Refused};
use crate::http::Peer;

/// A client gets this long for the head of a request.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of a request head, and of what is buffered per connection.
const BUFFER_BYTES_MAX: usize = 32 * 1024;
/// After the process ran out of sockets, wait this long for some to close.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(50);

/// Takes connections for ever.
pub(super) async fn accept(listener: TcpListener, router: Router, counters: Counters) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no TCP connection could be accepted");
                counters.count(Refused::Overloaded);
                tokio::time::sleep(OUT_OF_SOCKETS).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            counters.count(Refused::Overloaded);
            continue;
        };
        let router = router.clone();
        connections.spawn(async move {
            // Most connections end with an error of no interest: the client went away.
            let _ = serve(stream, peer, router).await;
            drop(place);
        });
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let service = service_fn(move |mut request: axum::http::Request<_>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME_MAX).max_buf_size(BUFFER_BYTES_MAX);
    let connection = http.serve_connection(TokioIo::new(Stream::Plain(stream)), TowerToHyperService::new(service));
    Ok(connection.with_upgrades().await?)
}
