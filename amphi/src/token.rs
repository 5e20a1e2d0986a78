//! `amphi token`: through the running live role, or by its keys and database when none runs.

use amphi_shared_auth::Scope;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::http::Problem;
use amphi_shared_edge::service::ServiceFailure;
use amphi_shared_store::LiveStore;
use amphi_shared_wire::proto::{MintToken, MintTokenReply, RevokeToken, RevokeTokenReply};
use amphi_streaming_node::{TokenDesk, TokenWish};
use anyhow::Result;

use crate::config::Settings;
use crate::data::Data;
use crate::user::ask;
use crate::words::{plain, say};

/// Prints a token for clients without a protocol of their own.
pub(crate) async fn mint(settings: &Settings, wish: TokenWish) -> Result<()> {
    let data = Data::open(&settings.data)?;
    let TokenWish { user, name, subscribe, ttl_s } = wish.clone();
    let request = MintToken { user, name, subscribe, ttl_s };
    let asked: Option<MintTokenReply> = ask(&data, Scope::LiveTokens, "/internal/v1/tokens", &request).await?;
    let (token, id, user) = match asked {
        Some(reply) => (reply.token, reply.token_id, reply.user_id),
        None => {
            let (desk, store) = desk(settings, &data).await?;
            let minted = desk.mint(&wish);
            store.close().await;
            let minted = minted.map_err(said)?;
            (minted.text, minted.token.id.to_string(), minted.token.user.to_string())
        }
    };
    say("Minted", &format!("{id} of {user}, for {} topics, {} s:", wish.subscribe.len(), wish.ttl_s));
    plain(&token);
    Ok(())
}

/// Ends tokens before their time.
pub(crate) async fn revoke(settings: &Settings, what: &str) -> Result<()> {
    let data = Data::open(&settings.data)?;
    let request = RevokeToken { what: what.to_owned() };
    let asked: Option<RevokeTokenReply> = ask(&data, Scope::LiveTokens, "/internal/v1/tokens/revoke", &request).await?;
    let revoked = match asked {
        Some(reply) => reply.revoked,
        None => {
            let (desk, store) = desk(settings, &data).await?;
            let revoked = desk.revoke(what).await;
            store.close().await;
            match revoked.map_err(said)? {
                amphi_shared_auth::Revoked::Token(id) => id.to_string(),
                amphi_shared_auth::Revoked::User { user, .. } => user.to_string(),
            }
        }
    };
    say("Revoked", &revoked);
    Ok(())
}

async fn desk(settings: &Settings, data: &Data) -> Result<(TokenDesk, LiveStore)> {
    let store = LiveStore::open(&data.database(settings.live.database.as_ref())).await?;
    let keys = (data.keyring()?, Clock::start());
    keys.0.verifier().set_issuers(settings.issuers()?, &keys.0.salt())?;
    Ok((TokenDesk::new(settings.app.parse()?, store.clone(), keys), store))
}

pub(crate) fn said(problem: Problem) -> anyhow::Error {
    ServiceFailure::Refused { code: problem.code, message: problem.message, retry_after_ms: 0 }.into()
}
