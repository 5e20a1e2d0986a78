//! API keys: with them services outside of the deployment call the public API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use amphi_shared_auth::{ApiKey, DisplayName, KeyScope, random_bytes};
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::http::Problem;
use amphi_shared_session::RateLimit;
use amphi_shared_store::{LiveStore, StoreError, StoredKey};
use amphi_shared_wire::limits::{
    API_KEY_CALLS_PER_S_MAX, API_KEY_USED_MS, API_KEYS_MAX, PUBLISH_BATCH_MAX, TOPIC_GRANTS_MAX,
};
use amphi_shared_wire::proto::KeyInfo;
use amphi_shared_wire::{AppId, Code, KeyId, Micros, Rng, Seed, Topic, TopicPattern};

/// How long a key that has ended is still listed.
const LISTED: Micros = Micros::from_secs(90 * 24 * 3_600);

/// Makes, lists, revokes and checks API keys. Cheap to clone.
#[derive(Clone)]
pub struct KeyDesk {
    shared: Arc<Shared>,
}

struct Shared {
    app: AppId,
    store: LiveStore,
    clock: Clock,
    ids: Mutex<Rng>,
    /// By the hash of the key.
    keys: RwLock<HashMap<String, Arc<Key>>>,
}

/// A wish for a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyWish {
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// Patterns of the topics that it may be used for.
    pub topics: Vec<String>,
    /// How long it lasts, s; `None`: until it is revoked.
    pub ttl_s: Option<u64>,
    /// Calls per second.
    pub calls_per_s: u32,
}

/// A key that counts, or did.
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) app: AppId,
    scopes: Vec<KeyScope>,
    topics: Vec<TopicPattern>,
    expires: Option<Micros>,
    /// As it was read or made.
    stored: StoredKey,
    state: Mutex<State>,
}

struct State {
    rate: RateLimit,
    used: Option<Micros>,
    /// What the database knows of it.
    written: Option<Micros>,
    revoked: Option<Micros>,
}

