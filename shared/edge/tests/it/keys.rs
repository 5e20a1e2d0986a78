//! Key sets that are followed.

use std::time::Duration;

use amphi_shared_auth::{IssuerConfig, Keyring, Role, Verifier};
use amphi_shared_edge::Origins;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::http::{Access, Response, Routes};
use amphi_shared_edge::keys::{KeyOwner, KeySource, follow};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_wire::{AppId, Code};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn a_key_that_is_missed_is_looked_for_at_once() {
    let (old, new) = (Keyring::generate(), Keyring::generate());
    let both = |a: &str, b: &str| {
        let keys = |jwks: &str| jwks.trim_start_matches("{\"keys\":[").trim_end_matches("]}").to_owned();
        format!("{{\"keys\":[{},{}]}}", keys(a), keys(b))
    };
    let published = both(&old.jwks(), &new.jwks());
    let routes = Routes::new().get("/keys", Access::Public, move |_| {
        let published = published.clone();
        async move { Ok(Response::bytes("application/json", published)) }
    });
    let server = Server::with(routes, Origins::Any);
    let (verifier, clock, shutdown) = (Verifier::from_jwks(&old.jwks()).unwrap(), Clock::start(), Shutdown::new());
    let token = server.user_token_of(&new, Role::Guest);
    assert_eq!(verifier.user(clock.now(), &token).err(), Some(Code::TokenInvalid));
    let sources = vec![(KeyOwner::Deployment, KeySource::Url(server.url("/keys")))];
    let following = tokio::spawn(follow(verifier.clone(), sources, clock, shutdown.clone()));
    until(|| verifier.user(clock.now(), &token).is_ok()).await;
    let old_token = server.user_token_of(&old, Role::Guest);
    assert!(verifier.user(clock.now(), &old_token).is_ok());
    let unknown = server.user_token_of(&Keyring::generate(), Role::Guest);
    assert_eq!(verifier.user(clock.now(), &unknown).err(), Some(Code::TokenKeyUnknown), "it may still come");
    shutdown.trigger();
    following.await.unwrap();
}

#[tokio::test]
async fn an_issuers_file_is_read_and_a_missing_set_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, keyring) = (folder.path().join("jwks.json"), Keyring::generate());
    std::fs::write(&path, keyring.jwks()).unwrap();
    let (verifier, clock, shutdown) = (Keyring::generate().verifier(), Clock::start(), Shutdown::new());
    let issuer = IssuerConfig {
        issuer: "https://login.example.org/".to_owned(),
        audience: "game".to_owned(),
        secret: None,
        app: AppId::default(),
        role: Role::User,
        name_claim: "name".to_owned(),
    };
    verifier.set_issuers(vec![issuer.clone()], b"salt").unwrap();
    // Known by name, but not signed by the issuer: what is said of it tells whether the key is known.
    let jwks: serde_json::Value = serde_json::from_str(&keyring.jwks()).unwrap();
    let header = json!({ "alg": "EdDSA", "kid": jwks["keys"][0]["kid"] }).to_string();
    let part = |json: String| URL_SAFE_NO_PAD.encode(json);
    let token = format!("{}.{}.AAAA", part(header), part(json!({ "iss": issuer.issuer }).to_string()));
    assert_eq!(verifier.user(clock.now(), &token).err(), Some(Code::TokenKeyUnknown));
    let owner = || KeyOwner::Issuer(issuer.issuer.clone());
    let missing = KeySource::File(folder.path().join("missing.json"));
    let sources = vec![(owner(), KeySource::File(path)), (owner(), missing)];
    let following = tokio::spawn(follow(verifier.clone(), sources, clock, shutdown.clone()));
    until(|| verifier.user(clock.now(), &token).err() == Some(Code::TokenInvalid)).await;
    shutdown.trigger();
    following.await.unwrap();
}

async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it happens");
}
