//! The roles of this process: started in order, served on one port, ended in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amphi_fleet_node::{FleetConfig, FleetParts, FleetRole, FleetRoleConfig, HostCommand};
use amphi_matchmaker_node::{Bots, MatchParts, MatchRole, MatchRoleConfig, Mode};
use amphi_shared_auth::{Keyring, Rotation, random_bytes};
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::{Clock, follow, time_routes};
use amphi_shared_edge::http::{Access, Routes, probes};
use amphi_shared_edge::keys::{self, KeyOwner, KeySource};
use amphi_shared_edge::shutdown::{Phase, Shutdown};
use amphi_shared_edge::telemetry::{self, TelemetryConfig};
use amphi_shared_edge::{ListenConfig, Listener, Listening, Origins, Sessions};
use amphi_shared_replica::Game;
use amphi_shared_store::{FleetStore, LiveStore, MatchStore};
use amphi_shared_wire::limits::TOKEN_LIFE_S_MAX;
use amphi_shared_wire::{AppId, Micros, Seed};
use amphi_streaming_node::{LiveConfig, LiveRole};
use anyhow::{Context, Result};

use crate::config::{LogFormat, Settings, reachable};
use crate::data::Data;
use crate::proxy::Upstream;
use crate::words::say;
use crate::{api, ops, page};

/// How long the last packets may take to leave.
const GRACE: Duration = Duration::from_millis(500);
/// How often the keyring and the certificate are looked at.
const KEYS_EVERY: Duration = Duration::from_secs(60);

/// A part of the service that may run in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Live,
    Match,
    Fleet,
}

/// Roles that run in this process.
pub(crate) struct Roles {
    settings: Settings,
    data: Data,
    /// Of QUIC and WebTransport, when a role here needs one.
    certificate: Option<Certificate>,
    keyring: Keyring,
    clock: Clock,
    /// Address of this process.
    listen: SocketAddr,
    app: AppId,
    live: Option<Arc<LiveRole>>,
    matchmaking: Option<Arc<MatchRole>>,
    fleet: Option<FleetRole>,
    stops: Stops,
}

/// The roles end one after the other: a host that ends still needs the roles it reports to.
#[derive(Default)]
struct Stops {
    fleet: Shutdown,
    matchmaking: Shutdown,
    live: Shutdown,
}

impl Roles {
    /// Runs `wanted` until a signal ends them; returns after an orderly stop.
    pub(crate) async fn run(settings: Settings, game: Game, wanted: &[Role]) -> Result<()> {
        let format = match settings.log {
            LogFormat::Text => telemetry::LogFormat::Text,
            LogFormat::Json => telemetry::LogFormat::Json,
        };
        telemetry::init(&TelemetryConfig {
            format,
            filter: settings.log_filter.clone(),
            service: "amphi",
            otlp_url: settings.otlp_url.clone(),
        })?;
        let signal = Shutdown::signal().context("signals cannot be handled")?;
        let mut roles = Self::open(settings)?;
        say(
            "Starting",
            &format!(
                "amphi {} with {}, data in {}",
                env!("CARGO_PKG_VERSION"),
                game.name(),
                roles.data.folder().display()
            ),
        );
        roles.keep_keys(wanted, &signal)?;
        if wanted.contains(&Role::Live) {
            roles.start_live().await?;
        }
        if wanted.contains(&Role::Match) {
            roles.start_match(&game).await?;
        }
        if wanted.contains(&Role::Fleet) {
            roles.start_fleet().await?;
        }
        roles.follow_live();
        let listening = roles.listen(&signal)?;
        roles.greet()?;
        let listening = roles.serve(listening, &signal).await;
        roles.stop(&signal).await;
        listening.shutdown(GRACE).await;
        telemetry::flush().await;
        Ok(())
    }

