//! Brokers: who orders publications and keeps history, for one node or for many.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Context, Poll};

use amphi_shared_wire::Micros;
use amphi_shared_wire::proto::ServicePublication;
use amphi_streaming_core::{BrokerEvent, BrokerFault, BrokerRequest, Denied, MemoryBroker, Reach, Receipt};
use tokio::sync::oneshot;

/// A broker as its hub's owner drives it. Nothing here waits: each request but `Leave` is answered by an event, within
/// [`BROKER_ANSWER_MS_MAX`](amphi_shared_wire::limits::BROKER_ANSWER_MS_MAX).
pub trait Broker: Send {
    /// Takes a request.
    fn submit(&mut self, now: Micros, request: BrokerRequest);
    /// The next event.
    fn poll_event(&mut self) -> Option<BrokerEvent>;
    /// Ready when there is an event; else wakes the task when there may be one.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()>;
    /// Does what is due.
    fn handle_timeout(&mut self, now: Micros);
    /// When something is due.
    fn poll_timeout(&self) -> Option<Micros>;
    /// Topics that are held or followed here.
    fn topics(&self) -> usize;
}

impl Broker for MemoryBroker {
    fn submit(&mut self, now: Micros, request: BrokerRequest) {
        self.handle_request(now, request);
    }

    fn poll_event(&mut self) -> Option<BrokerEvent> {
        self.poll_event()
    }

    /// Its events are there when the request is taken.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn handle_timeout(&mut self, now: Micros) {
        self.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Micros> {
        self.poll_timeout().map(|(at, _)| at)
    }

    fn topics(&self) -> usize {
        self.topics()
    }
}

/// The brokers of one node: its own memory, and what it shares with others.
pub(crate) struct Brokers {
    memory: MemoryBroker,
    shared: Option<Box<dyn Broker>>,
    /// Events of the shared one that may still be taken in this turn.
    budget: usize,
}

/// Events of a shared broker taken before other things get their turn.
const BATCH: usize = 256;

impl Brokers {
    /// With nothing shared, memory is everything's broker.
    pub(crate) fn new(memory: MemoryBroker, shared: Option<Box<dyn Broker>>) -> Self {
        Self { memory, shared, budget: BATCH }
    }

    /// Other things have had their turn.
    pub(crate) fn begin_turn(&mut self) {
        self.budget = BATCH;
    }

    pub(crate) fn submit(&mut self, now: Micros, request: BrokerRequest) {
        match (&mut self.shared, request.reach()) {
            (Some(shared), Reach::Deployment) => shared.submit(now, request),
            (Some(_), Reach::Node) | (None, _) => self.memory.submit(now, request),
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<BrokerEvent> {
        if let Some(event) = self.memory.poll_event() {
            return Some(event);
        }
        let shared = self.shared.as_mut().filter(|_| self.budget > 0)?;
        let event = shared.poll_event();
        self.budget -= usize::from(event.is_some());
        event
    }

    /// Returns when there is an event.
    pub(crate) async fn ready(&mut self) {
        poll_fn(|context| self.shared.as_mut().map_or(Poll::Pending, |shared| shared.poll_ready(context))).await;
    }

    pub(crate) fn handle_timeout(&mut self, now: Micros) {
        self.memory.handle_timeout(now);
        if let Some(shared) = &mut self.shared {
            shared.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Micros> {
        let shared = self.shared.as_ref().and_then(|shared| shared.poll_timeout());
        [Broker::poll_timeout(&self.memory), shared].into_iter().flatten().min()
    }

    pub(crate) fn topics(&self) -> usize {
        Broker::topics(&self.memory) + self.shared.as_ref().map_or(0, |shared| shared.topics())
    }
}

/// What became of each publication of a batch.
pub(crate) type Receipts = Vec<Result<Receipt, Denied>>;

/// Publications without a session that wait for a broker's word, in batches.
#[derive(Default)]
pub(crate) struct Batches {
    open: BTreeMap<u64, Batch>,
    last: u64,
}

struct Batch {
    receipts: Receipts,
    missing: usize,
    reply: oneshot::Sender<Receipts>,
}

/// Bits of a ticket that number a publication within its batch: a body of `INTERNAL_BODY_BYTES_MAX` holds fewer.
const INDEX_BITS: u32 = 24;

impl Batches {
    /// Begins a batch: each publication with its ticket.
    pub(crate) fn begin(
        &mut self,
        publications: Vec<ServicePublication>,
        reply: oneshot::Sender<Receipts>,
    ) -> impl Iterator<Item = (u64, ServicePublication)> + use<> {
        self.last += 1;
        let (batch, count) = (self.last << INDEX_BITS, publications.len());
        if count == 0 {
            // The caller may have gone.
            let _ = reply.send(Vec::new());
        } else {
            let receipts = vec![Err(BrokerFault::Unavailable.denied()); count];
            self.open.insert(self.last, Batch { receipts, missing: count, reply });
        }
        (batch..).zip(publications)
    }

    /// What became of one; the last one answers the batch.
    pub(crate) fn end(&mut self, ticket: u64, receipt: Result<Receipt, Denied>) {
        let id = ticket >> INDEX_BITS;
        let Some(batch) = self.open.get_mut(&id) else { return };
        let index = (ticket & ((1 << INDEX_BITS) - 1)) as usize;
        if let Some(place) = batch.receipts.get_mut(index) {
            *place = receipt;
        }
        batch.missing -= 1;
        if batch.missing == 0
            && let Some(batch) = self.open.remove(&id)
        {
            // The caller may have gone; the publications stand.
            let _ = batch.reply.send(batch.receipts);
        }
    }
}
