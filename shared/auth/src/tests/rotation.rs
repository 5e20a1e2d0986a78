use std::path::Path;

use ring::signature::Ed25519KeyPair;

use super::*;

const HOUR: Micros = Micros::from_secs(3_600);
const RULES: Rotation = Rotation { every: Micros(10 * HOUR.0), ahead: HOUR, overlap: Micros(3 * HOUR.0) };

/// Claims signed with the keyring's own key: what only a leaked key or an older build could have made.
pub(super) fn signed(keyring: &Keyring, claims: &Value) -> String {
    // The private half leaves a keyring only through its file.
    let file = keyring.file_for_tests();
    let file: Value = serde_json::from_str(&file).expect("JSON");
    let pkcs8 = URL_SAFE_NO_PAD.decode(file["keys"][0]["pkcs8"].as_str().expect("a key")).expect("base64url");
    let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).expect("a key");
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": kid(keyring)});
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn keyring_at(path: &Path) -> Keyring {
    Keyring::load_or_create(path).expect("a keyring")
}

fn kid_of(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a header")).expect("base64url");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    header["kid"].as_str().expect("a kid").to_owned()
}

fn keys_in(jwks: &str) -> usize {
    let jwks: Value = serde_json::from_str(jwks).expect("JSON");
    jwks["keys"].as_array().expect("keys").len()
}

#[test]
fn a_new_key_is_known_before_it_signs_and_the_old_one_stays_for_its_tokens() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keyring.json");
    let keyring = keyring_at(&path);
    assert_eq!(keyring.rotate(NOW, RULES).ok(), Some(false), "the first key is new now");
    let first = kid_of(&keyring.mint_user(NOW, &user()));

    let due = NOW + Micros(9 * HOUR.0);
    assert_eq!(keyring.rotate(due - Micros(1), RULES).ok(), Some(false));
    assert_eq!(keyring.rotate(due, RULES).ok(), Some(true));
    assert_eq!(keys_in(&keyring.jwks()), 2);
    assert_eq!(kid_of(&keyring.mint_user(due, &user())), first, "published, but not signing yet");

    let begins = NOW + Micros(10 * HOUR.0);
    let lasting = UserToken { expires: begins + Micros(2 * HOUR.0), ..user() };
    let old = keyring.mint_user(begins - Micros(1), &lasting);
    let new = keyring.mint_user(begins, &lasting);
    assert_ne!(kid_of(&new), first);
    for token in [&old, &new] {
        assert!(keyring.verifier().user(begins, token).is_ok());
    }
    let other_process = keyring_at(&path);
    assert!(other_process.verifier().user(begins, &new).is_ok(), "the file has the new key");

    assert_eq!(keyring.rotate(begins + RULES.overlap - Micros(1), RULES).ok(), Some(false));
    assert_eq!(keyring.rotate(begins + RULES.overlap, RULES).ok(), Some(true), "the old key is let go");
    assert_eq!(keyring.verifier().user(begins, &old), Err(Code::TokenInvalid));
    assert_eq!(other_process.reload().ok(), Some(true));
    assert_eq!(other_process.verifier().user(begins, &old), Err(Code::TokenInvalid));
    assert_eq!(other_process.reload().ok(), Some(false));
    assert_eq!(keyring_at(&path).salt(), keyring.salt(), "people keep their ids over a change of keys");
}

#[test]
fn an_unknown_key_is_asked_for_where_somebody_brings_it() {
    let (old, new) = (Keyring::generate(), Keyring::generate());
    let verifier = Verifier::from_jwks(&old.jwks()).expect("a key set");
    let token = new.mint_user(NOW, &user());
    verifier.follow();
    assert!(!verifier.take_missed());
    assert_eq!(verifier.user(NOW, &token), Err(Code::TokenKeyUnknown));
    assert!(verifier.take_missed() && !verifier.take_missed());
    verifier.set_keys(&new.jwks()).expect("a key set");
    assert_eq!(verifier.user(NOW, &token), Ok(user()));
    assert!(verifier.set_keys("{}").is_err());
    assert_eq!(verifier.user(NOW, &token), Ok(user()), "a broken answer changes nothing");
}

#[test]
fn a_keyring_of_before_there_were_salts_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (folder.path().join("one.json"), folder.path().join("two.json"));
    let file: Value = serde_json::from_str(&Keyring::generate().file_for_tests()).expect("JSON");
    let old = json!({"keys": [{"pkcs8": file["keys"][0]["pkcs8"]}]}).to_string();
    std::fs::write(&one, &old).expect("written");
    std::fs::write(&two, &old).expect("written");
    assert_eq!(keyring_at(&one).salt(), keyring_at(&two).salt(), "every copy makes the same ids");
}