    fn open(settings: Settings) -> Result<Self> {
        let data = Data::open(&settings.data)?;
        let listen = match settings.listen.port() {
            0 => free_address(settings.listen)?,
            _ => settings.listen,
        };
        Ok(Self {
            keyring: data.keyring()?,
            clock: Clock::start(),
            app: settings.app.parse()?,
            listen,
            data,
            certificate: None,
            settings,
            live: None,
            matchmaking: None,
            fleet: None,
            stops: Stops::default(),
        })
    }

    /// Trusts the issuers of the settings, and keeps every key up to date while the process runs.
    fn keep_keys(&self, wanted: &[Role], signal: &Shutdown) -> Result<()> {
        let verifier = self.keyring.verifier();
        verifier.set_issuers(self.settings.issuers()?, &self.keyring.salt()).context("auth.issuers")?;
        let mut sources = self.settings.issuer_keys()?;
        if let (false, Some(url)) = (wanted.contains(&Role::Live), &self.settings.live.url) {
            // The live role signs user tokens, with keys that may be newer than this process's file.
            let jwks = KeySource::Url(format!("{}/.well-known/jwks.json", url.trim_end_matches('/')));
            sources.push((KeyOwner::Deployment, jwks));
        }
        tokio::spawn(keys::follow(verifier, sources, self.clock, signal.clone()));
        // One process of a deployment brings new keys: the one that is all of it.
        let alone = wanted.len() > 1 && self.settings.auth.rotate_days > 0;
        let rotation = alone.then(|| Rotation {
            every: Micros::from_secs(self.settings.auth.rotate_days * 24 * 3_600),
            ahead: Micros::from_secs(3_600),
            overlap: Micros::from_secs(TOKEN_LIFE_S_MAX),
        });
        tokio::spawn(turn_keys((self.keyring.clone(), rotation), self.clock, signal.clone()));
        Ok(())
    }

    async fn start_live(&mut self) -> Result<()> {
        let store = LiveStore::open(&self.data.database(self.settings.live.database.as_ref())).await?;
        let fleet_url = Some(self.url_of(self.settings.fleet.url.as_ref()));
        let config = LiveConfig { fleet_url, ..self.settings.live_config()? };
        let keys = (self.keyring.clone(), self.clock);
        self.live = Some(Arc::new(LiveRole::start(config, store, keys, self.stops.live.clone()).await?));
        Ok(())
    }

    async fn start_match(&mut self, game: &Game) -> Result<()> {
        let store = MatchStore::open(&self.data.database(self.settings.matchmaking.database.as_ref())).await?;
        let bots = Bots::After(Micros::from_millis(self.settings.matchmaking.bot_fill_ms));
        let modes = game.modes().iter().map(|mode| Mode {
            name: mode.name.to_owned(),
            teams: mode.teams,
            team_size: mode.team_size,
            duration_s: mode.duration_s,
            bots,
        });
        let config = MatchRoleConfig {
            app: self.app.clone(),
            game: game.name().to_owned(),
            modes: modes.collect(),
            fleet_url: self.url_of(self.settings.fleet.url.as_ref()),
            ..MatchRoleConfig::default()
        };
        let parts = MatchParts {
            store,
            keyring: self.keyring.clone(),
            clock: self.clock,
            shutdown: self.stops.matchmaking.clone(),
        };
        self.matchmaking = Some(Arc::new(MatchRole::start(config, parts).await?));
        Ok(())
    }

