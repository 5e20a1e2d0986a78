use std::collections::BTreeMap;

use amphi_shared_wire::TopicGrants;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};

use super::*;

const SECRET: &[u8] = b"thirty-two bytes that are shared";
const SALT: &[u8] = b"salt";
const ISSUER: &str = "https://login.example.org/";

pub(super) fn config(secret: Option<&[u8]>) -> IssuerConfig {
    IssuerConfig {
        issuer: ISSUER.to_owned(),
        audience: "game".to_owned(),
        secret: secret.map(<[u8]>::to_vec),
        app: AppId::default(),
        role: Role::User,
        algorithms: SignatureAlgorithm::ALL.to_vec(),
        claims: ClaimNames::default(),
        scopes: Default::default(),
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": ["other", "game"], "sub": "auth0|17", "iat": NOW.0 / 1_000_000,
        "exp": NOW.0 / 1_000_000 + 60, "name": "Ann", "subscribe": ["news"], "email": "ann@example.org",
    })
}

fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// One key of each kind, as a key set, and what signs with them.
struct Keys {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Keys {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let ed = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
        Self {
            rsa: RsaKeyPair::from_pkcs8(include_bytes!("rsa_test_key.pk8")).expect("a key"),
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).expect("a key"),
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).expect("a key"),
        }
    }

    fn jwks(&self) -> String {
        let (n, e) = self.rsa_components();
        let point = self.ec.public_key().as_ref();
        json!({"keys": [
            {"kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": n, "e": e},
            {"kty": "EC", "kid": "ec", "crv": "P-256",
             "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..])},
            {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(self.ed.public_key())},
            {"kty": "oct", "kid": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)},
            {"kty": "RSA", "kid": "enc", "use": "enc", "n": n, "e": e},
        ]})
        .to_string()
    }

    fn rsa_components(&self) -> (String, String) {
        let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e))
    }

    fn rs256(&self, header: &Value, claims: &Value) -> String {
        token(header, claims, |message| {
            let mut signature = vec![0; self.rsa.public().modulus_len()];
            self.rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("signed");
            signature
        })
    }

    fn es256(&self, header: &Value, claims: &Value) -> String {
        token(header, claims, |message| self.ec.sign(&SystemRandom::new(), message).expect("signed").as_ref().to_vec())
    }

    fn eddsa(&self, header: &Value, claims: &Value) -> String {
        token(header, claims, |message| self.ed.sign(message).as_ref().to_vec())
    }
}

fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    token(header, claims, |message| hmac::sign(&key, message).as_ref().to_vec())
}

fn verifier(secret: Option<&[u8]>) -> (Verifier, Keys) {
    let (verifier, keys) = (Keyring::generate().verifier(), Keys::new());
    verifier.set_issuers(vec![config(secret)], SALT).expect("an issuer");
    verifier.set_issuer_keys(ISSUER, &keys.jwks()).expect("a key set");
    (verifier, keys)
}

#[test]
fn every_algorithm_of_another_issuer_is_taken_with_its_own_key() {
    let (verifier, keys) = verifier(None);
    let ann = verifier.user(NOW, &keys.rs256(&json!({"alg": "RS256", "kid": "rsa"}), &claims())).expect("taken");
    assert_eq!((ann.name.as_str(), ann.role, ann.subscribe.len()), ("Ann", Role::User, 1));
    assert_eq!((ann.issued, ann.expires), (NOW, NOW + Micros::from_secs(60)));
    let es = verifier.user(NOW, &keys.es256(&json!({"alg": "ES256", "kid": "ec"}), &claims())).expect("taken");
    let ed = verifier.user(NOW, &keys.eddsa(&json!({"alg": "EdDSA", "kid": "ed"}), &claims())).expect("taken");
    assert_eq!([es.user, ed.user], [ann.user, ann.user], "the subject makes the person, not the key");
    let mut bob = claims();
    bob["sub"] = json!("auth0|18");
    let bob = verifier.user(NOW, &keys.eddsa(&json!({"alg": "EdDSA", "kid": "ed"}), &bob)).expect("taken");
    assert_ne!(bob.user, ann.user);

    let (shared, _) = self::verifier(Some(SECRET));
    let hs = shared.user(NOW, &hs256(SECRET, &json!({"alg": "HS256"}), &claims())).expect("taken");
    assert_eq!(hs.user, ann.user);
}

