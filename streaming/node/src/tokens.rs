//! Tokens for clients without a protocol of their own, and tokens that end before their time.

use std::sync::{Arc, Mutex, PoisonError};

use amphi_shared_auth::{DisplayName, Keyring, Revocation, Revoked, Role, UserToken, random_bytes};
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::http::Problem;
use amphi_shared_store::{LiveStore, StoreError, StoredRevocation};
use amphi_shared_wire::limits::{SUBSCRIPTIONS_MAX, TOKEN_LIFE_S_MAX};
use amphi_shared_wire::{AppId, Code, Micros, Rng, Seed, TokenId, Topic, UserId};

/// Name of a person who was given none.
const NAMELESS: &str = "Viewer";
const LIFE_MAX: Micros = Micros::from_secs(TOKEN_LIFE_S_MAX);

/// Mints and revokes user tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenDesk {
    shared: Arc<Shared>,
}

struct Shared {
    app: AppId,
    store: LiveStore,
    keyring: Keyring,
    clock: Clock,
    ids: Mutex<Rng>,
}

/// A wish for a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenWish {
    /// Whose token; empty makes a new person.
    pub user: String,
    /// Display name; empty is the default one.
    pub name: String,
    /// Topics that its client reads at once.
    pub subscribe: Vec<String>,
    /// How long it lasts, s.
    pub ttl_s: u64,
}

/// A token and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The token.
    pub text: String,
    /// What it says.
    pub token: UserToken,
}

impl TokenDesk {
    /// A desk over a live role's database.
    pub fn new(app: AppId, store: LiveStore, (keyring, clock): (Keyring, Clock)) -> Self {
        let ids = Mutex::new(Seed(u64::from_le_bytes(random_bytes())).split("tokens").rng());
        Self { shared: Arc::new(Shared { app, store, keyring, clock, ids }) }
    }

    /// Mints a guest's token.
    ///
    /// # Errors
    /// `RequestInvalid` names the field; `NameInvalid`, `TopicInvalid`, `TooManySubscriptions`.
    pub fn mint(&self, wish: &TokenWish) -> Result<Minted, Problem> {
        let now = self.shared.clock.now();
        if wish.ttl_s == 0 || wish.ttl_s > TOKEN_LIFE_S_MAX {
            return Err(Problem::new(Code::RequestInvalid, "a token lives 1 second to 90 days"));
        }
        if wish.subscribe.len() > SUBSCRIPTIONS_MAX {
            return Err(Code::TooManySubscriptions.into());
        }
        let topic = |name: &String| {
            name.parse::<Topic>()
                .map_err(|error| Problem::new(Code::TopicInvalid, format!("{}: {error}", name.escape_debug())))
        };
        let name = if wish.name.is_empty() { NAMELESS } else { &wish.name };
        let mut ids = self.shared.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let user = match wish.user.as_str() {
            "" => UserId::generate(now, &mut ids),
            user => user.parse().map_err(|error| Problem::new(Code::RequestInvalid, format!("user: {error}")))?,
        };
        let token = UserToken {
            id: TokenId::generate(now, &mut ids),
            user,
            app: self.shared.app.clone(),
            name: DisplayName::parse(name)?.into_string(),
            role: Role::Guest,
            subscribe: wish.subscribe.iter().map(topic).collect::<Result<_, _>>()?,
            grants: Default::default(),
            issued: now,
            expires: now + Micros::from_secs(wish.ttl_s),
        };
        tracing::info!(token = %token.id, user = %token.user, ttl_s = wish.ttl_s, "a token was minted");
        Ok(Minted { text: self.shared.keyring.mint_user(now, &token), token })
    }

    /// Revokes a token by its id, everything that a person was given until now, or a whole token; from then on every
    /// check in this process fails. The answer says what that was.
    ///
    /// # Errors
    /// `RequestInvalid`: the text is none of these. `Overloaded`: too many revocations still count.
    pub async fn revoke(&self, what: &str) -> Result<Revoked, Problem> {
        let now = self.shared.clock.now();
        let revocation = self.parse(now, what)?;
        self.shared.keyring.verifier().revoke(now, revocation)?;
        self.shared.store.revoke(stored(revocation)).await.map_err(Problem::internal)?;
        tracing::info!(revoked = ?revocation.what, "tokens were revoked");
        Ok(revocation.what)
    }

    /// Brings the revocations of earlier processes to this one's verifiers.
    pub(crate) async fn load(&self) -> Result<(), StoreError> {
        let now = self.shared.clock.now();
        let verifier = self.shared.keyring.verifier();
        for revocation in self.shared.store.revocations(now).await? {
            if let Err(code) = verifier.revoke(now, loaded(revocation)) {
                tracing::error!(%code, "there are more revocations than this process may remember");
            }
        }
        Ok(())
    }

    /// Forgets revocations that count no more.
    pub(crate) async fn purge(&self) {
        if let Err(error) = self.shared.store.purge_revocations(self.shared.clock.now()).await {
            tracing::warn!(%error, "revocations could not be forgotten");
        }
    }

    fn parse(&self, now: Micros, what: &str) -> Result<Revocation, Problem> {
        if let Ok(id) = what.parse() {
            return Ok(Revocation { what: Revoked::Token(id), expires: now + LIFE_MAX });
        }
        if let Ok(user) = what.parse() {
            return Ok(Revocation { what: Revoked::User { user, before: now }, expires: now + LIFE_MAX });
        }
        match self.shared.keyring.verifier().user(now, what) {
            Ok(token) => Ok(Revocation { what: Revoked::Token(token.id), expires: token.expires }),
            Err(code @ (Code::TokenExpired | Code::TokenRevoked)) => Err(code.into()),
            Err(_) => {
                let message = "name a token (tok_…), a person (usr_…), or give the whole token";
                Err(Problem::new(Code::RequestInvalid, message))
            }
        }
    }
}

fn stored(Revocation { what, expires }: Revocation) -> StoredRevocation {
    match what {
        Revoked::Token(id) => StoredRevocation::Token { id, expires },
        Revoked::User { user, before } => StoredRevocation::User { user, before, expires },
    }
}

fn loaded(stored: StoredRevocation) -> Revocation {
    match stored {
        StoredRevocation::Token { id, expires } => Revocation { what: Revoked::Token(id), expires },
        StoredRevocation::User { user, before, expires } => {
            Revocation { what: Revoked::User { user, before }, expires }
        }
    }
}
