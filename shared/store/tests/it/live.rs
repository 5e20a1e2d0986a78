use amphi_shared_store::{LiveStore, Location, StoredKey, StoredRevocation, StoredUser};
use amphi_shared_wire::{AppId, KeyId, Micros, TokenId, UserId};

use crate::NOW;

fn person(id: u128, name: &str, role: &str) -> StoredUser {
    StoredUser {
        user: UserId::from_bits(id),
        app: AppId::default(),
        name: name.to_owned(),
        role: role.to_owned(),
        created: NOW,
        seen: NOW,
    }
}

pub(crate) async fn people(location: &Location) {
    let store = LiveStore::open(location).await.expect("opened");
    let names =
        ["Ann", "'; DROP TABLE users; --", "<script>alert(1)</script>", "$1 %s \\ \u{1f600}", "ünï\u{202e}cødé"];
    for (id, name) in (1..).zip(names) {
        let user = person(id, name, "user");
        assert!(store.add_user(&user).await.expect("added"));
        assert_eq!(store.user(user.user).await.expect("read"), Some(user));
    }
    assert!(!store.add_user(&person(9, "Ann", "operator")).await.expect("asked"), "an account's name is taken");
    assert_eq!(store.user(UserId::from_bits(9)).await.expect("read"), None);
    assert!(store.add_user(&person(10, "Ann", "guest")).await.expect("added"), "a guest may share a name");
    assert!(store.add_user(&person(11, "Ann", "guest")).await.expect("added"));
    let elsewhere = StoredUser { app: "shop".parse().expect("an app"), ..person(12, "Ann", "user") };
    assert!(store.add_user(&elsewhere).await.expect("added"), "another app has its own names");
    let later = StoredUser { seen: NOW + Micros::from_secs(100), ..person(13, "Zoe", "guest") };
    assert!(store.add_user(&later).await.expect("added"));
    assert_eq!(store.purge(NOW + Micros::from_secs(1)).await.expect("purged"), 2, "old guests go");
    assert!(store.user(later.user).await.expect("read").is_some());
    assert!(store.user(UserId::from_bits(1)).await.expect("read").is_some(), "accounts stay");
    store.close().await;
}

pub(crate) async fn codes(location: &Location) {
    let store = LiveStore::open(location).await.expect("opened");
    let ann = person(1, "Ann", "moderator");
    let end = NOW + Micros::from_secs(60);
    assert!(store.add_user_with_code(&ann, "hash-1", end).await.expect("added"));
    let (now, again) = (NOW + Micros::from_secs(1), NOW + Micros::from_secs(2));
    assert_eq!(store.take_code("unknown", now).await.expect("asked"), None);
    let taken = store.take_code("hash-1", now).await.expect("asked");
    assert_eq!(taken, Some(StoredUser { seen: now, ..ann.clone() }));
    assert_eq!(store.take_code("hash-1", again).await.expect("asked"), None, "a code works once");
    assert!(store.add_user_with_code(&person(3, "Bob", "editor"), "hash-2", end).await.expect("added"));
    assert_eq!(store.take_code("hash-2", end).await.expect("asked"), None, "a code expires");
    assert!(!store.add_user_with_code(&person(2, "Ann", "editor"), "hash-3", end).await.expect("asked"));
    assert_eq!(store.take_code("hash-3", now).await.expect("asked"), None, "a refused account leaves no code");
    assert!(store.add_user_with_code(&person(4, "Cem", "editor"), "hash-4", end).await.expect("added"));
    let (one, two) = tokio::join!(store.take_code("hash-4", now), store.take_code("hash-4", now));
    let winners = [one, two].into_iter().filter(|taken| matches!(taken, Ok(Some(_)))).count();
    assert_eq!(winners, 1, "of two at the same time one gets in");
    store.close().await;
}

pub(crate) async fn first_operator(location: &Location) {
    let store = LiveStore::open(location).await.expect("opened");
    let app = AppId::default();
    assert!(!store.has_role(&app, "operator").await.expect("asked"));
    assert!(store.add_user(&person(1, "Root", "operator")).await.expect("added"));
    assert!(store.has_role(&app, "operator").await.expect("asked"));
    assert!(!store.has_role(&"shop".parse().expect("an app"), "operator").await.expect("asked"));
    store.close().await;
}

pub(crate) async fn revocations(location: &Location) {
    let store = LiveStore::open(location).await.expect("opened");
    let (soon, late) = (NOW + Micros::from_secs(10), NOW + Micros::from_secs(100));
    let token = StoredRevocation::Token { id: TokenId::from_bits(1), expires: soon };
    let person = |before, expires| StoredRevocation::User { user: UserId::from_bits(2), before, expires };
    for revocation in [token, token, person(NOW, late), person(NOW - Micros(5), soon)] {
        store.revoke(revocation).await.expect("stored");
    }
    assert_eq!(store.revocations(NOW).await.expect("read"), [token, person(NOW, late)], "later moments stay");
    assert_eq!(store.revocations(soon).await.expect("read"), [person(NOW, late)]);
    assert_eq!(store.purge_revocations(soon).await.expect("purged"), 1);
    assert_eq!(store.revocations(NOW).await.expect("read"), [person(NOW, late)]);
    store.close().await;
}

pub(crate) async fn api_keys(location: &Location) {
    let store = LiveStore::open(location).await.expect("opened");
    let key = |id: u128, hash: &str| StoredKey {
        id: KeyId::from_bits(id),
        hash: hash.to_owned(),
        app: AppId::default(),
        name: "'; DROP TABLE api_keys; --".to_owned(),
        scopes: vec!["topics.publish".to_owned(), "topics.read".to_owned()],
        topics: vec!["news:**".to_owned(), "a:*".to_owned()],
        calls_per_s: 50,
        created: NOW,
        expires: Some(NOW + Micros::from_secs(60)),
        used: None,
        revoked: None,
    };
    let bare = StoredKey { scopes: Vec::new(), topics: Vec::new(), expires: None, ..key(2, "hash-2") };
    let all = async || store.keys().await.expect("read");
    store.add_key(&key(1, "hash-1")).await.expect("added");
    store.add_key(&bare).await.expect("added");
    assert!(store.add_key(&key(3, "hash-1")).await.is_err(), "no two keys have one hash");
    assert_eq!(all().await, [key(1, "hash-1"), bare.clone()]);
    let (used, late) = (NOW + Micros(7), NOW + Micros::from_secs(9));
    store.key_used(KeyId::from_bits(2), used).await.expect("written");
    assert!(store.revoke_key(KeyId::from_bits(2), late).await.expect("revoked"));
    assert!(!store.revoke_key(KeyId::from_bits(2), late + Micros(1)).await.expect("asked"), "once");
    assert!(!store.revoke_key(KeyId::from_bits(9), late).await.expect("asked"), "there is none");
    let ended = StoredKey { used: Some(used), revoked: Some(late), ..bare };
    assert_eq!(all().await, [key(1, "hash-1"), ended]);
    assert_eq!(store.purge_keys(late).await.expect("purged"), 1, "what ended is forgotten later");
    assert_eq!(store.purge_keys(NOW + Micros::from_secs(60)).await.expect("purged"), 1);
    assert_eq!(all().await, []);
    store.close().await;
}
