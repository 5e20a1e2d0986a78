//! The scripts that run on the server, what they are given, and what they give back.

use std::fmt::Write;

use amphi_shared_wire::limits::{HISTORY_BYTES_MAX, IDEMPOTENCY_KEYS_MAX, STATE_ENTRIES_MAX};
use amphi_shared_wire::proto::Position;
use amphi_shared_wire::{AppId, Micros, Topic};
use amphi_streaming_core::{
    BrokerFault, EntryChange, HistoryKind, LogRules, LogView, Packed, PublishOrder, Receipt, TopicKey,
};
use redis::{FromRedisValue, Script, ScriptInvocation, Value};

/// Key of what the nodes know of the server.
pub(super) const SERVER: &str = "amphi:server";
const CHANNEL: &str = "amphi:t:";
/// Channel of what nodes tell each other about a topic, and of what they tell all.
const TOLD_CHANNEL: &str = "amphi:p:";
pub(super) const NODES_CHANNEL: &str = "amphi:n";
/// How much longer than its class says a topic is kept, ms: for as long Redis may be away without a reset.
const GRACE_MS: u64 = 60_000;

/// How long the keys of a topic that holds nothing live, ms; `EMPTY_TTL` in `open.lua`.
pub(super) const EMPTY_TTL_MS: u64 = 75_000;

/// The scripts, by their hash.
pub(super) struct Scripts {
    pub(super) hello: Script,
    publish: Script,
    read: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let with_open = |script: &str| Script::new(&format!("{}{script}", include_str!("open.lua")));
        Self {
            hello: Script::new(include_str!("hello.lua")),
            publish: with_open(include_str!("publish.lua")),
            read: with_open(include_str!("read.lua")),
        }
    }

    pub(super) fn all(&self) -> [&Script; 3] {
        [&self.hello, &self.publish, &self.read]
    }

    pub(super) fn publish(&self, order: &PublishOrder, fresh: u64) -> ScriptInvocation<'_> {
        let PublishOrder { topic, rules, record, once, .. } = order;
        let (key, fingerprint) = once.as_ref().map_or(("", 0), |once| (once.key.as_str(), once.fingerprint));
        let change = record.entry.as_ref().map_or_else(String::new, |EntryChange { key, removes }| {
            format!("{}{key}", if *removes { '-' } else { '+' })
        });
        let mut call = self.publish.prepare_invoke();
        keys(&mut call, topic);
        call.arg(channel(topic)).arg(fresh).arg(ttl_ms(rules));
        call.arg(record.flags).arg(record.at.0).arg(change).arg(&record.payload[..]);
        call.arg(key).arg(fingerprint).arg(kind(rules));
        call.arg(rules.history.messages_max).arg(rules.history.bytes_max).arg(rules.history.age.0);
        call.arg(IDEMPOTENCY_KEYS_MAX).arg(STATE_ENTRIES_MAX).arg(HISTORY_BYTES_MAX);
        call
    }

    pub(super) fn read(
        &self,
        (topic, rules): (&TopicKey, &LogRules),
        since: Option<Position>,
        (now, fresh): (Micros, u64),
    ) -> ScriptInvocation<'_> {
        let (epoch, offset) =
            since.map_or_else(Default::default, |since| (since.epoch.to_string(), since.offset.to_string()));
        let mut call = self.read.prepare_invoke();
        keys(&mut call, topic);
        call.arg(fresh).arg(ttl_ms(rules)).arg(epoch).arg(offset).arg(now.0).arg(rules.history.age.0);
        call
    }
}

/// The three keys of a topic.
pub(super) fn topic_keys(TopicKey { app, name }: &TopicKey) -> [String; 3] {
    let base = format!("amphi:{{{app}/{name}}}");
    [base.clone(), format!("{base}:h"), format!("{base}:v")]
}

fn keys(call: &mut ScriptInvocation<'_>, topic: &TopicKey) {
    for key in topic_keys(topic) {
        call.key(key);
    }
    call.key(SERVER);
}

pub(super) fn ttl_ms(rules: &LogRules) -> u64 {
    rules.idle.as_millis() + GRACE_MS
}

