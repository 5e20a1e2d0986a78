use amphi_shared_wire::limits::TOKEN_BYTES_MAX;
use amphi_shared_wire::{AppId, Code, MatchId, Micros, TokenId, TraceId, UserId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use ring::hmac;
use serde_json::{Value, json};

use super::*;

mod foreign;
mod rotation;

const NOW: Micros = Micros::from_secs(1_763_000_000);

fn user() -> UserToken {
    UserToken {
        id: TokenId::from_bits(9),
        user: UserId::from_bits(7),
        app: AppId::default(),
        name: "<b>Ann'; DROP TABLE users;--".to_owned(),
        role: Role::Guest,
        subscribe: vec!["match:mch_1:chat".parse().expect("a topic"), "news".parse().expect("a topic")],
        grants: Default::default(),
        issued: NOW,
        expires: NOW + Micros::from_secs(60),
    }
}

fn connect() -> ConnectToken {
    ConnectToken {
        id: TokenId::from_bits(1),
        match_id: MatchId::from_bits(2),
        user: UserId::from_bits(3),
        app: AppId::default(),
        name: "Ann".to_owned(),
        team: Some(1),
        trace: TraceId::from(TokenId::from_bits(5)),
        expires: NOW + Micros::from_secs(60),
    }
}

fn service() -> ServiceToken {
    ServiceToken { from: "match".to_owned(), scope: Scope::FleetAllocate, expires: NOW + Micros::from_secs(60) }
}

/// A token with this header and the payload of a good one, signed by `sign`.
fn forge(good: &str, header: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let payload = good.split('.').nth(1).expect("a JWT has three parts");
    let message = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn kid(keyring: &Keyring) -> String {
    let jwks: Value = serde_json::from_str(&keyring.jwks()).expect("JWKS is JSON");
    jwks["keys"][0]["kid"].as_str().expect("a key has an id").to_owned()
}

#[test]
fn every_kind_comes_back_from_its_public_keys() {
    let keyring = Keyring::generate();
    let verifier = Verifier::from_jwks(&keyring.jwks()).expect("own JWKS");
    assert_eq!(verifier.user(NOW, &keyring.mint_user(NOW, &user())), Ok(user()));
    assert_eq!(verifier.connect(NOW, &keyring.mint_connect(NOW, &connect())), Ok(connect()));
    let anywhere = ConnectToken { team: None, ..connect() };
    assert_eq!(verifier.connect(NOW, &keyring.mint_connect(NOW, &anywhere)), Ok(anywhere));
    assert_eq!(verifier.service(NOW, &keyring.mint_service(NOW, &service())), Ok(service()));
}

#[test]
fn a_token_ends_at_its_time() {
    let keyring = Keyring::generate();
    let (token, verifier) = (keyring.mint_user(NOW, &user()), keyring.verifier());
    assert_eq!(verifier.user(user().expires - Micros(1), &token), Ok(user()));
    assert_eq!(verifier.user(user().expires, &token), Err(Code::TokenExpired));
}

#[test]
fn another_key_is_refused_even_under_our_key_id() {
    let (ours, theirs) = (Keyring::generate(), Keyring::generate());
    let token = theirs.mint_user(NOW, &user());
    assert_eq!(ours.verifier().user(NOW, &token), Err(Code::TokenInvalid));
    let renamed = Verifier::from_jwks(&ours.jwks().replace(&kid(&ours), &kid(&theirs))).expect("still a JWKS");
    assert_eq!(renamed.user(NOW, &token), Err(Code::TokenInvalid));
}

#[test]
fn no_signature_and_hmac_with_the_public_key_are_refused() {
    let keyring = Keyring::generate();
    let good = keyring.mint_user(NOW, &user());
    let jwks: Value = serde_json::from_str(&keyring.jwks()).expect("JWKS is JSON");
    let public = URL_SAFE_NO_PAD.decode(jwks["keys"][0]["x"].as_str().expect("x")).expect("base64url");
    let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, &public);
    for alg in ["none", "None", "NONE"] {
        let header = json!({"alg": alg, "typ": "JWT", "kid": kid(&keyring)});
        assert_eq!(keyring.verifier().user(NOW, &forge(&good, &header, |_| Vec::new())), Err(Code::TokenInvalid));
    }
    let header = json!({"alg": "HS256", "typ": "JWT", "kid": kid(&keyring)});
    let token = forge(&good, &header, |message| hmac::sign(&hmac_key, message).as_ref().to_vec());
    assert_eq!(keyring.verifier().user(NOW, &token), Err(Code::TokenInvalid));
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": kid(&keyring)});
    let token = forge(&good, &header, |message| hmac::sign(&hmac_key, message).as_ref().to_vec());
    assert_eq!(keyring.verifier().user(NOW, &token), Err(Code::TokenInvalid));
}

#[test]
fn one_kind_never_passes_as_another() {
    let keyring = Keyring::generate();
    let verifier = keyring.verifier();
    let (user, connect, service) =
        (keyring.mint_user(NOW, &user()), keyring.mint_connect(NOW, &connect()), keyring.mint_service(NOW, &service()));
    assert_eq!(verifier.user(NOW, &connect), Err(Code::TokenInvalid));
    assert_eq!(verifier.user(NOW, &service), Err(Code::TokenInvalid));
    assert_eq!(verifier.connect(NOW, &user), Err(Code::TokenInvalid));
    assert_eq!(verifier.connect(NOW, &service), Err(Code::TokenInvalid));
    assert_eq!(verifier.service(NOW, &user), Err(Code::TokenInvalid));
    assert_eq!(verifier.service(NOW, &connect), Err(Code::TokenInvalid));
}

#[test]
fn an_oversized_token_is_refused_unread() {
    let keyring = Keyring::generate();
    let long = UserToken { name: "x".repeat(TOKEN_BYTES_MAX), ..user() };
    assert_eq!(keyring.verifier().user(NOW, &keyring.mint_user(NOW, &long)), Err(Code::TokenInvalid));
}

#[test]
fn a_changed_payload_is_refused() {
    let keyring = Keyring::generate();
    let token = keyring.mint_user(NOW, &user());
    let parts: Vec<&str> = token.split('.').collect();
    let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).expect("base64url")).expect("JSON");
    let payload = URL_SAFE_NO_PAD.encode(payload.replace("guest", "operator"));
    let token = format!("{}.{payload}.{}", parts[0], parts[2]);
    assert_eq!(keyring.verifier().user(NOW, &token), Err(Code::TokenInvalid));
}

