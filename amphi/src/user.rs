//! `amphi user add`: through the running live role, or straight into its database when none runs.

use amphi_shared_auth::{Scope, ServiceToken};
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::service::{ServiceClient, ServiceFailure};
use amphi_shared_store::LiveStore;
use amphi_shared_wire::Micros;
use amphi_shared_wire::proto::{AddUser, AddUserReply};
use amphi_streaming_node::{LiveConfig, add_account};
use anyhow::{Result, anyhow};
use prost::Message;

use crate::cli::UserRole;
use crate::config::Settings;
use crate::data::Data;
use crate::words::{plain, say};

/// Adds a person and prints the link that signs them in once.
pub(crate) async fn add(settings: &Settings, name: &str, role: UserRole) -> Result<()> {
    let data = Data::open(&settings.data)?;
    let request = AddUser { name: name.to_owned(), role: role.as_str().to_owned() };
    let asked: Option<AddUserReply> = ask(&data, Scope::LiveUsers, "/internal/v1/users", &request).await?;
    let code = match asked {
        Some(reply) => reply.code,
        None => store(settings, &data, &request).await?,
    };
    say("Added", &format!("{name} ({}); this link signs in once, within a week:", role.as_str()));
    plain(&format!("{}/signin#{code}", settings.public_url(settings.listen)));
    Ok(())
}

/// Asks the live role that runs on the data directory; `None` when there is none.
pub(crate) async fn ask<Req: Message, Res: Message + Default>(
    data: &Data,
    scope: Scope,
    path: &str,
    request: &Req,
) -> Result<Option<Res>> {
    let Some(running) = data.running() else { return Ok(None) };
    let (keyring, now) = (data.keyring()?, Clock::start().now());
    let token = ServiceToken { from: "cli".to_owned(), scope, expires: now + Micros::from_secs(60) };
    let token = keyring.mint_service(now, &token);
    let client = ServiceClient::new(&running.url, move |_| token.clone())?;
    match client.call(path, request).await {
        Ok(reply) => Ok(Some(reply)),
        Err(ServiceFailure::Unreachable(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn store(settings: &Settings, data: &Data, request: &AddUser) -> Result<String> {
    let keys = (data.keyring()?, Clock::start());
    let store = LiveStore::open(&data.database(settings.live.database.as_ref())).await?;
    let config = LiveConfig { app: settings.app.parse()?, ..LiveConfig::default() };
    let added = add_account(config, store.clone(), keys, (&request.name, &request.role)).await;
    store.close().await;
    let (_, code) = added.map_err(|problem| anyhow!("{}: {}", problem.code, problem.message))?;
    Ok(code.as_str().to_owned())
}
