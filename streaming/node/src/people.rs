//! People: guests, sign-in codes and the tokens they lead to.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amphi_shared_auth::{DisplayName, Keyring, OneTimeCode, Role, UserToken, random_bytes};
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::http::Problem;
use amphi_shared_session::RateTable;
use amphi_shared_store::{LiveStore, StoredUser};
use amphi_shared_wire::{Code, Rng, Seed, TokenId, UserId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::LiveConfig;

/// Guests, sign-in codes and the tokens they lead to. Cheap to clone.
#[derive(Clone)]
pub(crate) struct People {
    shared: Arc<Shared>,
}

struct Shared {
    config: LiveConfig,
    store: LiveStore,
    keyring: Keyring,
    clock: Clock,
    ids: Mutex<Rng>,
    sign_ins: Mutex<RateTable<IpAddr>>,
}

/// What a person gets for signing in.
#[derive(Debug, JsonSchema, Serialize)]
pub(crate) struct SignedIn {
    token: String,
    user: PublicUser,
    expires_us: u64,
}

#[derive(Debug, JsonSchema, Serialize)]
struct PublicUser {
    id: String,
    name: String,
    #[schemars(with = "String")]
    role: Role,
}

/// Adds an account (name, role) to the database of a live role that does not run: the person, and the code that signs
/// them in once.
///
/// # Errors
/// The name or role is not valid, the name is taken, or the database failed.
pub async fn add_account(
    config: LiveConfig,
    store: LiveStore,
    keys: (Keyring, Clock),
    (name, role): (&str, &str),
) -> Result<(UserId, OneTimeCode), Problem> {
    People::new(config, store, keys).add(name, role).await
}

impl People {
    pub(crate) fn new(config: LiveConfig, store: LiveStore, (keyring, clock): (Keyring, Clock)) -> Self {
        let ids = Mutex::new(Seed(u64::from_le_bytes(random_bytes())).split("users").rng());
        let sign_ins = Mutex::new(config.sign_ins.table());
        Self { shared: Arc::new(Shared { config, store, keyring, clock, ids, sign_ins }) }
    }

    pub(crate) fn jwks(&self) -> String {
        self.shared.keyring.jwks()
    }

    /// Makes a guest of this name.
    pub(crate) async fn guest(&self, peer: IpAddr, name: &str) -> Result<SignedIn, Problem> {
        let name = DisplayName::parse(name)?;
        self.check_rate(peer)?;
        let user = self.fresh(name, Role::Guest);
        self.shared.store.add_user(&user).await.map_err(Problem::internal)?;
        self.token(user)
    }

    /// Takes a sign-in code.
    pub(crate) async fn sign_in(&self, peer: IpAddr, code: &str) -> Result<SignedIn, Problem> {
        self.check_rate(peer)?;
        let code: OneTimeCode = code.parse().map_err(|_| Code::SignInUsed)?;
        let now = self.shared.clock.now();
        let user = self.shared.store.take_code(&code.hash(), now).await.map_err(Problem::internal)?;
        self.token(user.ok_or(Code::SignInUsed)?)
    }

    /// Adds an account and a code that signs it in once.
    pub(crate) async fn add(&self, name: &str, role: &str) -> Result<(UserId, OneTimeCode), Problem> {
        let name = DisplayName::parse(name)?;
        let role = match role.parse::<Role>() {
            Ok(role @ (Role::Editor | Role::Moderator | Role::Operator)) => role,
            Ok(Role::Guest | Role::User) | Err(_) => {
                return Err(Problem::new(Code::RequestInvalid, "`role` is operator, moderator or editor"));
            }
        };
        let (user, code) = (self.fresh(name, role), OneTimeCode::generate());
        let expires = user.created + self.shared.config.sign_in_ttl;
        let added = self.shared.store.add_user_with_code(&user, &code.hash(), expires).await;
        if !added.map_err(Problem::internal)? {
            return Err(Code::UserExists.into());
        }
        tracing::info!(user = %user.user, role = user.role, "a user was added");
        Ok((user.user, code))
    }

    /// The first operator's sign-in code, when there is no operator yet.
    pub(crate) async fn first_operator(&self) -> Result<Option<OneTimeCode>, Problem> {
        let role = Role::Operator.as_str();
        let known = self.shared.store.has_role(&self.shared.config.app, role).await.map_err(Problem::internal)?;
        if known { Ok(None) } else { self.add(role, role).await.map(|(_, code)| Some(code)) }
    }

    /// Forgets guests who have not come back for long, and codes that can no longer be used.
    pub(crate) async fn purge(&self) {
        let before = self.shared.clock.now() - self.shared.config.guest_ttl;
        match self.shared.store.purge(before).await {
            Ok(0) => {}
            Ok(guests) => tracing::info!(guests, "guests were forgotten"),
            Err(error) => tracing::warn!(%error, "guests could not be forgotten"),
        }
    }

    fn fresh(&self, name: DisplayName, role: Role) -> StoredUser {
        let now = self.shared.clock.now();
        let user = UserId::generate(now, &mut self.ids());
        let app = self.shared.config.app.clone();
        StoredUser { user, app, name: name.into_string(), role: role.as_str().to_owned(), created: now, seen: now }
    }

    fn token(&self, user: StoredUser) -> Result<SignedIn, Problem> {
        let role: Role = user.role.parse().map_err(Problem::internal)?;
        let now = self.shared.clock.now();
        let expires = now + self.shared.config.token_ttl;
        let token = UserToken {
            id: TokenId::generate(now, &mut self.ids()),
            user: user.user,
            app: user.app,
            name: user.name.clone(),
            role,
            subscribe: Vec::new(),
            grants: Default::default(),
            issued: now,
            expires,
        };
        Ok(SignedIn {
            token: self.shared.keyring.mint_user(now, &token),
            user: PublicUser { id: user.user.to_string(), name: user.name, role },
            expires_us: expires.0 / 1_000_000 * 1_000_000,
        })
    }

    fn check_rate(&self, peer: IpAddr) -> Result<(), Problem> {
        let now = self.shared.clock.now();
        let mut sign_ins = self.shared.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
        sign_ins.check(now, peer).map_err(|wait| {
            let ms = u32::try_from(wait.0.div_ceil(1_000)).unwrap_or(u32::MAX);
            Problem::from(Code::RateLimited).retry_after(ms)
        })
    }

    fn ids(&self) -> MutexGuard<'_, Rng> {
        self.shared.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
