//! Guests, sign-in codes, users and keys.

use amphi_shared_auth::{Role, Scope, Verifier};
use amphi_shared_edge::service::ServiceFailure;
use amphi_shared_wire::Code;
use amphi_shared_wire::proto::{AddUser, AddUserReply};
use amphi_streaming_node::{LiveConfig, Rate};
use serde_json::{Value, json};

use crate::house::House;

async fn sign_in(house: &House, code: &str) -> (u16, Value) {
    house.post("/api/v1/auth/signin", &json!({ "code": code })).await
}

#[tokio::test]
async fn a_guest_gets_a_token_that_the_published_keys_verify() {
    let house = House::open().await;
    let (status, guest) = house.post("/api/v1/auth/guest", &json!({ "name": " Ada " })).await;
    assert_eq!(status, 200);
    assert_eq!((&guest["user"]["name"], &guest["user"]["role"]), (&json!("Ada"), &json!("guest")));
    let (_, jwks) = house.get("/.well-known/jwks.json").await;
    let verifier = Verifier::from_jwks(&jwks.to_string()).unwrap();
    let token = verifier.user(house.clock.now(), guest["token"].as_str().unwrap()).unwrap();
    assert_eq!(token.user.to_string(), guest["user"]["id"]);
    assert_eq!((token.name.as_str(), token.role), ("Ada", Role::Guest));
    assert_eq!(token.expires.0, guest["expires_us"]);
}

#[tokio::test]
async fn names_and_bodies_are_checked() {
    let house = House::open().await;
    for name in ["", "   ", "a\u{0}b", "\u{202e}x", &"x".repeat(25), &"x".repeat(50_000)] {
        let (status, problem) = house.post("/api/v1/auth/guest", &json!({ "name": name })).await;
        assert_eq!((status, &problem["code"]), (400, &json!("A0501")), "{:?}", &name[..name.len().min(9)]);
    }
    for body in [json!({}), json!({ "name": 7 }), json!([]), json!("Ada")] {
        let (status, problem) = house.post("/api/v1/auth/guest", &body).await;
        assert_eq!((status, &problem["code"]), (400, &json!("A0500")), "{body}");
    }
    let (status, problem) = house.post("/api/v1/auth/guest", &json!({ "name": "x".repeat(100_000) })).await;
    assert_eq!((status, &problem["code"]), (413, &json!("A0504")));
}

#[tokio::test]
async fn the_first_start_makes_an_operator_whose_code_works_once() {
    let house = House::open().await;
    let code = house.live.operator_code().unwrap().as_str().to_owned();
    let (status, signed_in) = sign_in(&house, &code).await;
    assert_eq!((status, &signed_in["user"]["role"]), (200, &json!("operator")));
    for used in [code.as_str(), "", "'; DROP TABLE users;--", &"A".repeat(32)] {
        let (status, problem) = sign_in(&house, used).await;
        assert_eq!((status, &problem["code"]), (401, &json!("A0211")), "{used:?}");
    }
}

#[tokio::test]
async fn users_are_added_by_the_command_line() {
    let house = House::open().await;
    let service = house.service(Scope::LiveUsers);
    let add = |name: &str, role: &str| {
        let ask = AddUser { name: name.to_owned(), role: role.to_owned() };
        let service = service.clone();
        async move {
            let reply: Result<AddUserReply, ServiceFailure> = service.call("/internal/v1/users", &ask).await;
            reply.map_err(|failure| failure.code())
        }
    };
    let added = add("Mona", "moderator").await.unwrap();
    let (status, signed_in) = sign_in(&house, &added.code).await;
    assert_eq!((status, &signed_in["user"]["id"]), (200, &json!(added.user_id)));
    assert_eq!(signed_in["user"]["role"], "moderator");
    assert_eq!(add("Mona", "editor").await, Err(Code::UserExists));
    assert_eq!(add("Gus", "guest").await, Err(Code::RequestInvalid));
    assert_eq!(add("Gus", "king").await, Err(Code::RequestInvalid));
    assert_eq!(add("", "editor").await, Err(Code::NameInvalid));
}

#[tokio::test]
async fn one_address_cannot_fill_the_table_of_guests() {
    let config = LiveConfig { sign_ins: Rate { burst: 3, per_s: 1 }, ..LiveConfig::default() };
    let house = House::open_with(config).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let (status, answer) = house.post("/api/v1/auth/guest", &json!({ "name": "Ada" })).await;
        if status == 429 {
            assert_eq!(answer["code"], "A0114");
            assert!(answer["retry_after_ms"].as_u64().unwrap() > 0);
        }
        statuses.push(status);
    }
    assert_eq!(statuses[..3], [200; 3]);
    assert!(statuses.contains(&429));
}