    async fn start_fleet(&mut self) -> Result<()> {
        let settings = &self.settings.fleet;
        let (host_listen, public_host) = self.settings.hosts_at(self.listen);
        let config = FleetRoleConfig {
            fleet: FleetConfig {
                hosts_max: settings.hosts_max,
                rooms_per_host: settings.rooms_per_host,
                warm_rooms: settings.warm_rooms,
                idle_stop: Micros::from_secs(settings.idle_stop_s),
                ..FleetConfig::default()
            },
            app: self.app.clone(),
            region: self.settings.region.clone(),
            command: HostCommand {
                program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("amphi")),
                args: vec!["game".to_owned()],
            },
            host_listen,
            public_host,
            data_dir: self.data.folder().to_owned(),
            journals: settings.journals(),
            fleet_url: self.own_url(),
            match_url: self.url_of(self.settings.matchmaking.url.as_ref()),
            live_url: self.url_of(self.settings.live.url.as_ref()),
            relay_url: Some(self.settings.relay_url(self.listen)),
            otlp_url: self.settings.otlp_url.clone(),
            drain: Micros::from_secs(self.settings.drain_s),
        };
        let parts = FleetParts {
            store: FleetStore::open(&self.data.database(settings.database.as_ref())).await?,
            keyring: self.keyring.clone(),
            certificate: self.certificate()?,
            clock: self.clock,
            shutdown: self.stops.fleet.clone(),
        };
        self.fleet = Some(FleetRole::start(config, parts, Seed(u64::from_le_bytes(random_bytes()))).await?);
        Ok(())
    }

    /// Binds the port with the routes of every role here.
    fn listen(&mut self, signal: &Shutdown) -> Result<Listening> {
        let sessions = match &self.live {
            Some(_) => Some(Sessions { certificate: self.certificate()?, origins: self.origins() }),
            None => None,
        };
        Ok(Listener::bind(ListenConfig {
            listen: self.listen,
            routes: self.routes(signal)?,
            verifier: self.keyring.verifier(),
            clock: self.clock,
            tls: self.settings.tls.files(),
            sessions,
        })?)
    }

    fn routes(&self, signal: &Shutdown) -> Result<Routes> {
        let signal = signal.clone();
        let ready = move || match signal.phase() {
            Phase::Running => Ok(()),
            Phase::Draining | Phase::Stopping => Err("draining".to_owned()),
        };
        let mut routes = Routes::new().merge(probes(ready, Access::Public)).merge(time_routes(self.clock));
        let mut sources = ops::Sources::default();
        if let Some(matchmaking) = &self.matchmaking {
            routes = routes.merge(matchmaking.routes());
            sources.matchmaking = Some(Arc::clone(matchmaking));
        }
        if let Some(fleet) = &self.fleet {
            routes = routes.merge(fleet.routes());
            sources.fleet = Some(fleet.watcher());
        }
        if let Some(live) = &self.live {
            routes = routes.merge(live.routes()).fallback(page::serve).origins(self.settings.live.origins.clone());
            sources.live = Some(Arc::clone(live));
            if let (None, Some(url)) = (&self.matchmaking, &self.settings.matchmaking.url) {
                let upstream = Upstream::new(url)?;
                routes = routes.merge(upstream.match_routes());
                sources.upstreams.push(upstream);
            }
            if let (None, Some(url)) = (&self.fleet, &self.settings.fleet.url) {
                let upstream = Upstream::new(url)?;
                routes = routes.merge(upstream.fleet_routes());
                sources.upstreams.push(upstream);
            }
        }
        Ok(api::document(routes.merge(ops::routes(sources))))
    }

    /// The live role's clock is the reference of those that run elsewhere.
    fn follow_live(&self) {
        if let (None, Some(url)) = (&self.live, &self.settings.live.url) {
            tokio::spawn(follow(self.clock, url.clone()));
        }
    }

    /// Says where to go, and lets `amphi user add` find this process.
    fn greet(&self) -> Result<()> {
        let Some(live) = &self.live else {
            say("Listening", &format!("on {}", self.listen));
            return Ok(());
        };
        self.data.write_running(&self.own_url())?;
        let url = self.settings.public_url(self.listen);
        say("Open", &url);
        if let Some(code) = live.operator_code() {
            say("Operator", &format!("{url}/signin#{} (signs in once)", code.as_str()));
        }
        Ok(())
    }

    /// Hands connections to the live role until a signal, or the end of a role, stops the process.
    async fn serve(&mut self, mut listening: Listening, signal: &Shutdown) -> Listening {
        let mut looks = tokio::time::interval(KEYS_EVERY);
        loop {
            tokio::select! {
                _ = looks.tick() => self.renew_certificate(self.clock.now(), &listening).await,
                incoming = listening.incoming.recv() => match (incoming, &self.live) {
                    (Some(incoming), Some(live)) => live.accept(incoming),
                    (Some(_), None) | (None, _) => break,
                },
                () = signal.wait() => break,
            }
        }
        listening
    }

    /// The certificate that the roles here start with.
    fn certificate(&mut self) -> Result<Certificate> {
        let certificate = match self.certificate.take() {
            Some(certificate) => certificate,
            None => self.data.certificate(self.clock.now())?,
        };
        Ok(self.certificate.insert(certificate).clone())
    }

    /// Brings the next certificate, here and to the hosts, when half of the life of the one in use is over.
    async fn renew_certificate(&mut self, now: Micros, listening: &Listening) {
        let due = self.certificate.as_ref().and_then(Certificate::renew_at);
        if due.is_none_or(|due| now < due) {
            return;
        }
        let renewed = self.data.certificate(now).and_then(|certificate| {
            listening.renew(certificate.clone())?;
            Ok(certificate)
        });
        match renewed {
            Ok(certificate) => {
                tracing::info!(?certificate, "the certificate is renewed");
                if let Some(fleet) = &self.fleet {
                    fleet.renew(certificate.clone()).await;
                }
                self.certificate = Some(certificate);
            }
            Err(error) => tracing::error!(%error, "the certificate stays as it is"),
        }
    }

    async fn stop(mut self, signal: &Shutdown) {
        signal.trigger();
        if let Some(fleet) = self.fleet.take() {
            say(
                "Draining",
                &format!("running matches get up to {} s; a second signal ends them", self.settings.drain_s),
            );
            self.stops.fleet.trigger();
            let (stop, fleet_stop) = (signal.clone(), self.stops.fleet.clone());
            tokio::spawn(async move {
                stop.wait_stop().await;
                fleet_stop.stop();
            });
            fleet.wait().await;
        }
        if let Some(matchmaking) = self.matchmaking.take() {
            self.stops.matchmaking.trigger();
            matchmaking.finished().await;
        }
        if let Some(live) = self.live.take() {
            self.stops.live.trigger();
            live.finished().await;
            self.data.remove_running();
        }
        say("Stopped", "in order");
    }

    fn origins(&self) -> Origins {
        match self.settings.live.origins.as_slice() {
            [] => Origins::Any,
            all if all.iter().any(|origin| origin == "*") => Origins::Any,
            some => {
                let own = reqwest::Url::parse(&self.settings.public_url(self.listen));
                let own = own.map(|url| url.origin().ascii_serialization());
                Origins::Only(some.iter().cloned().chain(own).collect())
            }
        }
    }

    /// Base URL of this process, for services on this machine or behind the same listener.
    fn own_url(&self) -> String {
        format!("http://{}", reachable(self.listen))
    }

    fn url_of(&self, elsewhere: Option<&String>) -> String {
        elsewhere.cloned().unwrap_or_else(|| self.own_url())
    }
}

/// Brings new signing keys when they are due, or reads the file in which another process does.
async fn turn_keys((keyring, rotation): (Keyring, Option<Rotation>), clock: Clock, signal: Shutdown) {
    loop {
        let turned = match rotation {
            Some(rotation) => keyring.rotate(clock.now(), rotation),
            None => keyring.reload(),
        };
        match turned {
            Ok(true) => tracing::info!(?keyring, "the signing keys have changed"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the signing keys stay as they are"),
        }
        tokio::select! {
            () = tokio::time::sleep(KEYS_EVERY) => {}
            () = signal.wait() => return,
        }
    }
}

/// An address whose port nobody has, for `--listen 127.0.0.1:0`: hosts must know it before it is bound.
fn free_address(wanted: SocketAddr) -> Result<SocketAddr> {
    let probe = std::net::TcpListener::bind(wanted).with_context(|| format!("{wanted} cannot be bound"))?;
    Ok(probe.local_addr()?)
}

#[cfg(test)]
mod tests;
