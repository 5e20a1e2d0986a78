use super::*;

#[test]
fn a_key_is_read_back_and_hides_itself() {
    let key = ApiKey::generate();
    assert_eq!(key.as_str().parse(), Ok(key.clone()));
    assert_eq!(key.as_str().len(), API_KEY_PREFIX.len() + 32);
    assert_eq!(format!("{key:?}"), "ApiKey(…)");
    assert_ne!(key.hash(), ApiKey::generate().hash());
    let long = format!("{}AAAA", key.as_str());
    for wrong in ["", "amk_", "amk_short", &key.as_str()[4..], &long, "amk_ü", &key.as_str().replace("amk_", "AMK_")] {
        assert!(wrong.parse::<ApiKey>().is_err(), "{wrong}");
    }
}

#[test]
fn scopes_have_names() {
    for scope in KeyScope::ALL {
        assert_eq!(scope.to_string().parse(), Ok(scope));
    }
    assert!("topics.all".parse::<KeyScope>().unwrap_err().contains("topics.publish, topics.read"));
}
