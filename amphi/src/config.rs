//! The only reader of files, environment and flags: defaults, then `amphi.toml`, then `AMPHI_*`, then flags.

mod class;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use amphi_shared_auth::{ClaimNames, IssuerConfig, SignatureAlgorithm};
use amphi_shared_edge::TlsFiles;
use amphi_shared_edge::host::JournalLimits;
use amphi_shared_edge::keys::{KeyOwner, KeySource};
use amphi_shared_wire::limits::TOPIC_CLASSES_MAX;
use amphi_shared_wire::{TopicGrants, TopicPattern};
use amphi_streaming_node::{HubConfig, LiveConfig, Rate};
use anyhow::{Context, Result, bail};
use config::{Config, Environment, File, FileFormat};
use serde::{Deserialize, Serialize};

use class::Class;

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
    /// `http://host:4317` of an OpenTelemetry collector (OTLP over gRPC) that gets the traces; needs the feature `otlp`.
    pub(crate) otlp_url: Option<String>,
    /// Seconds that running matches get after SIGTERM.
    pub(crate) drain_s: u64,
    pub(crate) tls: Tls,
    pub(crate) auth: Auth,
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

/// Tokens: our own, and those of other issuers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Auth {
    /// Days after which `amphi up` signs with a new key, 7 to 365; 0 keeps the key. Roles that run apart read
    /// `keyring.json` again when it changes.
    pub(crate) rotate_days: u64,
    /// Other issuers whose user tokens are taken.
    #[serde(alias = "issuer")]
    pub(crate) issuers: Vec<Issuer>,
}

/// Another issuer.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issuer {
    /// Value of `iss`, exactly.
    pub(crate) issuer: String,
    /// Value that `aud` must hold.
    pub(crate) audience: String,
    /// Address of its JSON Web Key Set …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jwks_url: Option<String>,
    /// … or a file that holds one …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jwks_file: Option<PathBuf>,
    /// … or a file that holds the secret of HS256, at least 32 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret_file: Option<PathBuf>,
    /// What its people may do: `guest` or `user`.
    #[serde(default = "user")]
    pub(crate) role: String,
    /// How its keys may sign, of RS256, ES256 and EdDSA; all of them when none is named. With a secret it is HS256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) algorithms: Vec<String>,
    /// The claim that says who somebody is.
    #[serde(default = "sub")]
    pub(crate) subject_claim: String,
    /// The claim that holds the display name.
    #[serde(default = "name")]
    pub(crate) name_claim: String,
    /// The claim that holds patterns of topics: `{"publish": […], "read": […], "presence": […]}`.
    #[serde(default = "topics")]
    pub(crate) topics_claim: String,
    /// The claim that names scopes, in a text with spaces or a list.
    #[serde(default = "scope")]
    pub(crate) scope_claim: String,
    /// What a scope grants, by its name; patterns of topics, as above.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) scopes: BTreeMap<String, ScopeGrants>,
}

/// What a scope of another issuer grants.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScopeGrants {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) publish: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) read: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) presence: Vec<String>,
}

fn user() -> String {
    "user".to_owned()
}

fn sub() -> String {
    "sub".to_owned()
}

fn name() -> String {
    "name".to_owned()
}

fn topics() -> String {
    "topics".to_owned()
}

fn scope() -> String {
    "scope".to_owned()
}

