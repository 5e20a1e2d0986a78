//! Key sets that are followed.

use std::time::Duration;

use amphi_shared_auth::{ClaimNames, IssuerConfig, Keyring, Role, SignatureAlgorithm, Verifier};
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
        algorithms: SignatureAlgorithm::ALL.to_vec(),
        claims: ClaimNames::default(),
        scopes: Default::default(),
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

#[tokio::test]
async fn a_set_that_does_not_answer_or_never_ends_delays_no_other() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let huge = move |_| async move { Ok(Response::bytes("application/json", vec![b' '; 10 << 20])) };
    let server = Server::with(Routes::new().get("/keys", Access::Public, huge), Origins::Any);
    let folder = tempfile::tempdir().unwrap();
    let (path, keyring) = (folder.path().join("jwks.json"), Keyring::generate());
    std::fs::write(&path, keyring.jwks()).unwrap();
    let (verifier, clock, shutdown) = (Keyring::generate().verifier(), Clock::start(), Shutdown::new());
    let issuer = |name: &str| IssuerConfig {
        issuer: name.to_owned(),
        audience: "game".to_owned(),
        secret: None,
        app: AppId::default(),
        role: Role::User,
        algorithms: SignatureAlgorithm::ALL.to_vec(),
        claims: ClaimNames::default(),
        scopes: Default::default(),
    };
    let names = ["silent", "huge", "good"];
    verifier.set_issuers(names.map(issuer).into(), b"salt").unwrap();
    let silent_url = format!("http://{}/keys", silent.local_addr().unwrap());
    let sources = [KeySource::Url(silent_url), KeySource::Url(server.url("/keys")), KeySource::File(path)];
    let owners = names.map(|name| KeyOwner::Issuer(name.to_owned()));
    let sources = owners.into_iter().zip(sources).collect();
    let following = tokio::spawn(follow(verifier.clone(), sources, clock, shutdown.clone()));
    let (asked, _) = silent.accept().await.unwrap();
    let jwks: serde_json::Value = serde_json::from_str(&keyring.jwks()).unwrap();
    let header = json!({ "alg": "EdDSA", "kid": jwks["keys"][0]["kid"] }).to_string();
    let part = |json: String| URL_SAFE_NO_PAD.encode(json);
    let token = |name: &str| format!("{}.{}.AAAA", part(header.clone()), part(json!({ "iss": name }).to_string()));
    until(|| verifier.user(clock.now(), &token("good")).err() == Some(Code::TokenInvalid)).await;
    // The question to the first is still open.
    let mut byte = [0; 4_096];
    while asked.try_read(&mut byte).is_ok_and(|read| read > 0) {}
    let open = asked.try_read(&mut byte).err().map(|error| error.kind());
    assert_eq!(open, Some(std::io::ErrorKind::WouldBlock));
    for name in ["silent", "huge"] {
        assert_eq!(verifier.user(clock.now(), &token(name)).err(), Some(Code::TokenKeyUnknown));
    }
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
