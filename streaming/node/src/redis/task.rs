//! The task: connects, says what it knows, calls, hears, and starts anew when the connection ends.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_wire::limits::{BROKER_ANSWER_MS_MAX, BROKER_CALLS_MAX, FRAME_BYTES_MAX};
use amphi_shared_wire::proto::Position;
use amphi_shared_wire::{Micros, Rng, Seed};
use amphi_streaming_core::{BrokerEvent, BrokerFault, BrokerRequest, LogRules, Packed, PublishOrder, TopicKey};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, InfoDict, PushInfo, PushKind, RedisError, Value};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::script::{
    Carries, EMPTY_TTL_MS, NODES_CHANNEL, SERVER, Scripts, carries, channel, receipt, told_channel, topic_keys, ttl_ms,
    view,
};
use super::{Asked, Heard};
use crate::metrics;

const ANSWER_MAX: Duration = Duration::from_millis(BROKER_ANSWER_MS_MAX);
/// Time between two tries to connect: from this, doubled each time, to that.
const CONNECT_AFTER: Duration = Duration::from_millis(50);
const CONNECT_AFTER_MAX: Duration = Duration::from_secs(1);
/// How often the server is asked whether it is there, and topics are looked at whose keys are to be renewed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Keys are renewed when this part of their time is over.
const RENEW_PART: u64 = 3;
/// Topics whose keys are renewed by one call.
const RENEW_MAX: usize = 4_096;
/// Calls of the task itself at a time.
const OWN_CALLS_MAX: usize = 8;
/// The oldest version whose scripts and RESP3 this relies on.
const VERSION_MIN: u32 = 7;

/// A call on its way: what comes of it, or nothing for a call of our own.
type Call = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What came of a call.
struct Answer {
    event: Option<BrokerEvent>,
    /// The highest number of a publication that it showed.
    number: u64,
    failed: Option<RedisError>,
}

/// A server as a node knew it last.
#[derive(Clone, Debug, Default)]
struct Known {
    run: String,
    /// The highest number of a publication that was seen there.
    number: u64,
}

/// A topic that is followed.
struct Followed {
    ttl_ms: u64,
    renew_at: Instant,
}

/// The task of a broker.
pub(super) struct Task {
    client: Client,
    scripts: Arc<Scripts>,
    said: UnboundedSender<BrokerEvent>,
    heard: Arc<Heard>,
    epochs: Rng,
    known: Known,
    /// The highest number among pushes.
    pushed: watch::Sender<u64>,
    followed: BTreeMap<TopicKey, Followed>,
}

/// A connection and what says that it is over.
struct Line {
    connection: MultiplexedConnection,
    over: watch::Receiver<bool>,
}

impl Task {
    pub(super) fn new(client: Client, said: UnboundedSender<BrokerEvent>, (heard, seed): (Arc<Heard>, Seed)) -> Self {
        Self {
            client,
            scripts: Arc::new(Scripts::new()),
            said,
            heard,
            epochs: seed.split("redis epochs").rng(),
            known: Known::default(),
            pushed: watch::Sender::new(0),
            followed: BTreeMap::new(),
        }
    }

    pub(super) async fn run(mut self, mut asked: UnboundedReceiver<Asked>, shutdown: Shutdown) {
        let (mut wait, said) = (CONNECT_AFTER, self.said.clone());
        loop {
            let connecting = tokio::select! {
                line = self.connect() => line,
                () = refuse_all(&said, &mut asked) => return,
                () = shutdown.wait_stop() => return,
            };
            match connecting {
                Ok(line) => {
                    tracing::info!(run = self.known.run, "connected to Redis");
                    metrics::broker_connected(true);
                    wait = CONNECT_AFTER;
                    self.say(BrokerEvent::Unsure);
                    let ended = tokio::select! {
                        // Calls go out in the order of their first poll. A budget that ends among them would turn it round.
                        ended = unconstrained(self.serve(line, &mut asked)) => ended,
                        () = shutdown.wait_stop() => return,
                    };
                    self.forget();
                    metrics::broker_connected(false);
                    let Err(error) = ended else { return };
                    tracing::warn!(%error, "the connection to Redis ended");
                }
                Err(error) => tracing::warn!(%error, "Redis does not answer"),
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = refuse_all(&said, &mut asked) => return,
                () = shutdown.wait_stop() => return,
            }
            wait = (wait * 2).min(CONNECT_AFTER_MAX);
        }
    }