/// The live role.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Live {
    /// Base URL of the live role when it is another process.
    pub(crate) url: Option<String>,
    /// Other web origins whose pages may call `/api/` (CORS) and open sessions; `*` allows all. When none is named, no other
    /// page may call `/api/`, and every page may open sessions, which need a token.
    pub(crate) origins: Vec<String>,
    /// `postgres://…`; the default is `<data>/live.db`.
    pub(crate) database: Option<String>,
    /// `redis://…`, or `rediss://…` with TLS, that all live nodes share; without it each has its own topics, in memory.
    pub(crate) redis: Option<String>,
    /// PEM file of the CA that vouches for a `rediss://` server, when the system trusts none that does.
    pub(crate) redis_ca: Option<PathBuf>,
    /// Sessions per second that come back after a drain.
    pub(crate) returns_per_s: u32,
    /// Sessions at once.
    pub(crate) sessions_max: usize,
    /// Connections that one address, or one person, may open per second, after a burst of `sessions_max`.
    pub(crate) hellos_per_s: u32,
    /// Guests and sign-ins of one address per second, after a burst of 50 times as many.
    pub(crate) sign_ins_per_s: u32,
    /// Publications of one address per second, after a burst of 8 times as many.
    pub(crate) publishes_per_s: u32,
    /// Classes of topics beside those of matches; the first that fits a name wins.
    pub(crate) class: Vec<Class>,
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
            otlp_url: None,
            drain_s: 30,
            tls: Tls::default(),
            auth: Auth::default(),
            live: Live::default(),
            matchmaking: Matchmaking::default(),
            fleet: Fleet::default(),
        }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self { rotate_days: 30, issuers: Vec::new() }
    }
}

impl Default for Live {
    fn default() -> Self {
        let live = LiveConfig::default();
        Self {
            url: None,
            origins: Vec::new(),
            database: None,
            returns_per_s: live.returns_per_s,
            sessions_max: live.sessions_max,
            hellos_per_s: live.hellos.per_s,
            sign_ins_per_s: live.sign_ins.per_s,
            publishes_per_s: live.publishes.per_s,
            redis: None,
            redis_ca: None,
            class: Vec::new(),
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
        if !matches!(self.auth.rotate_days, 0 | 7..=365) {
            bail!("auth.rotate_days: {} is neither 0 nor 7 to 365", self.auth.rotate_days);
        }
        for issuer in &self.auth.issuers {
            issuer.source()?;
            issuer.check().with_context(|| format!("auth.issuers {}", issuer.issuer))?;
        }
        self.hub()?;
        Ok(self)
    }

    /// The settings as a settings file would hold them.
    pub(crate) fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// The issuers that are trusted beside this deployment.
    pub(crate) fn issuers(&self) -> Result<Vec<IssuerConfig>> {
        self.auth.issuers.iter().map(|issuer| issuer.config(&self.app)).collect()
    }

    /// Where the keys of the issuers are.
    pub(crate) fn issuer_keys(&self) -> Result<Vec<(KeyOwner, KeySource)>> {
        let mut keys = Vec::new();
        for issuer in &self.auth.issuers {
            keys.extend(issuer.source()?.map(|source| (KeyOwner::Issuer(issuer.issuer.clone()), source)));
        }
        Ok(keys)
    }

    /// The classes of topics: those of matches, then those of the settings.
    fn hub(&self) -> Result<HubConfig> {
        let mut hub = HubConfig::default();
        if self.live.class.len() > TOPIC_CLASSES_MAX {
            bail!("live.class: {} classes are more than {TOPIC_CLASSES_MAX}", self.live.class.len());
        }
        for class in &self.live.class {
            hub.classes.push(class.build()?);
        }
        Ok(hub)
    }

    /// The live role's part.
    pub(crate) fn live_config(&self) -> Result<LiveConfig> {
        let Live { returns_per_s, sessions_max, hellos_per_s, sign_ins_per_s, publishes_per_s, .. } = self.live;
        let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("live.redis_ca: {}", path.display()));
        let redis_ca = self.live.redis_ca.as_ref().map(read);
        let rate = |per_s: u32, times: u32| Rate { burst: per_s.saturating_mul(times), per_s };
        Ok(LiveConfig {
            app: self.app.parse()?,
            sessions_max,
            returns_per_s,
            hellos: Rate { burst: u32::try_from(sessions_max).unwrap_or(u32::MAX), per_s: hellos_per_s },
            sign_ins: rate(sign_ins_per_s, 50),
            publishes: rate(publishes_per_s, 8),
            hub: self.hub()?,
            redis_url: self.live.redis.clone(),
            redis_ca: redis_ca.transpose()?,
            ..LiveConfig::default()
        })
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

    /// Address of the live role's relay, for clients: where people reach the live role.
    pub(crate) fn relay_url(&self, listen: SocketAddr) -> String {
        let live = self.public_url.clone().or_else(|| self.live.url.clone());
        let base = live.unwrap_or_else(|| self.public_url(listen));
        let base = base.trim_end_matches('/');
        // Both start with http, so this makes ws and wss.
        format!("ws{}/session", base.strip_prefix("http").unwrap_or(base))
    }
}

impl Tls {
    /// The files to serve, when there are any.
    pub(crate) fn files(&self) -> Option<TlsFiles> {
        Some(TlsFiles { certificate: self.certificate.clone()?, key: self.key.clone()? })
    }
}

impl Issuer {
    fn config(&self, app: &str) -> Result<IssuerConfig> {
        let secret = self.secret_file.as_ref().map(|path| {
            std::fs::read(path).with_context(|| format!("auth.issuers {}: {}", self.issuer, path.display()))
        });
        Ok(IssuerConfig {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            secret: secret.transpose()?.map(|secret| secret.trim_ascii().to_vec()),
            app: app.parse()?,
            role: self
                .role
                .parse()
                .map_err(|error: String| anyhow::anyhow!("auth.issuers {}: {error}", self.issuer))?,
            algorithms: self.algorithms()?,
            claims: ClaimNames {
                subject: self.subject_claim.clone(),
                name: self.name_claim.clone(),
                topics: self.topics_claim.clone(),
                scope: self.scope_claim.clone(),
            },
            scopes: self.scopes()?,
        })
    }

