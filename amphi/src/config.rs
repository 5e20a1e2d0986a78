//! The only reader of files, environment and flags: defaults, then `amphi.toml`, then `AMPHI_*`, then flags.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use amphi_shared_edge::TlsFiles;
use amphi_shared_edge::host::JournalLimits;
use anyhow::{Context, Result, bail};
use config::{Config, Environment, File, FileFormat};
use serde::{Deserialize, Serialize};

/// One hour, s.
const HOUR_S: u64 = 3_600;

/// Everything an operator may set. `amphi config` prints it as it applies.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Address of this process, TCP and UDP.
    pub(crate) listen: SocketAddr,
    /// Directory of keys, certificates, databases and rooms.
    pub(crate) data: PathBuf,
    /// Address that people type, when it is not that of `listen`.
    pub(crate) public_url: Option<String>,
    /// Application of this deployment.
    pub(crate) app: String,
    /// Region of the hosts that this process starts.
    pub(crate) region: String,
    /// `text` or `json`.
    pub(crate) log: LogFormat,
    /// Log filter, as in `info,amphi_server_node=debug`.
    pub(crate) log_filter: String,
    /// Seconds that running matches get after SIGTERM.
    pub(crate) drain_s: u64,
    pub(crate) tls: Tls,
    pub(crate) live: Live,
    #[serde(rename = "match")]
    pub(crate) matchmaking: Matchmaking,
    pub(crate) fleet: Fleet,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// A certificate that a CA has signed, for HTTPS and WSS; both or none.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    /// PEM file: the certificate of the name in `public_url`, then those that lead to its CA.
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file: its private key.
    pub(crate) key: Option<PathBuf>,
}

/// The live role.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Live {
    /// Base URL of the live role when it is another process.
    pub(crate) url: Option<String>,
    /// Web origins that may open sessions besides the page's own; `*` allows all.
    pub(crate) origins: Vec<String>,
    /// `postgres://…`; the default is `<data>/live.db`.
    pub(crate) database: Option<String>,
}

/// The match role.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Matchmaking {
    /// Base URL of the match role when it is another process.
    pub(crate) url: Option<String>,
    /// Milliseconds a ticket waits for people before bots fill the seats.
    pub(crate) bot_fill_ms: u64,
    /// `postgres://…`; the default is `<data>/match.db`.
    pub(crate) database: Option<String>,
}

/// The fleet role.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Fleet {
    /// Base URL of the fleet role when it is another process.
    pub(crate) url: Option<String>,
    /// Host processes at most.
    pub(crate) hosts_max: usize,
    /// Rooms per host process.
    pub(crate) rooms_per_host: usize,
    /// Free rooms that are kept warm.
    pub(crate) warm_rooms: usize,
    /// Seconds after which an idle host beyond the warm ones stops.
    pub(crate) idle_stop_s: u64,
    /// Address on which hosts listen; the default is this process's own address with any port.
    pub(crate) host_listen: Option<SocketAddr>,
    /// Name or address under which clients reach the hosts; the default is that of `public_url`, else where they listen.
    pub(crate) public_host: Option<String>,
    /// Hours that the journal of a match is kept after its end.
    pub(crate) journal_age_h_max: u64,
    /// MiB of journals that are kept; the oldest go first.
    pub(crate) journal_mib_max: u64,
    /// `postgres://…`; the default is `<data>/fleet.db`.
    pub(crate) database: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7000)),
            data: PathBuf::from("./amphi-data"),
            public_url: None,
            app: "default".to_owned(),
            region: "local".to_owned(),
            log: LogFormat::Text,
            log_filter: "info".to_owned(),
            drain_s: 30,
            tls: Tls::default(),
            live: Live::default(),
            matchmaking: Matchmaking::default(),
            fleet: Fleet::default(),
        }
    }
}

impl Default for Matchmaking {
    fn default() -> Self {
        Self { url: None, bot_fill_ms: 3_000, database: None }
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            url: None,
            hosts_max: 8,
            rooms_per_host: 8,
            warm_rooms: 2,
            idle_stop_s: 60,
            host_listen: None,
            public_host: None,
            journal_age_h_max: JournalLimits::default().age_s_max / HOUR_S,
            journal_mib_max: JournalLimits::default().bytes_max >> 20,
            database: None,
        }
    }
}

impl Fleet {
    /// What is kept of journals.
    pub(crate) fn journals(&self) -> JournalLimits {
        JournalLimits {
            age_s_max: self.journal_age_h_max.saturating_mul(HOUR_S),
            bytes_max: self.journal_mib_max.saturating_mul(1 << 20),
        }
    }
}

impl Settings {
    /// Reads the file (`file`, else `./amphi.toml` when it exists), the environment, then `flags` in rising order.
    pub(crate) fn read(file: Option<&Path>, flags: &[(&str, String)]) -> Result<Self> {
        let defaults = Config::try_from(&Self::default()).context("the defaults do not serialise")?;
        let mut builder = Config::builder().add_source(defaults);
        match file {
            Some(path) if !path.exists() => bail!("{}: no such file (named with --config)", path.display()),
            Some(path) => builder = builder.add_source(File::from(path).format(FileFormat::Toml)),
            None => builder = builder.add_source(File::new("amphi.toml", FileFormat::Toml).required(false)),
        }
        let environment = Environment::with_prefix("AMPHI")
            .prefix_separator("_")
            .separator("__")
            .try_parsing(true)
            .list_separator(",")
            .with_list_parse_key("live.origins");
        builder = builder.add_source(environment);
        for (key, value) in flags {
            builder = builder.set_override(*key, value.as_str())?;
        }
        let settings: Self = builder.build()?.try_deserialize()?;
        settings.checked()
    }

    fn checked(self) -> Result<Self> {
        if let Some(url) = &self.public_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            bail!("public_url: `{url}` does not start with http:// or https://");
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            bail!("tls.certificate and tls.key: each needs the other");
        }
        self.app.parse::<amphi_shared_wire::AppId>().with_context(|| format!("app: `{}`", self.app))?;
        Ok(self)
    }

    /// The settings as a settings file would hold them.
    pub(crate) fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// Where hosts listen, and under which name clients reach them.
    pub(crate) fn hosts_at(&self, listen: SocketAddr) -> (SocketAddr, String) {
        let hosts = self.fleet.host_listen.unwrap_or(SocketAddr::new(listen.ip(), 0));
        let url = self.public_url.as_deref().and_then(|url| reqwest::Url::parse(url).ok());
        let name = url.and_then(|url| url.host_str().map(str::to_owned));
        let public = self.fleet.public_host.clone().or(name).unwrap_or_else(|| reachable(hosts).ip().to_string());
        (hosts, public)
    }

    /// Address that people type into a browser.
    pub(crate) fn public_url(&self, listen: SocketAddr) -> String {
        let scheme = if self.tls.files().is_some() { "https" } else { "http" };
        self.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", reachable(listen)))
    }
}

impl Tls {
    /// The files to serve, when there are any.
    pub(crate) fn files(&self) -> Option<TlsFiles> {
        Some(TlsFiles { certificate: self.certificate.clone()?, key: self.key.clone()? })
    }
}

/// The address under which this machine reaches a listener, also one bound to every interface.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests;