fn kind(rules: &LogRules) -> &'static str {
    match rules.history.kind {
        HistoryKind::Stream => "stream",
        HistoryKind::Keyframes => "keyframes",
        HistoryKind::State => "state",
    }
}

/// The channel of a topic's records.
pub(super) fn channel(topic: &TopicKey) -> String {
    channel_of(CHANNEL, topic)
}

/// The channel of what nodes tell each other about a topic.
pub(super) fn told_channel(topic: &TopicKey) -> String {
    channel_of(TOLD_CHANNEL, topic)
}

fn channel_of(kind: &str, TopicKey { app, name }: &TopicKey) -> String {
    let mut channel = kind.to_owned();
    // Writing to a string does not fail.
    let _ = write!(channel, "{app}/{name}");
    channel
}

/// What a channel carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    /// Records of a topic.
    Records(TopicKey),
    /// What a node tells about a topic, or all nodes.
    Told(Option<TopicKey>),
}

/// What a channel of ours carries.
pub(super) fn carries(channel: &[u8]) -> Option<Carries> {
    let channel = std::str::from_utf8(channel).ok()?;
    let topic = |rest: &str| {
        let (app, name) = rest.split_once('/')?;
        Some(TopicKey { app: app.parse::<AppId>().ok()?, name: name.parse::<Topic>().ok()? })
    };
    if channel == NODES_CHANNEL {
        return Some(Carries::Told(None));
    }
    match channel.strip_prefix(CHANNEL) {
        Some(rest) => topic(rest).map(Carries::Records),
        None => topic(channel.strip_prefix(TOLD_CHANNEL)?).map(|topic| Carries::Told(Some(topic))),
    }
}

/// What `publish.lua` says: where it stands, and the newest number of the server.
pub(super) fn receipt(answer: &Value) -> Option<Result<(Receipt, u64), BrokerFault>> {
    let words = Vec::<String>::from_redis_value_ref(answer).ok()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Some(match words.as_slice() {
        ["reused"] => Err(BrokerFault::KeyReused),
        ["full"] => Err(BrokerFault::Full),
        [what @ ("published" | "duplicate"), epoch, offset, number] => {
            let (epoch, offset) = (epoch.parse().ok()?, offset.parse().ok()?);
            Ok((Receipt { epoch, offset, duplicate: *what == "duplicate" }, number.parse().ok()?))
        }
        _ => return None,
    })
}

/// What `read.lua` says, and the newest number among its records.
pub(super) fn view(answer: &Value) -> Option<(LogView, u64)> {
    type Answer = (String, String, String, Vec<Vec<u8>>, Vec<Vec<u8>>);
    let (epoch, newest, since, records, state) = Answer::from_redis_value_ref(answer).ok()?;
    let unpack_all = |packed: Vec<Vec<u8>>| packed.iter().map(|bytes| Packed::read(bytes)).collect::<Option<Vec<_>>>();
    let (records, mut state) = (unpack_all(records)?, unpack_all(state)?);
    let number = records.iter().map(|packed| packed.number).max().unwrap_or(0);
    state.sort_unstable_by_key(|packed| packed.record.offset);
    let plain = |packed: Vec<Packed>| packed.into_iter().map(|packed| packed.record).collect();
    let (epoch, newest) = (epoch.parse().ok()?, newest.parse().ok()?);
    Some((LogView { epoch, newest, since: since == "1", records: plain(records), state: plain(state) }, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_know_the_same_numbers() {
        assert!(include_str!("open.lua").contains(&format!("EMPTY_TTL = {EMPTY_TTL_MS}\n")));
    }

    #[test]
    fn a_channel_names_its_topic() {
        let topic = TopicKey { app: AppId::default(), name: "match:m:chat".parse().unwrap() };
        assert_eq!(carries(channel(&topic).as_bytes()), Some(Carries::Records(topic.clone())));
        assert_eq!(carries(told_channel(&topic).as_bytes()), Some(Carries::Told(Some(topic))));
        assert_eq!(carries(NODES_CHANNEL.as_bytes()), Some(Carries::Told(None)));
        assert_eq!(carries(b"amphi:t:x"), None);
        assert_eq!(carries(b"other"), None);
    }
}