    /// Looks at what is no matter of files.
    fn check(&self) -> Result<()> {
        self.algorithms()?;
        self.scopes()?;
        Ok(())
    }

    fn algorithms(&self) -> Result<Vec<SignatureAlgorithm>> {
        if self.secret_file.is_some() {
            if self.algorithms.iter().any(|name| name != "HS256") {
                bail!("algorithms: an issuer with a secret signs with HS256");
            }
            return Ok(Vec::new());
        }
        if self.algorithms.is_empty() {
            return Ok(SignatureAlgorithm::ALL.to_vec());
        }
        let parse = |name: &String| name.parse().map_err(|error: String| anyhow::anyhow!("algorithms: {error}"));
        self.algorithms.iter().map(parse).collect()
    }

    fn scopes(&self) -> Result<BTreeMap<String, TopicGrants>> {
        let grants = |(name, scope): (&String, &ScopeGrants)| {
            let patterns = |patterns: &[String]| -> Result<Vec<TopicPattern>> {
                let parse = |text: &String| text.parse().with_context(|| format!("scopes.{name}: `{text}`"));
                patterns.iter().map(parse).collect()
            };
            let publish = patterns(&scope.publish)?;
            let grants = TopicGrants { publish, read: patterns(&scope.read)?, presence: patterns(&scope.presence)? };
            Ok((name.clone(), grants))
        };
        self.scopes.iter().map(grants).collect()
    }

    /// Where its public keys are; `None` when it has a secret.
    fn source(&self) -> Result<Option<KeySource>> {
        match (&self.jwks_url, &self.jwks_file, &self.secret_file) {
            (Some(url), None, None) if is_safe(url) => Ok(Some(KeySource::Url(url.clone()))),
            (Some(url), None, None) => {
                bail!("auth.issuers {}: `{url}` is not https://, and not on this machine", self.issuer)
            }
            (None, Some(path), None) => Ok(Some(KeySource::File(path.clone()))),
            (None, None, Some(_)) => Ok(None),
            _ => bail!("auth.issuers {}: give one of jwks_url, jwks_file and secret_file", self.issuer),
        }
    }
}

/// Whoever can change a key set on its way can sign as everyone.
fn is_safe(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let here = url.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
    url.scheme() == "https" || (url.scheme() == "http" && here)
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
