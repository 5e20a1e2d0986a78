//! The load: readers that check and time every message.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use tokio::sync::{Barrier, Semaphore};
use tokio::task::{JoinSet, LocalSet};

use super::{PAYLOAD_BYTES, Work};
use crate::harness::Server;
use crate::load::{Message, Socket};

/// Longest wait for the last message.
const PATIENCE: Duration = Duration::from_secs(120);
/// Readers that are being opened at the same time.
const OPENING_MAX: usize = 64;
const NUMBER_DIGITS: usize = 8;
const TIME_DIGITS: usize = 16;

/// What arrived, and how much later than it was published.
#[derive(Debug)]
pub(super) struct Arrivals {
    all_ms: Vec<f32>,
    /// Of each message, the first reader's.
    first_ms: Vec<f32>,
}

impl Arrivals {
    fn new(work: Work) -> Self {
        Self { all_ms: Vec::with_capacity(work.deliveries()), first_ms: vec![f32::MAX; work.messages()] }
    }

    /// Takes the message a reader expects as its number `number`.
    fn take(&mut self, number: usize, payload: &[u8]) -> anyhow::Result<()> {
        let text = std::str::from_utf8(payload)?;
        let digits = |from: usize, length: usize| text.get(from..from + length).context("a short message");
        let said: usize = digits(0, NUMBER_DIGITS)?.parse()?;
        ensure!(said == number, "message {said} came in place of {number}");
        let published_us: u64 = digits(NUMBER_DIGITS, TIME_DIGITS)?.parse()?;
        let late_ms = now_us().saturating_sub(published_us) as f32 / 1_000.0;
        self.all_ms.push(late_ms);
        let first = self.first_ms.get_mut(number).context("more messages than were published")?;
        *first = first.min(late_ms);
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.all_ms.len()
    }

    /// Smallest first.
    pub(super) fn all_ms(&self) -> Vec<f32> {
        sorted(&self.all_ms)
    }

    pub(super) fn first_ms(&self) -> Vec<f32> {
        sorted(&self.first_ms)
    }
}

fn sorted(values: &[f32]) -> Vec<f32> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f32::total_cmp);
    values
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// The message `number` of now.
pub(super) fn message(number: usize) -> String {
    let now = now_us();
    let text = format!("{number:0NUMBER_DIGITS$}{now:0TIME_DIGITS$}");
    format!("{text:x<PAYLOAD_BYTES$}")
}

/// Where the payload stands in a message of a server.
pub(super) type Payload = fn(&Bytes) -> Option<&[u8]>;

/// Opens all readers with `open`, which ends when one is subscribed, then lets `publish` begin, and waits until each has
/// every message. Returns the processor time of the server meanwhile, in ns, and what arrived.
pub(super) fn read<F, P>(
    server: &Server,
    work: Work,
    payload: Payload,
    open: impl Fn(usize) -> F,
    publish: P,
) -> anyhow::Result<(u64, Arrivals)>
where
    F: Future<Output = anyhow::Result<Socket>> + 'static,
    P: Future<Output = anyhow::Result<()>> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let arrivals = Rc::new(RefCell::new(Arrivals::new(work)));
        let (opening, everyone) = (Arc::new(Semaphore::new(OPENING_MAX)), Arc::new(Barrier::new(work.readers + 1)));
        let mut readers = JoinSet::new();
        for number in 0..work.readers {
            let (opening, everyone, arrivals) = (opening.clone(), everyone.clone(), arrivals.clone());
            let open = open(number);
            readers.spawn_local(async move {
                let turn = opening.acquire().await?;
                let socket = open.await?;
                drop(turn);
                everyone.wait().await;
                tokio::time::timeout(PATIENCE, count(socket, work.messages(), payload, &arrivals)).await?
            });
        }
        tokio::select! {
            _ = everyone.wait() => {}
            Some(ended) = readers.join_next() => ended??,
        }
        let before_ns = server.cpu_ns()?;
        let publishing = tokio::task::spawn_local(publish);
        while let Some(ended) = readers.join_next().await {
            ended??;
        }
        publishing.await??;
        let spent_ns = server.cpu_ns()?.saturating_sub(before_ns);
        let arrivals = Rc::into_inner(arrivals).context("a reader still counts")?.into_inner();
        Ok((spent_ns, arrivals))
    })
}

async fn count(
    mut socket: Socket,
    messages: usize,
    payload: Payload,
    arrivals: &RefCell<Arrivals>,
) -> anyhow::Result<()> {
    let mut number = 0;
    while number < messages {
        let message = match socket.next().await? {
            Message::Binary(message) | Message::Text(message) => message,
            Message::Closed(code) => bail!("a reader was closed after {number} of {messages} messages: {code:?}"),
        };
        if let Some(payload) = payload(&message) {
            arrivals.borrow_mut().take(number, payload)?;
            number += 1;
        }
    }
    Ok(())
}
