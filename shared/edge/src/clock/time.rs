//! The time of a node for others: `GET /api/v1/time`, and how a node follows it.

use std::time::Duration;

use amphi_shared_wire::Micros;
use metrics::{Unit, describe_gauge, gauge};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Clock;
use crate::http::{Access, Method, Operation, Problem, Request, Response, Routes};

/// Where the time is told.
const PATH: &str = "/api/v1/time";
/// Questions at the start …
const FIRST_QUESTIONS: u32 = 8;
/// … at this interval …
const FIRST_EVERY: Duration = Duration::from_millis(50);
/// … and then at this one.
const EVERY: Duration = Duration::from_secs(10);
/// How long an answer may take. A slower one tells little.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// An answer. The asker knows when it asked and when it read this.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
struct Time {
    /// Changes when the clock is another one.
    clock_id: String,
    /// When the question arrived, unix µs.
    t1_us: u64,
    /// When the answer left, unix µs.
    t2_us: u64,
    /// How far this node's clock may be from the reference; absent while that is not known.
    error_us: Option<u64>,
}

/// `GET /api/v1/time`: the time of this node, with two of the four timestamps of a clock probe (`docs/wire.md`).
pub fn time_routes(clock: Clock) -> Routes {
    describe_gauge!(
        "clock_offset_us",
        Unit::Microseconds,
        "What is added to this node's clock to follow the reference"
    );
    describe_gauge!("clock_error_us", Unit::Microseconds, "How far this node's clock may be from the reference");
    export(&clock);
    let operation = Operation::new("service", "The time of this node")
        .detail("With two of the four timestamps of a clock probe.")
        .answer::<Time>();
    Routes::new().get(PATH, Access::Public, move |request| tell(clock, request)).describe(Method::Get, PATH, operation)
}

#[expect(clippy::unused_async, reason = "a handler is async")]
async fn tell(clock: Clock, _: Request) -> Result<Response, Problem> {
    let (t1_us, error_us) = (clock.now().0, clock.error_us());
    let time = Time { clock_id: format!("{:016x}", clock.id()), t1_us, t2_us: clock.now().0, error_us };
    Ok(Response::json(&time).with_header("cache-control", "no-store"))
}

/// Leads `clock` to that of the node at `base_url` (`http://host:port`), which should be the live role; never ends.
/// As long as there is no answer the offset stays as it is.
pub async fn follow(clock: Clock, base_url: String) {
    clock.led.begin();
    crate::listener::install_crypto();
    let http = match reqwest::Client::builder().no_proxy().timeout(ANSWER_TIME_MAX).build() {
        Ok(http) => http,
        Err(error) => return tracing::error!(%error, "the reference clock cannot be asked"),
    };
    let url = format!("{}{PATH}", base_url.trim_end_matches('/'));
    let mut answers = 0;
    loop {
        match ask(&clock, &http, &url).await {
            Ok(()) => answers += 1,
            Err(error) => tracing::debug!(error, url, "the reference clock did not answer"),
        }
        export(&clock);
        tokio::time::sleep(if (1..FIRST_QUESTIONS).contains(&answers) { FIRST_EVERY } else { EVERY }).await;
    }
}

async fn ask(clock: &Clock, http: &reqwest::Client, url: &str) -> Result<(), String> {
    let sent = clock.own();
    let response = http.get(url).send().await.and_then(reqwest::Response::error_for_status);
    // The head has arrived; the body is small and comes with it.
    let now = clock.own();
    let time: Time = response.map_err(|error| error.to_string())?.json().await.map_err(|error| error.to_string())?;
    let id = u64::from_str_radix(&time.clock_id, 16).map_err(|error| error.to_string())?;
    let error_us = time.error_us.ok_or("the node follows another one and has no answer yet")?;
    let peer = (Micros(time.t1_us), Micros(time.t2_us));
    clock.led.answer(|reference| reference.answer(id, error_us, sent, peer, now));
    Ok(())
}

fn export(clock: &Clock) {
    let own = clock.own();
    gauge!("clock_offset_us").set(clock.led.slew().offset_us(own) as f64);
    if let Some(error_us) = clock.error_us() {
        gauge!("clock_error_us").set(error_us as f64);
    }
}
