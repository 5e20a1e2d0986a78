//! Spans for an OpenTelemetry collector, over OTLP/gRPC, sent in batches by a thread of the SDK.

use std::sync::OnceLock;
use std::time::Duration;

use amphi_shared_wire::TraceId;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceState, TracerProvider};
use opentelemetry::{Context, trace};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

/// How long the last spans may take to leave.
const FLUSH_MAX: Duration = Duration::from_secs(2);

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// What makes spans of the process's own into spans of the collector at `url`.
pub(super) fn layer<S>(url: &str, service: &'static str) -> Result<impl Layer<S> + use<S>, String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(url).build().map_err(|e| e.to_string())?;
    let resource = Resource::builder_empty().with_service_name(service).build();
    let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    let tracer = provider.tracer("amphi");
    PROVIDER.set(provider).map_err(|_| "set up twice".to_owned())?;
    Ok(tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false))
}

/// The span's parent is the trace's beginning: the ticket or the match, which is no span of its own.
pub(super) fn set_trace(span: &Span, trace: TraceId) {
    let bits = trace.bits();
    let (trace_id, span_id) = (trace::TraceId::from(bits), SpanId::from((bits as u64).max(1)));
    let parent = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, TraceState::default());
    // An error says that nobody collects.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
}

pub(super) async fn flush() {
    let Some(provider) = PROVIDER.get() else { return };
    // It blocks until the exporter has sent, which needs the runtime.
    let flushed = tokio::task::spawn_blocking(|| provider.shutdown_with_timeout(FLUSH_MAX)).await;
    if let Ok(Err(error)) = flushed {
        tracing::warn!(%error, "the last spans were not sent");
    }
}