    /// Connects, and says what this node has seen, so that a server that lost some of it begins new epochs.
    async fn connect(&mut self) -> Result<Line, RedisError> {
        let (said, heard, pushed) = (self.said.clone(), Arc::clone(&self.heard), self.pushed.clone());
        let (ending, over) = watch::channel(false);
        let listen = move |push: PushInfo| {
            if push.kind == PushKind::Message {
                hear(&push.data, &said, (&heard, &pushed));
            } else if push.kind == PushKind::Disconnection {
                ending.send_replace(true);
            }
            Ok::<(), ()>(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_MAX))
            .set_response_timeout(Some(ANSWER_MAX))
            // A call that waited for room would be overtaken by a later one.
            .set_pipeline_buffer_size(BROKER_CALLS_MAX + OWN_CALLS_MAX)
            .set_push_sender(listen);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let info: InfoDict = redis::cmd("INFO").query_async(&mut connection).await?;
        let version: String = info.get("redis_version").unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < VERSION_MIN) {
            let text = format!("version {version} runs there; {VERSION_MIN} or newer is needed");
            return Err((redis::ErrorKind::Client, "the server is too old", text).into());
        }
        let run: String = info.get("run_id").unwrap_or_default();
        let durable = info.get::<u32>("aof_enabled") == Some(1);
        for script in self.scripts.all() {
            script.load_async(&mut connection).await?;
        }
        self.known.number = self.known.number.max(*self.pushed.borrow());
        let mut hello = self.scripts.hello.key(SERVER);
        hello.arg(&run).arg(u8::from(durable)).arg(&self.known.run).arg(self.known.number);
        let number: u64 = hello.invoke_async(&mut connection).await?;
        self.known = Known { run, number };
        self.pushed.send_replace(number);
        connection.subscribe(NODES_CHANNEL).await?;
        Ok(Line { connection, over })
    }

    /// Calls until the connection is over, or (`Ok`) nobody asks any more. All calls are answered then.
    async fn serve(
        &mut self,
        Line { connection, mut over }: Line,
        asked: &mut UnboundedReceiver<Asked>,
    ) -> Result<(), RedisError> {
        let mut calls: FuturesUnordered<Call> = FuturesUnordered::new();
        let mut looking = interval(LOOK_EVERY);
        looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failed = None;
        while failed.is_none() || !calls.is_empty() {
            let takes = failed.is_none() && calls.len() < BROKER_CALLS_MAX;
            tokio::select! {
                Some(answer) = calls.next() => {
                    failed = failed.or(self.take(answer));
                }
                request = asked.recv(), if takes => match request {
                    Some(request) => calls.extend(self.call(request, &connection)),
                    None => return Ok(()),
                },
                _ = over.wait_for(|over| *over), if failed.is_none() => failed = Some(gone()),
                _ = looking.tick(), if failed.is_none() => calls.push(self.look(&connection)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn call(&mut self, (now, request): Asked, connection: &MultiplexedConnection) -> Option<Call> {
        let (connection, scripts, fresh) = (connection.clone(), Arc::clone(&self.scripts), self.epochs.next_u64());
        match request {
            BrokerRequest::Publish(order) => Some(Box::pin(publish(connection, scripts, (order, fresh)))),
            BrokerRequest::Read { topic, rules, since } => {
                let subscribes = self.follow(&topic, &rules);
                Some(Box::pin(read((connection, subscribes), scripts, (topic, rules), (since, now, fresh))))
            }
            BrokerRequest::Leave { topic, rules } => {
                self.followed.remove(&topic)?;
                self.count_followed();
                Some(Box::pin(leave(connection, (topic, rules))))
            }
            BrokerRequest::Tell { topic, message } => Some(Box::pin(tell(connection, (topic, message)))),
        }
    }

    /// True when the topic was not followed before.
    fn follow(&mut self, topic: &TopicKey, rules: &LogRules) -> bool {
        let ttl_ms = ttl_ms(rules);
        let followed = Followed { ttl_ms, renew_at: renewed(ttl_ms) };
        let is_new = self.followed.insert(topic.clone(), followed).is_none();
        self.count_followed();
        is_new
    }

    /// Asks whether the server is there, and renews the keys of topics that are followed.
    fn look(&mut self, connection: &MultiplexedConnection) -> Call {
        let now = Instant::now();
        let mut pipe = redis::pipe();
        pipe.cmd("PING").ignore();
        let due = self.followed.iter_mut().filter(|(_, followed)| followed.renew_at <= now).take(RENEW_MAX);
        for (topic, followed) in due {
            followed.renew_at = renewed(followed.ttl_ms);
            for key in topic_keys(topic) {
                // Never shorter than a publication has made it.
                pipe.cmd("PEXPIRE").arg(key).arg(followed.ttl_ms).arg("GT").ignore();
            }
        }
        let mut connection = connection.clone();
        Box::pin(async move {
            let failed = pipe.query_async::<()>(&mut connection).await.err();
            Answer { event: None, number: 0, failed }
        })
    }

    /// Takes an answer; what failed when the connection is of no use any more.
    fn take(&mut self, Answer { event, number, failed }: Answer) -> Option<RedisError> {
        self.known.number = self.known.number.max(number);
        if let Some(event) = event {
            self.shorten(&event);
            self.say(event);
        }
        let failed = failed?;
        let over = failed.is_io_error() || failed.is_connection_dropped() || failed.is_unrecoverable_error();
        if !over {
            tracing::warn!(error = %failed, "Redis refused a call");
        }
        over.then_some(failed)
    }

    /// The keys of a topic that holds nothing live shorter, so they are renewed more often.
    fn shorten(&mut self, event: &BrokerEvent) {
        let BrokerEvent::Read { topic, view: Ok(view) } = event else { return };
        if let Some(followed) = self.followed.get_mut(topic)
            && view.records.is_empty()
            && view.state.is_empty()
        {
            followed.ttl_ms = followed.ttl_ms.min(EMPTY_TTL_MS);
            followed.renew_at = renewed(followed.ttl_ms);
        }
    }

    fn forget(&mut self) {
        self.followed.clear();
        self.count_followed();
    }

    fn count_followed(&self) {
        self.heard.followed.store(self.followed.len(), Ordering::Relaxed);
    }

    fn say(&self, event: BrokerEvent) {
        // The hub's owner may have ended before this task hears of it.
        let _ = self.said.send(event);
    }
}

/// Answers requests without a server. Returns when nobody asks any more.
async fn refuse_all(said: &UnboundedSender<BrokerEvent>, asked: &mut UnboundedReceiver<Asked>) {
    while let Some((_, request)) = asked.recv().await {
        let event = match request {
            BrokerRequest::Read { topic, .. } => BrokerEvent::Read { topic, view: Err(BrokerFault::Unavailable) },
            BrokerRequest::Publish(PublishOrder { ticket, .. }) => {
                BrokerEvent::Published { ticket, receipt: Err(BrokerFault::Unavailable) }
            }
            BrokerRequest::Leave { .. } | BrokerRequest::Tell { .. } => continue,
        };
        // The hub's owner may have ended before this task hears of it.
        let _ = said.send(event);
    }
}

/// A publication of a topic that is followed, or what a node tells.
fn hear(data: &[Value], said: &UnboundedSender<BrokerEvent>, (heard, pushed): (&Heard, &watch::Sender<u64>)) {
    let [Value::BulkString(channel), Value::BulkString(message)] = data else { return };
    let event = match carries(channel) {
        Some(Carries::Records(topic)) => Packed::read(message).map(|Packed { epoch, number: newest, record }| {
            pushed.send_if_modified(|number| {
                let is_newer = newest > *number;
                *number = newest.max(*number);
                is_newer
            });
            BrokerEvent::Publication { topic, epoch, record }
        }),
        // A frame is the largest message that a node makes.
        Some(Carries::Told(topic)) if message.len() <= FRAME_BYTES_MAX => {
            Some(BrokerEvent::Told { topic, message: message.clone().into() })
        }
        Some(Carries::Told(_)) | None => None,
    };
    let Some(event) = event else {
        return tracing::warn!("a message on a channel of topics could not be read");
    };
    if heard.claim() {
        // As above.
        let _ = said.send(event);
    } else {
        metrics::broker_dropped();
    }
}

async fn publish(
    mut connection: MultiplexedConnection,
    scripts: Arc<Scripts>,
    (order, fresh): (PublishOrder, u64),
) -> Answer {
    let answer: Result<Value, RedisError> = scripts.publish(&order, fresh).invoke_async(&mut connection).await;
    let told = answer.and_then(|value| receipt(&value).ok_or_else(unreadable));
    let (receipt, number, failed) = match told {
        Ok(Ok((receipt, number))) => (Ok(receipt), number, None),
        Ok(Err(fault)) => (Err(fault), 0, None),
        Err(error) => (Err(BrokerFault::Unavailable), 0, Some(error)),
    };
    Answer { event: Some(BrokerEvent::Published { ticket: order.ticket, receipt }), number, failed }
}

async fn read(
    (mut connection, subscribes): (MultiplexedConnection, bool),
    scripts: Arc<Scripts>,
    (topic, rules): (TopicKey, LogRules),
    (since, now, fresh): (Option<Position>, Micros, u64),
) -> Answer {
    // First, so that no publication lies between what is read and what is heard.
    let subscribed = if subscribes { connection.subscribe(channels(&topic, &rules)).await } else { Ok(()) };
    let answer: Result<Value, RedisError> = match subscribed {
        Ok(()) => scripts.read((&topic, &rules), since, (now, fresh)).invoke_async(&mut connection).await,
        Err(error) => Err(error),
    };
    let told = answer.and_then(|value| view(&value).ok_or_else(unreadable));
    let (view, number, failed) = match told {
        Ok((view, number)) => (Ok(view), number, None),
        Err(error) => (Err(BrokerFault::Unavailable), 0, Some(error)),
    };
    Answer { event: Some(BrokerEvent::Read { topic, view }), number, failed }
}

async fn leave(mut connection: MultiplexedConnection, (topic, rules): (TopicKey, LogRules)) -> Answer {
    Answer { event: None, number: 0, failed: connection.unsubscribe(channels(&topic, &rules)).await.err() }
}

/// What nobody hears is lost, so an error is the connection's alone.
async fn tell(mut connection: MultiplexedConnection, (topic, message): (Option<TopicKey>, Bytes)) -> Answer {
    let channel = topic.as_ref().map_or_else(|| NODES_CHANNEL.to_owned(), told_channel);
    let told: Result<(), RedisError> = connection.publish(channel, &message[..]).await;
    Answer { event: None, number: 0, failed: told.err() }
}

/// The channels of a topic that is followed.
fn channels(topic: &TopicKey, rules: &LogRules) -> Vec<String> {
    let told = rules.presence.then(|| told_channel(topic));
    std::iter::once(channel(topic)).chain(told).collect()
}

fn renewed(ttl_ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ttl_ms / RENEW_PART)
}

fn gone() -> RedisError {
    (redis::ErrorKind::Io, "the server closed the connection").into()
}

fn unreadable() -> RedisError {
    (redis::ErrorKind::Parse, "an answer could not be read").into()
}
