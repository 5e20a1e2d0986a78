//! `amphi user add`: through the running live role, or straight into its database when none runs.

use amphi_shared_auth::{Keyring, Scope, ServiceToken};
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::service::{ServiceClient, ServiceFailure};
use amphi_shared_store::LiveStore;
use amphi_shared_wire::Micros;
use amphi_shared_wire::proto::{AddUser, AddUserReply};
use amphi_streaming_node::{LiveConfig, add_account};
use anyhow::{Result, anyhow};

use crate::cli::UserRole;
use crate::config::Settings;
use crate::data::{Data, Running};
use crate::words::{plain, say};

/// Adds a person and prints the link that signs them in once.
pub(crate) async fn add(settings: &Settings, name: &str, role: UserRole) -> Result<()> {
    let data = Data::open(&settings.data)?;
    let (keyring, clock) = (data.keyring()?, Clock::start());
    let request = AddUser { name: name.to_owned(), role: role.as_str().to_owned() };
    let code = match data.running() {
        Some(running) => match ask(&running, &keyring, clock, &request).await {
            Ok(reply) => reply.code,
            Err(ServiceFailure::Unreachable(_)) => store(settings, &data, (keyring, clock), &request).await?,
            Err(error) => return Err(error.into()),
        },
        None => store(settings, &data, (keyring, clock), &request).await?,
    };
    say("Added", &format!("{name} ({}); this link signs in once, within a week:", role.as_str()));
    plain(&format!("{}/signin#{code}", settings.public_url(settings.listen)));
    Ok(())
}

async fn ask(
    running: &Running,
    keyring: &Keyring,
    clock: Clock,
    request: &AddUser,
) -> Result<AddUserReply, ServiceFailure> {
    let now = clock.now();
    let token = ServiceToken { from: "cli".to_owned(), scope: Scope::LiveUsers, expires: now + Micros::from_secs(60) };
    let token = keyring.mint_service(now, &token);
    let client = ServiceClient::new(&running.url, move |_| token.clone())?;
    client.call("/internal/v1/users", request).await
}

async fn store(settings: &Settings, data: &Data, keys: (Keyring, Clock), request: &AddUser) -> Result<String> {
    let store = LiveStore::open(&data.database(settings.live.database.as_ref())).await?;
    let config = LiveConfig { app: settings.app.parse()?, ..LiveConfig::default() };
    let added = add_account(config, store.clone(), keys, (&request.name, &request.role)).await;
    store.close().await;
    let (_, code) = added.map_err(|problem| anyhow!("{}: {}", problem.code, problem.message))?;
    Ok(code.as_str().to_owned())
}