#[test]
fn the_keyring_file_is_private_and_lasts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keyring.json");
    let first = Keyring::load_or_create(&path).expect("created");
    let second = Keyring::load_or_create(&path).expect("loaded");
    assert_eq!(second.verifier().user(NOW, &first.mint_user(NOW, &user())), Ok(user()));
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1, "no draft is left");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_broken_keyring_names_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keyring.json");
    for content in ["", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"pkcs8":"AAAA"}]}"#] {
        std::fs::write(&path, content).expect("written");
        let error = Keyring::load_or_create(&path).expect_err("refused");
        assert!(error.to_string().contains("keyring.json is not a keyring"), "{error}");
    }
    let error = Keyring::load_or_create(&folder.path().join("missing/keyring.json")).expect_err("refused");
    assert!(error.to_string().contains("missing/keyring.json cannot be used"), "{error}");
}

#[test]
fn nothing_prints_a_secret() {
    let keyring = Keyring::generate();
    assert_eq!(format!("{keyring:?}"), format!("[\"{}\"]", kid(&keyring)));
    assert!(!format!("{:?}", foreign::config(Some(b"a secret of at least thirty-two bytes"))).contains("secret"));
    let code = OneTimeCode::generate();
    assert!(!format!("{code:?}").contains(code.as_str()));
}

