//! TCP: HTTP/1.1 with bounded headers, times and connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amphi_shared_wire::limits::CONNECTIONS_MAX;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::{Service, service_fn};

use super::addresses::Addresses;
use super::admission::OVERLOADED_RETRY_MS;
use super::stream::Stream;
use super::tls::{Tls, begins_with_tls};
use crate::clock::Clock;
use crate::counters::{Counters, Refused};
use crate::http::Peer;

/// A client gets this long for the head of a request.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of a request head, and of what is buffered per connection.
const BUFFER_BYTES_MAX: usize = 32 * 1024;
/// After the process ran out of sockets, wait this long for some to close.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(50);

/// Bytes that a client beyond a limit on connections may still say.
const REFUSED_BYTES: usize = 1_024;
/// Answers to such clients that are on their way; who comes beyond is dropped without a word.
const REFUSALS_MAX: usize = 64;
/// They get this long.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(1);

/// What serves TCP connections.
pub(super) struct Tcp {
    pub(super) router: Router,
    pub(super) clock: Clock,
    pub(super) counters: Counters,
    /// With it, the first byte tells TLS from plain HTTP.
    pub(super) tls: Option<Arc<Tls>>,
}

impl Tcp {
    /// Takes connections for ever.
    pub(super) async fn accept(self, listener: TcpListener) {
        let (server, places) = (Arc::new(self), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
        let (refusals, mut addresses) = (Arc::new(Semaphore::new(REFUSALS_MAX)), Addresses::default());
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
                    server.counters.count(Refused::Overloaded);
                    tokio::time::sleep(OUT_OF_SOCKETS).await;
                    continue;
                }
            };
            let server = Arc::clone(&server);
            let crowded = addresses.check(peer.ip(), server.clock.now()).is_err();
            if !crowded && let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                connections.spawn(async move {
                    // Most connections end with an error of no interest: the client went away.
                    let _ = server.serve(stream, peer).await;
                    drop(place);
                });
                continue;
            }
            server.counters.count(if crowded { Refused::Address } else { Refused::Overloaded });
            if let Ok(place) = Arc::clone(&refusals).try_acquire_owned() {
                connections.spawn(async move {
                    let _ = tokio::time::timeout(REFUSAL_TIME_MAX, refuse(stream)).await;
                    drop(place);
                });
            }
        }
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        stream.set_nodelay(true)?;
        let stream = match &self.tls {
            Some(tls) if begins_with_tls(&stream).await? => {
                let failed = |_: &_| self.counters.count(Refused::Handshake);
                Stream::tls(tls.accept(stream).await.inspect_err(failed)?)
            }
            Some(_) | None => Stream::plain(stream),
        };
        let router = self.router.clone();
        let service = service_fn(move |mut request: axum::http::Request<_>| {
            request.extensions_mut().insert(Peer(peer));
            router.clone().call(request)
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME_MAX).max_buf_size(BUFFER_BYTES_MAX);
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        Ok(connection.with_upgrades().await?)
    }
}

/// Tells a client of plain HTTP when to come back, whatever it asks for. A handshake to tell the same to one of TLS
/// would cost more than the limit saves.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    if begins_with_tls(&stream).await? {
        return Ok(());
    }
    let retry_s = OVERLOADED_RETRY_MS.div_ceil(1_000);
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: {retry_s}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // Closing before the request is read would take the answer back.
    let _ = stream.take(REFUSED_BYTES as u64).read_to_end(&mut Vec::new()).await?;
    Ok(())
}
