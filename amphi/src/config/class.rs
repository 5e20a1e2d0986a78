//! Classes of topics as the settings write them: `[[live.class]]`.

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::{
    ENTRY_BYTES_MAX, HISTORY_AGE_S_MAX, HISTORY_BYTES_MAX, HISTORY_MESSAGES_MAX, PUBLISH_BYTES_MAX,
    SEND_QUEUE_AGE_MS_MAX, SEND_QUEUE_BYTES_MAX, TOPIC_IDLE_S_MAX,
};
use amphi_streaming_node::{
    Access, Content, HistoryKind, HistoryLimits, Pace, PresenceRules, Role, SlowReader, TopicClass,
};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// What holds for every topic below a prefix. `docs/operating.md` explains each key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Class {
    /// `news` fits `news` and `news:…`; a part may be `*`.
    pub(crate) prefix: String,
    /// A role (`guest`, `user`, `editor`, `moderator`, `operator`), `token`, or `service`.
    #[serde(default = "guest")]
    pub(crate) subscribe: String,
    /// The same.
    #[serde(default = "service")]
    pub(crate) publish: String,
    /// Who may see who reads; without it nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) presence: Option<String>,
    /// Whether they are told of each who joins and leaves.
    #[serde(default)]
    pub(crate) joins: bool,
    #[serde(default)]
    pub(crate) kind: Kind,
    /// What a person publishes.
    #[serde(default)]
    pub(crate) content: Says,
    /// Member of the JSON object that names an entry, or what is conflated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Publications kept.
    #[serde(default = "hundred")]
    pub(crate) history: usize,
    /// KiB of them.
    #[serde(default = "quarter_mib")]
    pub(crate) history_kib: usize,
    /// Age of the oldest, s.
    #[serde(default = "day")]
    pub(crate) history_age_s: u64,
    /// Publications that a newcomer of a `stream` gets.
    #[serde(default)]
    pub(crate) newcomer: usize,
    /// Whether who returns gets what was missed.
    #[serde(default = "yes")]
    pub(crate) recovery: bool,
    /// Publications of one person per 10 s, and at once.
    #[serde(default = "ten")]
    pub(crate) publish_per_10_s: u32,
    /// Bytes of one publication by a person.
    #[serde(default = "publish_bytes")]
    pub(crate) message_bytes_max: usize,
    #[serde(default)]
    pub(crate) slow: Slow,
    /// KiB that may wait for one reader.
    #[serde(default = "queue_kib")]
    pub(crate) slow_kib: usize,
    /// How long one may wait, ms, in a `reliable` class.
    #[serde(default = "queue_age")]
    pub(crate) slow_age_ms: u64,
    /// How long a topic that nobody uses is kept, s.
    #[serde(default = "day")]
    pub(crate) idle_s: u64,
}

/// What a newcomer gets.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The last publications.
    #[default]
    Stream,
    /// The last one.
    Cache,
    /// The newest of each entry.
    State,
}

/// What a person publishes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Says {
    /// Whatever is well-formed.
    #[default]
    Any,
    /// Lines of text; the server adds who said it and when.
    Chat,
}

/// What becomes of slow readers.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Slow {
    #[default]
    Reliable,
    Latest,
    Lossy,
}

fn guest() -> String {
    "guest".to_owned()
}

fn service() -> String {
    "service".to_owned()
}

const fn hundred() -> usize {
    100
}

const fn quarter_mib() -> usize {
    256
}

const fn day() -> u64 {
    24 * 3_600
}

const fn yes() -> bool {
    true
}

const fn ten() -> u32 {
    10
}

const fn publish_bytes() -> usize {
    PUBLISH_BYTES_MAX
}

const fn queue_kib() -> usize {
    SEND_QUEUE_BYTES_MAX >> 10
}

const fn queue_age() -> u64 {
    SEND_QUEUE_AGE_MS_MAX
}

impl Class {
    /// The class in the live role's terms. An error names the class, the key and what would be right.
    pub(crate) fn build(&self) -> Result<TopicClass> {
        self.checked().with_context(|| format!("live.class `{}`", self.prefix))
    }