impl KeyDesk {
    /// A desk over a live role's database, with the keys in it.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub async fn open(app: AppId, store: LiveStore, clock: Clock) -> Result<Self, StoreError> {
        let ids = Mutex::new(Seed(u64::from_le_bytes(random_bytes())).split("keys").rng());
        let mut keys = HashMap::new();
        for stored in store.keys().await? {
            match Key::new(stored) {
                Ok(key) => {
                    keys.insert(key.stored.hash.clone(), Arc::new(key));
                }
                Err((id, why)) => tracing::error!(key = %id, why, "an API key is left out"),
            }
        }
        Ok(Self { shared: Arc::new(Shared { app, store, clock, ids, keys: RwLock::new(keys) }) })
    }

    /// Makes a key: its text, which is not kept, and what is.
    ///
    /// # Errors
    /// `RequestInvalid` names the field; `NameInvalid`; `Overloaded`: there are as many keys as may be.
    pub async fn create(&self, wish: &KeyWish) -> Result<(ApiKey, KeyInfo), Problem> {
        let now = self.shared.clock.now();
        let name = DisplayName::parse(&wish.name)?.into_string();
        let invalid = |why: String| Problem::new(Code::RequestInvalid, why);
        if wish.scopes.is_empty() {
            return Err(invalid(format!("name a scope: {}", KeyScope::ALL.map(KeyScope::as_str).join(", "))));
        }
        if wish.topics.len() > TOPIC_GRANTS_MAX {
            return Err(invalid(format!("a key has at most {TOPIC_GRANTS_MAX} patterns of topics")));
        }
        if !(1..=API_KEY_CALLS_PER_S_MAX).contains(&wish.calls_per_s) {
            return Err(invalid(format!("calls per second: 1 to {API_KEY_CALLS_PER_S_MAX}")));
        }
        let text = ApiKey::generate();
        let mut scopes = wish.scopes.clone();
        scopes.sort();
        scopes.dedup();
        let expires = wish.ttl_s.map(|ttl_s| Micros(now.0.saturating_add(ttl_s.saturating_mul(1_000_000))));
        let stored = StoredKey {
            id: KeyId::generate(now, &mut self.ids()),
            hash: text.hash(),
            app: self.shared.app.clone(),
            name,
            scopes,
            topics: wish.topics.clone(),
            calls_per_s: wish.calls_per_s,
            created: now,
            expires,
            used: None,
            revoked: None,
        };
        let key = Key::new(stored.clone()).map_err(|(_, why)| invalid(why))?;
        let needs_topics = key.scopes.iter().any(|scope| match scope {
            KeyScope::TopicsPublish | KeyScope::TopicsRead | KeyScope::TopicsPresence => true,
            KeyScope::SessionsDisconnect => false,
        });
        if needs_topics && key.topics.is_empty() {
            return Err(invalid("name topics: `news:**` is news and all below it, `*:**` is every topic".to_owned()));
        }
        if self.all().iter().filter(|key| key.counts(now).is_ok()).count() >= API_KEYS_MAX {
            return Err(Problem::new(Code::Overloaded, format!("there are {API_KEYS_MAX} keys; revoke some")));
        }
        self.shared.store.add_key(&stored).await.map_err(Problem::internal)?;
        self.shared.keys.write().unwrap_or_else(PoisonError::into_inner).insert(stored.hash.clone(), Arc::new(key));
        tracing::info!(key = %stored.id, scopes = ?stored.scopes, topics = ?stored.topics, "an API key was made");
        Ok((text, info(stored)))
    }

    /// Every key, the oldest first; those that ended long ago are gone.
    pub fn list(&self) -> Vec<KeyInfo> {
        let mut keys: Vec<_> = self.all().iter().map(|key| key.told()).collect();
        keys.sort_by_key(|key| key.id);
        keys.into_iter().map(info).collect()
    }

    /// Revokes a key by its id, or by its whole text. From then on it is refused in this process.
    ///
    /// # Errors
    /// `RequestInvalid`: the text is neither. `ApiKeyUnknown`, `ApiKeyRevoked`.
    pub async fn revoke(&self, what: &str) -> Result<KeyId, Problem> {
        let now = self.shared.clock.now();
        let id = match (what.parse::<KeyId>(), what.parse::<ApiKey>()) {
            (Ok(id), _) => id,
            (_, Ok(text)) => self.find(&text)?.id,
            _ => return Err(Problem::new(Code::RequestInvalid, "name a key (key_…), or give the whole key (amk_…)")),
        };
        let known = self.all().into_iter().find(|key| key.id == id).ok_or(Code::ApiKeyUnknown)?;
        if !self.shared.store.revoke_key(id, now).await.map_err(Problem::internal)? {
            return Err(Code::ApiKeyRevoked.into());
        }
        known.state().revoked = Some(now);
        tracing::info!(key = %id, "an API key was revoked");
        Ok(id)
    }

    /// The key behind `text`, when it counts and has this scope.
    pub(crate) fn admit(&self, text: &str, scope: KeyScope) -> Result<Arc<Key>, Problem> {
        let key = self.find(&text.parse().map_err(|why| Problem::new(Code::ApiKeyUnknown, why))?)?;
        let now = self.shared.clock.now();
        key.counts(now)?;
        if !key.scopes.contains(&scope) {
            return Err(Problem::new(Code::RoleMissing, format!("this needs a key with the scope {scope}")));
        }
        if let Some(used) = key.used(now) {
            let (store, id) = (self.shared.store.clone(), key.id);
            tokio::spawn(async move {
                if let Err(error) = store.key_used(id, used).await {
                    tracing::warn!(%error, key = %id, "the use of an API key was not written");
                }
            });
        }
        Ok(key)
    }

    /// Takes one call of what a key may make.
    pub(crate) fn pace(&self, key: &Key) -> Result<(), Problem> {
        key.state().rate.check(self.shared.clock.now()).map_err(|wait| {
            let ms = u32::try_from(wait.0.div_ceil(1_000)).unwrap_or(u32::MAX);
            Problem::new(Code::RateLimited, "this key makes more calls than it may").retry_after(ms)
        })
    }

    /// Forgets keys that ended long ago.
    pub(crate) async fn purge(&self) {
        let before = self.shared.clock.now() - LISTED;
        if let Err(error) = self.shared.store.purge_keys(before).await {
            return tracing::warn!(%error, "API keys could not be forgotten");
        }
        let mut keys = self.shared.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, key| key.counts(before).is_ok());
    }

    fn find(&self, text: &ApiKey) -> Result<Arc<Key>, Problem> {
        let keys = self.shared.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(&text.hash()).cloned().ok_or_else(|| Code::ApiKeyUnknown.into())
    }

    fn all(&self) -> Vec<Arc<Key>> {
        self.shared.keys.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn ids(&self) -> MutexGuard<'_, Rng> {
        self.shared.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn new(stored: StoredKey) -> Result<Self, (KeyId, String)> {
        let wrong = |why: String| (stored.id, why);
        let scopes = stored.scopes.iter().map(|scope| scope.parse()).collect::<Result<_, _>>().map_err(wrong)?;
        let topic = |topic: &String| {
            topic.parse::<TopicPattern>().map_err(|error| format!("topic `{}`: {error}", topic.escape_debug()))
        };
        let topics = stored.topics.iter().map(topic).collect::<Result<_, _>>().map_err(wrong)?;
        let burst = stored.calls_per_s.saturating_mul(10).saturating_add(PUBLISH_BATCH_MAX as u32);
        let state = State {
            rate: RateLimit::new(stored.calls_per_s, burst),
            used: stored.used,
            written: stored.used,
            revoked: stored.revoked,
        };
        let (id, app, expires) = (stored.id, stored.app.clone(), stored.expires);
        Ok(Self { id, app, scopes, topics, expires, stored, state: Mutex::new(state) })
    }

    /// Whether it may be used for a topic. A name that is none is for others to refuse.
    pub(crate) fn covers(&self, topic: &str) -> bool {
        topic.parse::<Topic>().map_or(true, |topic| self.topics.iter().any(|pattern| pattern.matches(&topic)))
    }

    fn counts(&self, now: Micros) -> Result<(), Code> {
        if self.state().revoked.is_some_and(|at| at <= now) {
            return Err(Code::ApiKeyRevoked);
        }
        if self.expires.is_some_and(|at| at <= now) { Err(Code::TokenExpired) } else { Ok(()) }
    }

    /// Notes that it is used; when the database should hear of it.
    fn used(&self, now: Micros) -> Option<Micros> {
        let mut state = self.state();
        state.used = Some(now);
        let due = state.written.is_none_or(|written| now >= written + Micros::from_millis(API_KEY_USED_MS));
        if due {
            state.written = Some(now);
        }
        due.then_some(now)
    }

    fn told(&self) -> StoredKey {
        let state = self.state();
        StoredKey { used: state.used, revoked: state.revoked, ..self.stored.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn info(key: StoredKey) -> KeyInfo {
    let us = |at: Option<Micros>| at.map_or(0, |at| at.0);
    KeyInfo {
        key_id: key.id.to_string(),
        name: key.name,
        scopes: key.scopes,
        topics: key.topics,
        calls_per_s: key.calls_per_s,
        created_us: key.created.0,
        expires_us: us(key.expires),
        used_us: us(key.used),
        revoked_us: us(key.revoked),
    }
}
