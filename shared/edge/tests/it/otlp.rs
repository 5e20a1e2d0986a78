//! Spans on their way to a collector.

use amphi_shared_edge::telemetry::{self, LogFormat, TelemetryConfig};
use amphi_shared_wire::{TicketId, TraceId};
use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::server::patient;

/// Where a collector takes traces over gRPC.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

#[tokio::test(flavor = "multi_thread")]
async fn a_span_reaches_the_collector_in_the_trace_of_its_ticket() {
    let (said, mut exports) = mpsc::channel(8);
    let export = move |body: Bytes| async move {
        said.send(body).await.unwrap();
        ([("content-type", "application/grpc"), ("grpc-status", "0")], "")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().route(EXPORT, post(export))).into_future());
    let config = TelemetryConfig {
        format: LogFormat::Text,
        filter: "info".to_owned(),
        service: "amphi-test",
        otlp_url: Some(url),
    };
    telemetry::init(&config).unwrap();

    let trace = TraceId::from(TicketId::from_bits(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
    let span = tracing::info_span!("session", trace_id = %trace);
    telemetry::set_trace(&span, trace);
    span.in_scope(|| tracing::info!("player joined"));
    drop(span);
    telemetry::flush().await;
    let export = patient(exports.recv()).await.unwrap();
    let holds = |bytes: &[u8]| export.windows(bytes.len()).any(|window| window == bytes);
    assert!(holds(&trace.bits().to_be_bytes()), "{export:?}");
    assert!(holds(b"session") && holds(b"player joined") && holds(b"amphi-test"), "{export:?}");
}
