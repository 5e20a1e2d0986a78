//! The command line: one binary, many roles.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::schema::Language;

/// An authoritative game server and the live audience around it.
#[derive(Debug, Parser)]
#[command(name = "amphi", version, about, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Settings come from defaults, then ./amphi.toml, then AMPHI_* variables, then flags.\n\
    A nested key is written with two underscores: AMPHI_FLEET__HOSTS_MAX=2.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Settings file; the default is ./amphi.toml when it exists
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What this process is.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything: page, live, match and fleet roles here, match hosts as child processes
    Up(Common),
    /// Run the live role: page, home sessions, topics, chat, sign-in
    Live(Live),
    /// Run the match role: queue, ratings, seats
    Match(Match),
    /// Run the fleet role: allocates matches to hosts and runs the hosts
    Fleet(Fleet),
    /// Run a match host (started by a fleet, which writes its lease to standard input)
    Game,
    /// Manage the people who operate this deployment
    User {
        #[command(subcommand)]
        command: User,
    },
    /// Make and end the tokens of clients
    Token {
        #[command(subcommand)]
        command: Token,
    },
    /// Make, list and revoke the API keys of services
    Key {
        #[command(subcommand)]
        command: Key,
    },
    /// Show other languages what this game sends and takes
    Schema {
        #[command(subcommand)]
        command: Schema,
    },
    /// Make code tables from recorded matches: snapshots take fewer bytes
    Tables {
        #[command(subcommand)]
        command: Tables,
    },
    /// Create a project: a small game of your own that runs as it is
    New(New),
    /// Print the settings as they apply, as TOML
    Config(Common),
}

/// What to do with the schema.
#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// Print components, input, events and requests with units, ranges and bits as JSON
    Export {
        /// File to write instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print types with readers and writers in a language
    Generate {
        /// The language
        #[arg(long, value_enum)]
        lang: Language,
        /// File to write instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// What to do with code tables.
#[derive(Debug, Subcommand)]
pub(crate) enum Tables {
    /// Learn how this game's components move, and write tables for `app.tables(include_bytes!(…))`
    Train(Train),
}

/// Where tables are learned from.
#[derive(Args, Debug)]
pub(crate) struct Train {
    /// File to write
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Journals of this build's matches, or directories of them; without any, matches are played with bots on all seats
    #[arg(value_name = "JOURNAL")]
    pub(crate) journals: Vec<PathBuf>,
    /// Matches with bots to play
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) matches: u64,
    /// Their length in seconds
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub(crate) seconds: u32,
    /// Their mode [default: the one with most seats]
    #[arg(long, value_name = "MODE")]
    pub(crate) mode: Option<String>,
    /// Their ticks per second
    #[arg(long, value_name = "HZ", default_value_t = 60)]
    pub(crate) tick_hz: u32,
}

/// A project to create.
#[derive(Args, Debug)]
pub(crate) struct New {
    /// Name of game and directory: lower-case letters, digits and `-`, beginning with a letter
    pub(crate) name: String,
    /// Directory of Amphi's source to build against, when it is not a published version
    #[arg(long, value_name = "DIR")]
    pub(crate) amphi: Option<PathBuf>,
}

/// Flags of every role.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// Address of this process, TCP and UDP [default: 127.0.0.1:7000]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Directory of keys, databases and rooms [default: ./amphi-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address that people type, when it is not http://<listen>
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// PEM file of a CA's certificate for HTTPS and WSS, with the chain
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// PEM file of its private key
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// How log lines look [default: text]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Flags of the live role.
#[derive(Args, Debug)]
pub(crate) struct Live {
    #[command(flatten)]
    common: Common,
    /// Where the match role runs, for example http://10.0.0.2:7001
    #[arg(long, value_name = "URL")]
    match_url: Option<String>,
    /// Where the fleet role runs
    #[arg(long, value_name = "URL")]
    fleet_url: Option<String>,
}

/// Flags of the match role.
#[derive(Args, Debug)]
pub(crate) struct Match {
    #[command(flatten)]
    common: Common,
    /// Where the fleet role runs
    #[arg(long, value_name = "URL")]
    fleet_url: Option<String>,
}

/// Flags of the fleet role.
#[derive(Args, Debug)]
pub(crate) struct Fleet {
    #[command(flatten)]
    common: Common,
    /// Where the match role runs
    #[arg(long, value_name = "URL")]
    match_url: Option<String>,
    /// Where the live role runs
    #[arg(long, value_name = "URL")]
    live_url: Option<String>,
}

/// What to do with people.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add a person and print a sign-in link that works once
    Add {
        /// Display name, 1 to 24 characters
        name: String,
        /// What the person may do
        #[arg(long, value_enum)]
        role: UserRole,
        #[command(flatten)]
        common: Common,
    },
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Print a token with which any WebSocket or HTTP client reads topics
    ///
    /// The token is a guest's. A WebSocket client that brings it (subprotocol amphi.v1+json, `?token=` or an
    /// Authorization header) gets each message of its topics as one JSON text, without sending anything.
    Mint {
        /// Topic to read; may be given up to 64 times
        #[arg(long, value_name = "TOPIC")]
        subscribe: Vec<String>,
        /// How long it lasts: a number with s, m, h or d, up to 90d
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
        ttl: u64,
        /// Person whose token it is, usr_…; the default is a new one
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Display name, 1 to 24 characters [default: Viewer]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// End tokens before their time; sessions that use them are closed within a second
    Revoke {
        /// A token's id (tok_…), a person (usr_…: all tokens made until now), or a whole token
        what: String,
        #[command(flatten)]
        common: Common,
    },
}

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Print a key with which a service calls the HTTP API; it is shown this once
    Create {
        /// What you call it, 1 to 24 characters
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What it may be used for: topics.publish, topics.read, topics.presence, sessions.disconnect; may be repeated
        #[arg(long, value_name = "SCOPE", required = true, value_parser = scope)]
        scope: Vec<String>,
        /// Topics it may be used for: `news:**` is news and all below it, `*:**` is every topic; may be repeated
        #[arg(long, value_name = "PATTERN", value_parser = pattern)]
        topic: Vec<String>,
        /// How long it lasts: a number with s, m, h or d, up to 90d [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        ttl: Option<u64>,
        /// Calls per second, a message of a batch counts as one
        #[arg(long, value_name = "N", default_value_t = 100,
              value_parser = clap::value_parser!(u32).range(1..=i64::from(amphi_shared_wire::limits::API_KEY_CALLS_PER_S_MAX)))]
        rate: u32,
        #[command(flatten)]
        common: Common,
    },
    /// List the keys
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Revoke a key; it is refused from then on
    Revoke {
        /// A key's id (key_…), or the whole key (amk_…)
        what: String,
        #[command(flatten)]
        common: Common,
    },
}

