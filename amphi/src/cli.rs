//! The command line: one binary, many roles.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Print the settings as they apply, as TOML
    Config(Common),
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
            Self::Game => Vec::new(),
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
