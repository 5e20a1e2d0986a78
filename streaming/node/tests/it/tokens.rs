//! Tokens from the command line, and tokens that end before their time.

use std::time::{Duration, Instant};

use amphi_shared_auth::Scope;
use amphi_shared_edge::service::ServiceFailure;
use amphi_shared_wire::Code;
use amphi_shared_wire::proto::payload::Kind;
use amphi_shared_wire::proto::{MintToken, MintTokenReply, RevokeToken, RevokeTokenReply};
use amphi_streaming_node::{LiveConfig, Rate};

use crate::client::{Client, Heard, publish};
use crate::house::House;

async fn mint(house: &House, wish: MintToken) -> Result<MintTokenReply, Code> {
    let reply: Result<_, ServiceFailure> = house.service(Scope::LiveTokens).call("/internal/v1/tokens", &wish).await;
    reply.map_err(|failure| failure.code())
}

async fn revoke(house: &House, what: &str) -> Result<String, Code> {
    let ask = RevokeToken { what: what.to_owned() };
    let reply: Result<RevokeTokenReply, ServiceFailure> =
        house.service(Scope::LiveTokens).call("/internal/v1/tokens/revoke", &ask).await;
    reply.map(|reply| reply.revoked).map_err(|failure| failure.code())
}

fn wish() -> MintToken {
    MintToken { ttl_s: 60, ..MintToken::default() }
}

async fn refused(house: &House, token: &str) -> Code {
    match Client::dial(house.address, token).await.next().await {
        Heard::Refused { code, .. } => code,
        other @ (Heard::Attached { .. }
        | Heard::Reply(_)
        | Heard::Publication(_)
        | Heard::Refreshed(_)
        | Heard::Detached
        | Heard::Closed(_)) => panic!("{other:?} instead of a refusal"),
    }
}

#[tokio::test]
async fn a_minted_token_says_what_was_wished() {
    let house = House::open().await;
    let subscribe = vec!["match:mch_1:chat".to_owned()];
    let reply = mint(&house, MintToken { name: "Wall".to_owned(), subscribe, ..wish() }).await.unwrap();
    let token = house.keyring.verifier().user(house.clock.now(), &reply.token).unwrap();
    assert_eq!((token.id.to_string(), token.user.to_string()), (reply.token_id, reply.user_id));
    assert_eq!((token.name.as_str(), token.subscribe[0].as_str()), ("Wall", "match:mch_1:chat"));
    assert_eq!(token.expires.0, reply.expires_us / 1_000_000 * 1_000_000);
    for (wish, code) in [
        (MintToken { ttl_s: 0, ..wish() }, Code::RequestInvalid),
        (MintToken { ttl_s: u64::MAX, ..wish() }, Code::RequestInvalid),
        (MintToken { user: "Ann".to_owned(), ..wish() }, Code::RequestInvalid),
        (MintToken { name: "\u{202e}x".to_owned(), ..wish() }, Code::NameInvalid),
        (MintToken { subscribe: vec!["No Topic".to_owned()], ..wish() }, Code::TopicInvalid),
        (MintToken { subscribe: vec!["a".to_owned(); 65], ..wish() }, Code::TooManySubscriptions),
    ] {
        assert_eq!(mint(&house, wish.clone()).await.map(|reply| reply.token), Err(code), "{wish:?}");
    }
    let other: Result<MintTokenReply, ServiceFailure> =
        house.service(Scope::LiveUsers).call("/internal/v1/tokens", &wish()).await;
    assert_eq!(other.unwrap_err().code(), Code::RoleMissing);
}

#[tokio::test]
async fn a_revoked_token_ends_its_sessions_within_a_second_and_opens_none() {
    let house = House::open().await;
    let ada = mint(&house, wish()).await.unwrap();
    let bob = mint(&house, wish()).await.unwrap();
    let mut session = Client::connect(house.address, &ada.token).await;
    let mut other = Client::connect(house.address, &bob.token).await;
    let started = Instant::now();
    assert_eq!(revoke(&house, &ada.token_id).await, Ok(ada.token_id.clone()));
    assert_eq!(session.closed().await, Code::TokenRevoked);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(refused(&house, &ada.token).await, Code::TokenRevoked);
    other.subscribe("match:mch_1:chat", None).await;

    // The person behind a token, and a token by its text.
    let again = mint(&house, MintToken { user: bob.user_id.clone(), ..wish() }).await.unwrap();
    assert_eq!(revoke(&house, &bob.user_id).await, Ok(bob.user_id.clone()));
    assert_eq!(other.closed().await, Code::TokenRevoked);
    assert_eq!(refused(&house, &again.token).await, Code::TokenRevoked);
    let cleo = mint(&house, wish()).await.unwrap();
    assert_eq!(revoke(&house, &cleo.token).await, Ok(cleo.token_id));
    assert_eq!(refused(&house, &cleo.token).await, Code::TokenRevoked);
    for nonsense in ["", "nobody", "usr_", &"x".repeat(5_000)] {
        assert_eq!(revoke(&house, nonsense).await, Err(Code::RequestInvalid));
    }
}

#[tokio::test]
async fn a_revocation_outlives_the_process() {
    let mut house = House::open().await;
    let ada = mint(&house, wish()).await.unwrap();
    revoke(&house, &ada.token_id).await.unwrap();
    house = house.reopen().await;
    assert_eq!(refused(&house, &ada.token).await, Code::TokenRevoked);
}

#[tokio::test]
async fn one_address_and_one_person_come_in_at_their_rate() {
    let config = LiveConfig { hellos: Rate { burst: 3, per_s: 1 }, ..LiveConfig::default() };
    let house = House::open_with(config).await;
    let token = house.guest_token("Ada").await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(Client::connect(house.address, &token).await);
    }
    let Heard::Refused { code, retry_after_ms } = Client::dial(house.address, &token).await.next().await else {
        panic!("the rate does not hold")
    };
    assert_eq!(code, Code::RateLimited);
    assert!((1..=1_000).contains(&retry_after_ms), "{retry_after_ms}");
}

#[tokio::test]
async fn one_address_writes_at_its_rate_over_all_its_sessions() {
    let config = LiveConfig { publishes: Rate { burst: 2, per_s: 1 }, ..LiveConfig::default() };
    let house = House::open_with(config).await;
    let (mut ada, mut bob) = (house.guest("Ada").await, house.guest("Bob").await);
    ada.say("match:mch_1:chat", "one").await;
    bob.say("match:mch_1:chat", "two").await;
    let third = || publish("match:mch_1:chat", Kind::Text("three".to_owned()));
    assert_eq!(ada.refused(third()).await, Code::RateLimited);
    assert_eq!(house.guest("Cleo").await.refused(third()).await, Code::RateLimited);
}