    fn checked(&self) -> Result<TopicClass> {
        let pattern = format!("{}:**", self.prefix).parse().context("prefix: write parts as in `news` or `room:*`")?;
        self.check_numbers()?;
        if self.kind == Kind::State {
            ensure!(self.key.is_some(), "key: a `state` needs the name of the JSON member that names an entry");
        }
        if let Some(key) = &self.key {
            ensure!((1..=ENTRY_BYTES_MAX).contains(&key.len()), "key: write a name of 1 to {ENTRY_BYTES_MAX} bytes");
        }
        let is_chat = self.content == Says::Chat;
        ensure!(!is_chat || self.kind == Kind::Stream, "content: `chat` is for the kind `stream`");
        ensure!(!self.joins || self.presence.is_some(), "joins: say with `presence` who is told");
        let messages_max = if self.kind == Kind::Cache { 1 } else { self.history };
        let presence = self.presence.as_deref().map(|see| access("presence", see)).transpose()?;
        Ok(TopicClass {
            subscribe: access("subscribe", &self.subscribe)?,
            publish: access("publish", &self.publish)?,
            presence: presence.map(|see| PresenceRules { see, joins: self.joins }),
            content: if is_chat { Content::ChatLine } else { Content::Any },
            message_bytes_max: self.message_bytes_max,
            pace: Pace {
                interval: Micros(10_000_000 / u64::from(self.publish_per_10_s)),
                burst: self.publish_per_10_s,
            },
            key: self.key.clone(),
            history: HistoryLimits {
                messages_max,
                bytes_max: self.history_kib << 10,
                age: Micros::from_secs(self.history_age_s),
                kind: if self.kind == Kind::State { HistoryKind::State } else { HistoryKind::Stream },
            },
            newcomer_messages: if self.kind == Kind::Cache { 1 } else { self.newcomer },
            recovery: self.recovery,
            slow: self.slow_reader(),
            idle: Micros::from_secs(self.idle_s),
            ..TopicClass::new(pattern)
        })
    }

    fn check_numbers(&self) -> Result<()> {
        let numbers = [
            ("history", self.history as u64, 0, HISTORY_MESSAGES_MAX as u64),
            ("history_kib", self.history_kib as u64, 1, HISTORY_BYTES_MAX as u64 >> 10),
            ("history_age_s", self.history_age_s, 1, HISTORY_AGE_S_MAX),
            ("newcomer", self.newcomer as u64, 0, self.history as u64),
            ("publish_per_10_s", u64::from(self.publish_per_10_s), 1, 10_000),
            ("message_bytes_max", self.message_bytes_max as u64, 1, PUBLISH_BYTES_MAX as u64),
            ("slow_kib", self.slow_kib as u64, 1, SEND_QUEUE_BYTES_MAX as u64 >> 10),
            ("slow_age_ms", self.slow_age_ms, 1, SEND_QUEUE_AGE_MS_MAX),
            ("idle_s", self.idle_s, 1, TOPIC_IDLE_S_MAX),
        ];
        for (key, value, min, max) in numbers {
            ensure!((min..=max).contains(&value), "{key}: {value} is not {min} to {max}");
        }
        Ok(())
    }

    fn slow_reader(&self) -> SlowReader {
        let bytes_max = self.slow_kib << 10;
        match self.slow {
            Slow::Reliable => SlowReader::Reliable { bytes_max, age_max: Micros::from_millis(self.slow_age_ms) },
            Slow::Latest => SlowReader::Latest { bytes_max },
            Slow::Lossy => SlowReader::Lossy { bytes_max },
        }
    }
}

fn access(key: &str, who: &str) -> Result<Access> {
    Ok(match who {
        "guest" => Access::People(Role::Guest),
        "user" => Access::People(Role::User),
        "editor" => Access::People(Role::Editor),
        "moderator" => Access::People(Role::Moderator),
        "operator" => Access::People(Role::Operator),
        "token" => Access::Token,
        "service" => Access::Service,
        _ => bail!("{key}: `{who}` is none of guest, user, editor, moderator, operator, token and service"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<TopicClass> {
        toml::from_str::<Class>(toml)?.build()
    }

    #[test]
    fn a_prefix_is_enough() {
        let class = read("prefix = 'news'").unwrap();
        assert_eq!(class, TopicClass { pace: class.pace, ..TopicClass::new("news:**".parse().unwrap()) });
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (toml, words) in [
            ("prefix = 'News'", "live.class `News`: prefix"),
            ("prefix = 'a'\npublish = 'everyone'", "publish: `everyone` is none of guest"),
            ("prefix = 'a'\nhistory = 10000", "history: 10000 is not 0 to 512"),
            ("prefix = 'a'\nnewcomer = 101", "newcomer: 101 is not 0 to 100"),
            ("prefix = 'a'\nkind = 'state'", "key: a `state` needs"),
            ("prefix = 'a'\nkind = 'cache'\ncontent = 'chat'", "content: `chat` is for the kind `stream`"),
            ("prefix = 'a'\njoins = true", "joins: say with `presence`"),
            ("prefix = 'a'\nslow = 'never'", "never"),
            ("prefix = 'a'\nslwo = 'lossy'", "slwo"),
        ] {
            let error = format!("{:#}", read(toml).unwrap_err());
            assert!(error.contains(words), "{toml}: {error}");
        }
    }

    #[test]
    fn the_documented_example_works() {
        let guide = include_str!("../../../docs/guides/topics.md");
        let toml = guide.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("amphi.toml");
        std::fs::write(&file, toml).unwrap();
        let settings = crate::config::Settings::read(Some(&file), &[]).unwrap();
        let classes = settings.live_config().unwrap().hub.classes;
        assert!(classes.len() > 6, "the built-in ones come first");
        assert!(classes[0].pattern.matches(&"match:m:chat".parse().unwrap()));
    }
}