#[test]
fn the_token_never_chooses_the_algorithm() {
    let (verifier, keys) = verifier(None);
    let check = |token: &str, code| assert_eq!(verifier.user(NOW, token), Err(code), "{token}");
    for alg in ["none", "None", "NONE", ""] {
        check(&token(&json!({"alg": alg, "kid": "rsa"}), &claims(), |_| Vec::new()), Code::TokenAlgorithm);
    }
    // The public half of an RSA key as the secret of an HMAC.
    let modulus = URL_SAFE_NO_PAD.decode(keys.rsa_components().0).expect("base64url");
    check(&hs256(&modulus, &json!({"alg": "HS256", "kid": "rsa"}), &claims()), Code::TokenAlgorithm);
    check(&keys.rs256(&json!({"alg": "RS512", "kid": "rsa"}), &claims()), Code::TokenAlgorithm);
    check(&keys.es256(&json!({"alg": "ES256", "kid": "rsa"}), &claims()), Code::TokenAlgorithm);
    check(&keys.rs256(&json!({"alg": "RS256", "kid": "ec"}), &claims()), Code::TokenAlgorithm);
    check(&keys.es256(&json!({"alg": "RS256", "kid": "rsa"}), &claims()), Code::TokenInvalid);
    // Symmetric and encryption keys in a public set are no keys.
    check(&hs256(SECRET, &json!({"alg": "HS256", "kid": "oct"}), &claims()), Code::TokenKeyUnknown);
    check(&keys.rs256(&json!({"alg": "RS256", "kid": "enc"}), &claims()), Code::TokenKeyUnknown);
    check(&keys.rs256(&json!({"alg": "RS256", "kid": "rsa", "crit": ["exp"]}), &claims()), Code::TokenInvalid);
    let (shared, keys) = self::verifier(Some(SECRET));
    let rsa = keys.rs256(&json!({"alg": "RS256", "kid": "rsa"}), &claims());
    assert_eq!(shared.user(NOW, &rsa), Err(Code::TokenAlgorithm), "an issuer with a secret has no other key");
}

#[test]
fn what_is_meant_for_others_is_refused_by_name() {
    let (verifier, keys) = verifier(None);
    let check = |change: fn(&mut Value), code| {
        let mut claims = claims();
        change(&mut claims);
        assert_eq!(
            verifier.user(NOW, &keys.eddsa(&json!({"alg": "EdDSA", "kid": "ed"}), &claims)),
            Err(code),
            "{claims}"
        );
    };
    check(|c| c["iss"] = json!("https://evil.example.org/"), Code::TokenIssuer);
    check(|c| c["iss"] = json!("amphi"), Code::TokenInvalid);
    check(|c| c["aud"] = json!("shop"), Code::TokenAudience);
    check(|c| c["aud"] = json!(["shop", "amphi:user"]), Code::TokenAudience);
    check(|c| c["exp"] = json!(NOW.0 / 1_000_000), Code::TokenExpired);
    check(|c| c["exp"] = json!(NOW.0 / 1_000_000 + 100 * 24 * 3_600), Code::TokenInvalid);
    check(|c| c["exp"] = json!(-1), Code::TokenInvalid);
    check(|c| c["nbf"] = json!(NOW.0 / 1_000_000 + 61), Code::TokenInvalid);
    check(|c| c["sub"] = json!(""), Code::TokenInvalid);
    check(|c| drop(c.as_object_mut().expect("an object").remove("iat")), Code::TokenInvalid);
    check(|c| drop(c.as_object_mut().expect("an object").remove("aud")), Code::TokenInvalid);
    check(|c| c["subscribe"] = json!(["Not A Topic"]), Code::TokenInvalid);
    let unknown = keys.eddsa(&json!({"alg": "EdDSA", "kid": "next"}), &claims());
    assert_eq!(verifier.user(NOW, &unknown), Err(Code::TokenKeyUnknown));
    assert!(verifier.take_missed_foreign() && !verifier.take_missed_foreign());
    // Only user tokens come from elsewhere.
    let good = keys.eddsa(&json!({"alg": "EdDSA", "kid": "ed"}), &claims());
    assert_eq!(verifier.service(NOW, &good), Err(Code::TokenInvalid));
    assert_eq!(verifier.connect(NOW, &good), Err(Code::TokenInvalid));
}