#[test]
fn foreign_key_sets_are_refused() {
    assert!(Verifier::from_jwks("nonsense").is_err());
    assert!(Verifier::from_jwks(r#"{"keys":[]}"#).is_err());
    assert!(Verifier::from_jwks(r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a"}]}"#).is_err());
}

#[test]
fn subscriptions_are_bounded_and_named_well() {
    let keyring = Keyring::generate();
    let with = |names: Vec<String>| {
        // Names that no `Topic` has are forged into the claims.
        let names: Vec<Value> = names.into_iter().map(Value::String).collect();
        let own = UserToken { subscribe: vec!["x1".parse().expect("a topic")], ..user() };
        let payload = keyring.mint_user(NOW, &own);
        let payload = payload.split('.').nth(1).expect("a JWT has three parts");
        let mut claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON");
        claims["subscribe"] = Value::Array(names);
        keyring.verifier().user(NOW, &rotation::signed(&keyring, &claims))
    };
    let topics = |n: usize| (0..n).map(|n| format!("t:{n}")).collect::<Vec<_>>();
    let max = amphi_shared_wire::limits::SUBSCRIPTIONS_MAX;
    assert_eq!(with(topics(max)).map(|token| token.subscribe.len()), Ok(max));
    assert_eq!(with(topics(max + 1)), Err(Code::TokenInvalid));
    assert_eq!(with(vec!["Bad Name".to_owned()]), Err(Code::TokenInvalid));
}

#[test]
fn a_revoked_token_ends_for_every_clone() {
    let keyring = Keyring::generate();
    let (verifier, elsewhere) = (keyring.verifier(), keyring.verifier());
    let token = keyring.mint_user(NOW, &user());
    let other = keyring.mint_user(NOW, &UserToken { id: TokenId::from_bits(10), ..user() });
    let revocation = Revocation { what: Revoked::Token(user().id), expires: user().expires };
    assert_eq!(verifier.revoke(NOW, revocation), Ok(()));
    assert_eq!(elsewhere.user(NOW, &token), Err(Code::TokenRevoked));
    assert!(elsewhere.user(NOW, &other).is_ok());
}

#[test]
fn a_revoked_person_may_sign_in_again() {
    let keyring = Keyring::generate();
    let old = keyring.mint_user(NOW, &user());
    let what = Revoked::User { user: user().user, before: NOW + Micros(500_000) };
    keyring.verifier().revoke(NOW, Revocation { what, expires: user().expires }).expect("room for one");
    assert_eq!(keyring.verifier().user(NOW, &old), Err(Code::TokenRevoked));
    let later = NOW + Micros::from_secs(1);
    let new = keyring.mint_user(later, &user());
    assert!(keyring.verifier().user(later, &new).is_ok());
    let somebody = keyring.mint_user(NOW, &UserToken { user: UserId::from_bits(8), ..user() });
    assert!(keyring.verifier().user(NOW, &somebody).is_ok());
}

#[test]
fn a_one_time_code_survives_pasting() {
    let code = OneTimeCode::generate();
    let pasted: OneTimeCode = format!(" {}\n", code.as_str()).parse().expect("the same code");
    assert_eq!(pasted.hash(), code.hash());
    assert_ne!(OneTimeCode::generate().hash(), code.hash());
    assert!("short".parse::<OneTimeCode>().is_err());
}

#[test]
fn roles_rise_and_words_come_back() {
    for pair in Role::ALL.windows(2) {
        assert!(pair[1].allows(pair[0]) && !pair[0].allows(pair[1]));
    }
    assert!(Role::ALL.iter().all(|role| role.as_str().parse() == Ok(*role)));
    assert!(Scope::ALL.iter().all(|scope| scope.as_str().parse() == Ok(*scope)));
    for scope in Scope::ALL {
        assert_eq!(serde_json::to_value(scope).expect("JSON"), json!(scope.as_str()));
    }
}

proptest! {
    #[test]
    fn garbage_never_passes_and_never_panics(text in "\\PC{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let verifier = Keyring::generate().verifier();
        prop_assert_eq!(verifier.user(NOW, &text), Err(Code::TokenInvalid));
        let parts = format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(&bytes), text, URL_SAFE_NO_PAD.encode(text.as_bytes()));
        prop_assert_eq!(verifier.connect(NOW, &parts), Err(Code::TokenInvalid));
    }

    #[test]
    fn a_flipped_bit_never_passes(position in any::<prop::sample::Index>(), bit in 0_u8..7) {
        let keyring = Keyring::generate();
        let mut bytes = keyring.mint_service(NOW, &service()).into_bytes();
        let at = position.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // The last character of a base64 part has unused bits; a text that decodes to the same bytes is the same token.
        if let Ok(text) = String::from_utf8(bytes) {
            let result = keyring.verifier().service(NOW, &text);
            prop_assert!(result.is_err() || result == Ok(service()));
        }
    }
}
