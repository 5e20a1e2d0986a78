//! Tokens, their claims behind a signature that is right, and public keys.

use std::sync::OnceLock;

use amphi_shared_auth::{ClaimNames, IssuerConfig, Role, SignatureAlgorithm, Verifier};
use amphi_shared_wire::limits::SUBSCRIPTIONS_MAX;
use amphi_shared_wire::{AppId, Micros};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};

const NOW: Micros = Micros::from_secs(1_763_000_000);
/// A private key that everybody knows.
const SEED: [u8; 32] = [7; 32];
const ISSUER: &str = "https://id.example";
const SECRET: &[u8] = b"a secret that everybody may know";

/// Reads `bytes` as a token of each kind.
pub fn tokens(bytes: &[u8]) {
    if let Ok(token) = std::str::from_utf8(bytes) {
        accepted(token);
    }
}

/// Reads `bytes` as the claims of tokens that our key and a foreign issuer have signed.
///
/// # Panics
/// More was taken than is allowed.
pub fn claims(bytes: &[u8]) {
    for token in signed(bytes) {
        accepted(&token);
    }
}

/// Tokens with these claims, signed by our key and by a foreign issuer.
pub(crate) fn signed(bytes: &[u8]) -> [String; 2] {
    let claims = URL_SAFE_NO_PAD.encode(bytes);
    let ours = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"k"}"#));
    let signature = key().sign(ours.as_bytes());
    let ours = format!("{ours}.{}", URL_SAFE_NO_PAD.encode(signature));
    let theirs = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), theirs.as_bytes());
    [ours, format!("{theirs}.{}", URL_SAFE_NO_PAD.encode(tag))]
}

/// Reads `bytes` as a set of public keys.
pub fn jwks(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Whatever it holds, checking a token with it must end.
    if let Ok(verifier) = Verifier::from_jwks(text) {
        let _ = verifier.user(NOW, "e30.e30.e30");
    }
    let public = IssuerConfig { secret: None, issuer: "https://public.example".to_owned(), ..issuer() };
    let verifier = trusting(public.clone());
    let _ = verifier.set_issuer_keys(&public.issuer, text);
    let _ = verifier.user(NOW, "e30.e30.e30");
}

/// As how many kinds of token this one passes.
pub(crate) fn accepted(token: &str) -> usize {
    let verifier = verifier();
    let (user, connect) = (verifier.user(NOW, token), verifier.connect(NOW, token));
    let service = verifier.service(NOW, token);
    if let Ok(user) = &user {
        assert!(user.subscribe.len() <= SUBSCRIPTIONS_MAX);
    }
    let ends = [user.map(|user| user.expires), connect.map(|connect| connect.expires), service.map(|s| s.expires)];
    assert!(ends.iter().flatten().all(|expires| *expires > NOW));
    ends.iter().flatten().count()
}

fn key() -> &'static Ed25519KeyPair {
    static KEY: OnceLock<Ed25519KeyPair> = OnceLock::new();
    KEY.get_or_init(|| Ed25519KeyPair::from_seed_unchecked(&SEED).expect("32 bytes are a seed"))
}

fn issuer() -> IssuerConfig {
    IssuerConfig {
        issuer: ISSUER.to_owned(),
        audience: "amphi".to_owned(),
        secret: Some(SECRET.to_vec()),
        app: AppId::default(),
        role: Role::User,
        algorithms: SignatureAlgorithm::ALL.to_vec(),
        claims: ClaimNames::default(),
        scopes: Default::default(),
    }
}

fn verifier() -> Verifier {
    static VERIFIER: OnceLock<Verifier> = OnceLock::new();
    VERIFIER.get_or_init(|| trusting(issuer())).clone()
}

/// A verifier with our key and one issuer.
fn trusting(issuer: IssuerConfig) -> Verifier {
    let public = URL_SAFE_NO_PAD.encode(key().public_key());
    let jwks = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","x":"{public}"}}]}}"#);
    let verifier = Verifier::from_jwks(&jwks).expect("one key");
    verifier.set_issuers(vec![issuer], b"salt").expect("one issuer");
    verifier
}
