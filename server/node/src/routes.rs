//! The host's HTTP: rooms and drain for its fleet, probes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use amphi_shared_auth::Scope;
use amphi_shared_edge::http::{Access, Problem, Request, Response, Routes, probes};
use amphi_shared_wire::Code;
use amphi_shared_wire::proto::{CreateRoom, Drain};
use tokio::sync::{mpsc, oneshot};

use crate::host::Event;

/// The routes; `draining` becomes true when the host takes no more rooms.
pub(crate) fn routes(events: &mpsc::Sender<Event>, draining: Arc<AtomicBool>) -> Routes {
    let ready = move || if draining.load(Ordering::Relaxed) { Err("this host drains".to_owned()) } else { Ok(()) };
    let (rooms_events, drain_events) = (events.clone(), events.clone());
    Routes::new()
        .post("/internal/v1/rooms", Access::Service(Scope::HostRooms), move |request| {
            rooms(rooms_events.clone(), request)
        })
        .post("/internal/v1/drain", Access::Service(Scope::HostDrain), move |request| {
            drain(drain_events.clone(), request)
        })
        .merge(probes(ready, Access::Public))
}

async fn rooms(events: mpsc::Sender<Event>, request: Request) -> Result<Response, Problem> {
    let request: CreateRoom = request.proto()?;
    let (reply, answer) = oneshot::channel();
    events.send(Event::Create { request, reply }).await.map_err(|_| Problem::from(Code::Draining))?;
    let created = answer.await.map_err(|_| Problem::from(Code::Draining))??;
    Ok(Response::proto(&created))
}

async fn drain(events: mpsc::Sender<Event>, request: Request) -> Result<Response, Problem> {
    let Drain { deadline_ms } = request.proto()?;
    events.send(Event::Drain { deadline_ms: Some(deadline_ms) }).await.map_err(|_| Problem::from(Code::Draining))?;
    Ok(Response::bytes("application/x-protobuf", ""))
}