fn scope(text: &str) -> Result<String, String> {
    text.parse::<amphi_shared_auth::KeyScope>().map(|scope| scope.to_string())
}

fn pattern(text: &str) -> Result<String, String> {
    let pattern: Result<amphi_shared_wire::TopicPattern, _> = text.parse();
    pattern.map(|pattern| pattern.to_string()).map_err(|error| format!("{error}, or `*`, and `:**` at the end"))
}

/// `90s`, `15m`, `1h` or `7d` in seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "a time is a whole number with s, m, h or d, for example 1h".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)?;
    if seconds == 0 || seconds > amphi_shared_wire::limits::TOKEN_LIFE_S_MAX {
        return Err("a token lasts 1s to 90d".to_owned());
    }
    Ok(seconds)
}

/// Roles that a person is given by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum UserRole {
    /// Sees and runs everything
    Operator,
    /// Watches over chats and people
    Moderator,
    /// Edits content
    Editor,
}

/// A settings key and the value that a flag gives it.
pub(crate) type Flag = (&'static str, String);

impl Common {
    /// The settings that these flags override.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        push(&mut flags, "listen", self.listen);
        push(&mut flags, "data", self.data.as_ref().map(|path| path.display()));
        push(&mut flags, "public_url", self.public_url.as_ref());
        push(&mut flags, "tls.certificate", self.tls_certificate.as_ref().map(|path| path.display()));
        push(&mut flags, "tls.key", self.tls_key.as_ref().map(|path| path.display()));
        push(
            &mut flags,
            "log",
            self.log.map(|format| match format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            }),
        );
        flags
    }
}

impl Command {
    /// The settings that the flags of this command override.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        match self {
            Self::Up(common) | Self::Config(common) => common.flags(),
            Self::Live(live) => {
                let mut flags = live.common.flags();
                push(&mut flags, "match.url", live.match_url.as_ref());
                push(&mut flags, "fleet.url", live.fleet_url.as_ref());
                flags
            }
            Self::Match(matchmaking) => {
                let mut flags = matchmaking.common.flags();
                push(&mut flags, "fleet.url", matchmaking.fleet_url.as_ref());
                flags
            }
            Self::Fleet(fleet) => {
                let mut flags = fleet.common.flags();
                push(&mut flags, "match.url", fleet.match_url.as_ref());
                push(&mut flags, "live.url", fleet.live_url.as_ref());
                flags
            }
            Self::User { command: User::Add { common, .. } } => common.flags(),
            Self::Token { command: Token::Mint { common, .. } | Token::Revoke { common, .. } } => common.flags(),
            Self::Key {
                command: Key::Create { common, .. } | Key::List { common, .. } | Key::Revoke { common, .. },
            } => common.flags(),
            Self::Game | Self::New(_) | Self::Schema { .. } | Self::Tables { .. } => Vec::new(),
        }
    }
}

impl UserRole {
    /// The role as tokens and messages write it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Moderator => "moderator",
            Self::Editor => "editor",
        }
    }
}

fn push(flags: &mut Vec<Flag>, key: &'static str, value: Option<impl ToString>) {
    if let Some(value) = value {
        flags.push((key, value.to_string()));
    }
}
