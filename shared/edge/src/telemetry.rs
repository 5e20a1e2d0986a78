//! Logs, metrics and traces of a process.

#[cfg(feature = "otlp")]
mod otlp;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use amphi_shared_wire::TraceId;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;
use tracing::Span;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What a process says about itself.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// How log lines look.
    pub format: LogFormat,
    /// A list of `target=level`; spans go through it too.
    pub filter: String,
    /// Name of this kind of process in traces.
    pub service: &'static str,
    /// OTLP/gRPC address of an OpenTelemetry collector (`http://host:4317`), which gets the spans.
    pub otlp_url: Option<String>,
}

/// Why there are no logs or metrics.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter is no list of `target=level`.
    #[error("`{0}` is no log filter: write for instance `info` or `info,amphi_shared_edge=debug`")]
    Filter(String),
    /// There is no way to the collector.
    #[error("no traces: {0}")]
    Otlp(String),
    /// Someone set up logs or metrics before.
    #[error("logs or metrics were already set up: {0}")]
    Twice(String),
}

/// Bounds of every histogram whose name ends in `_seconds`.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0];
/// Bounds of every histogram whose name ends in `_us`.
const MICROS: &[f64] =
    &[50.0, 100.0, 200.0, 400.0, 800.0, 1_600.0, 3_200.0, 6_400.0, 12_800.0, 16_667.0, 33_333.0, 100_000.0];
/// How often recorded samples are folded into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Sets up logs (to stderr), metrics and traces of this process. Call it inside a tokio runtime when there is a
/// collector, and [`flush`] before the runtime ends.
///
/// # Errors
/// The filter or the collector's address cannot be used, or this was done before.
pub fn init(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.filter).map_err(|_| TelemetryError::Filter(config.filter.clone()))?;
    let registry = tracing_subscriber::registry().with(filter);
    #[cfg(feature = "otlp")]
    let registry = {
        let layer = config.otlp_url.as_ref().map(|url| otlp::layer(url, config.service)).transpose();
        registry.with(layer.map_err(TelemetryError::Otlp)?)
    };
    #[cfg(not(feature = "otlp"))]
    if config.otlp_url.is_some() {
        return Err(TelemetryError::Otlp("this program was built without the feature `otlp`".to_owned()));
    }
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let set = match config.format {
        LogFormat::Text => registry.with(lines.with_target(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    set.map_err(|error| TelemetryError::Twice(error.to_string()))?;
    init_metrics()
}

/// Makes a span part of a trace, for the collector; do it before the span is entered. Log lines name the trace by the
/// span's own `trace_id`.
pub fn set_trace(span: &Span, trace: TraceId) {
    #[cfg(feature = "otlp")]
    otlp::set_trace(span, trace);
    #[cfg(not(feature = "otlp"))]
    let _ = (span, trace);
}

/// Sends the spans that wait; after it no more are sent. Takes at most 2 s.
#[cfg_attr(not(feature = "otlp"), expect(clippy::unused_async, reason = "without a collector nothing waits"))]
pub async fn flush() {
    #[cfg(feature = "otlp")]
    otlp::flush().await;
}

/// Sets up metrics only.
///
/// # Errors
/// This was done before.
pub fn init_metrics() -> Result<(), TelemetryError> {
    let twice = |error: &dyn std::fmt::Display| TelemetryError::Twice(error.to_string());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_us".to_owned()), MICROS))
        .map_err(|error| twice(&error))?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| twice(&error))?;
    let upkeep = handle.clone();
    let run = move || {
        loop {
            std::thread::sleep(UPKEEP);
            upkeep.run_upkeep();
        }
    };
    std::thread::Builder::new().name("metrics".to_owned()).spawn(run).map_err(|error| twice(&error))?;
    METRICS.set(handle).map_err(|_| twice(&"metrics"))
}

/// All metrics of this process in the Prometheus text format; empty without [`init`].
pub fn metrics_text() -> String {
    METRICS.get().map(PrometheusHandle::render).unwrap_or_default()
}