#[test]
fn an_issuer_says_in_its_own_claims_who_somebody_is_and_what_they_may() {
    let patterns = |names: &[&str]| names.iter().map(|name| name.parse().expect("a pattern")).collect::<Vec<_>>();
    let talk = TopicGrants { publish: patterns(&["room:**"]), read: patterns(&["room:**"]), ..TopicGrants::default() };
    let look = TopicGrants { presence: patterns(&["room:*"]), ..TopicGrants::default() };
    let claims = ClaimNames {
        subject: "player_id".to_owned(),
        name: "nickname".to_owned(),
        topics: "https://game.example.org/topics".to_owned(),
        scope: "scp".to_owned(),
    };
    let scopes = BTreeMap::from([("chat.write".to_owned(), talk), ("chat.look".to_owned(), look)]);
    let (verifier, keys) = (Keyring::generate().verifier(), Keys::new());
    let issuer = IssuerConfig { algorithms: vec![SignatureAlgorithm::Es256], claims, scopes, ..config(None) };
    verifier.set_issuers(vec![issuer], SALT).expect("an issuer");
    verifier.set_issuer_keys(ISSUER, &keys.jwks()).expect("a key set");
    let now = NOW.0 / 1_000_000;
    let mut said = json!({
        "iss": ISSUER, "aud": "game", "sub": "machine", "player_id": 17, "nickname": "Ann", "name": "Other",
        "iat": now, "exp": now + 60, "scp": "openid chat.write chat.look",
        "https://game.example.org/topics": {"read": ["news:*"]}, "topics": {"publish": ["**"]},
    });
    let token = |claims: &Value| keys.es256(&json!({"alg": "ES256", "kid": "ec"}), claims);
    let ann = verifier.user(NOW, &token(&said)).expect("taken");
    let expected = TopicGrants {
        publish: patterns(&["room:**"]),
        read: patterns(&["news:*", "room:**"]),
        presence: patterns(&["room:*"]),
    };
    assert_eq!((ann.name.as_str(), &ann.grants), ("Ann", &expected));
    said["sub"] = json!("another");
    said["player_id"] = json!("17");
    said["scp"] = json!(["chat.look", 7, "unheard of"]);
    let again = verifier.user(NOW, &token(&said)).expect("taken");
    assert_eq!((again.user, again.grants.publish.len(), again.grants.presence.len()), (ann.user, 0, 1));
    for subject in [json!(""), json!(null), json!(["17"]), json!(true)] {
        said["player_id"] = subject;
        assert_eq!(verifier.user(NOW, &token(&said)), Err(Code::TokenInvalid), "{said}");
    }
    said["player_id"] = json!("17");
    said["https://game.example.org/topics"] = json!("news");
    assert_eq!(verifier.user(NOW, &token(&said)), Err(Code::TokenInvalid));
    // Its other keys are none for this issuer.
    let rsa = keys.rs256(&json!({"alg": "RS256", "kid": "rsa"}), &said);
    assert_eq!(verifier.user(NOW, &rsa), Err(Code::TokenKeyUnknown));
}

#[test]
fn a_name_that_cannot_be_shown_is_replaced() {
    let (verifier, keys) = verifier(None);
    for name in [json!("\u{202e}evil"), json!(7), json!(""), json!("x".repeat(25)), Value::Null] {
        let mut claims = claims();
        claims["name"] = name;
        let token = keys.eddsa(&json!({"alg": "EdDSA", "kid": "ed"}), &claims);
        assert_eq!(verifier.user(NOW, &token).map(|user| user.name).as_deref(), Ok("Guest"), "{claims}");
    }
}

#[test]
fn another_issuers_token_and_person_can_be_revoked() {
    let (verifier, keys) = verifier(None);
    let token = keys.eddsa(&json!({"alg": "EdDSA", "kid": "ed"}), &claims());
    let ann = verifier.user(NOW, &token).expect("taken");
    let one = Revocation { what: Revoked::Token(ann.id), expires: ann.expires };
    verifier.revoke(NOW, one).expect("room for one");
    assert_eq!(verifier.user(NOW, &token), Err(Code::TokenRevoked));
    let mut other = claims();
    other["jti"] = json!("second");
    let token = keys.eddsa(&json!({"alg": "EdDSA", "kid": "ed"}), &other);
    assert!(verifier.user(NOW, &token).is_ok());
    let all = Revocation { what: Revoked::User { user: ann.user, before: NOW }, expires: ann.expires };
    verifier.revoke(NOW, all).expect("room for one");
    assert_eq!(verifier.user(NOW, &token), Err(Code::TokenRevoked));
}

#[test]
fn a_careless_issuer_is_refused() {
    let verifier = Keyring::generate().verifier();
    let check = |config, error| assert_eq!(verifier.set_issuers(vec![config], SALT), Err(error));
    check(config(Some(b"short")), IssuerError::Secret);
    check(IssuerConfig { issuer: "amphi".to_owned(), ..config(None) }, IssuerError::Name);
    check(IssuerConfig { audience: String::new(), ..config(None) }, IssuerError::Name);
    check(IssuerConfig { role: Role::Operator, ..config(None) }, IssuerError::Role);
    assert_eq!(verifier.set_issuers(vec![config(None), config(None)], SALT), Err(IssuerError::Name));
}
