//! The three kinds of token, and their claims on the wire.

use amphi_shared_wire::limits::{SUBSCRIPTIONS_MAX, TOPIC_GRANTS_MAX};
use amphi_shared_wire::{AppId, MatchId, Micros, TokenId, Topic, TopicGrants, TopicPattern, TraceId, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Role, Scope};

/// Says who a person is. `issued` and `expires` are kept in whole seconds, rounded down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserToken {
    /// Names the token, for its revocation (`jti`).
    pub id: TokenId,
    /// The person.
    pub user: UserId,
    /// The app the person signed in to.
    pub app: AppId,
    /// Display name, as the person typed it: data, never markup.
    pub name: String,
    /// How far the person is trusted.
    pub role: Role,
    /// Topics that a client without a protocol of its own reads at once; at most [`SUBSCRIPTIONS_MAX`].
    pub subscribe: Vec<Topic>,
    /// What it lets its person do with topics whose class asks for a token; at most [`TOPIC_GRANTS_MAX`] patterns.
    pub grants: TopicGrants,
    /// When the token was made.
    pub issued: Micros,
    /// The token is refused from this moment on.
    pub expires: Micros,
}

/// Lets one player into one match, once. `expires` is kept in whole seconds, rounded down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectToken {
    /// What the host remembers so that the token works once (`jti`).
    pub id: TokenId,
    /// The match.
    pub match_id: MatchId,
    /// The player.
    pub user: UserId,
    /// The app of match and player.
    pub app: AppId,
    /// Display name of the player.
    pub name: String,
    /// The team whose seat the player takes; any team when absent.
    pub team: Option<u8>,
    /// What the player's way to the seat is called in logs and traces.
    pub trace: TraceId,
    /// The token is refused from this moment on.
    pub expires: Micros,
}

/// Lets one service make one kind of internal call. `expires` is kept in whole seconds, rounded down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceToken {
    /// The calling service, for logs.
    pub from: String,
    /// The call it may make.
    pub scope: Scope,
    /// The token is refused from this moment on.
    pub expires: Micros,
}

/// When a token was made and when it ends.
#[derive(Clone, Copy)]
pub(crate) struct Life {
    pub(crate) issued: Micros,
    pub(crate) expires: Micros,
}

/// A kind of token: its audience and how it maps to JWT claims.
pub(crate) trait Kind: Sized {
    /// Value of `aud`, which keeps the kinds apart.
    const AUDIENCE: &'static str;
    /// The claims beside `iss`, `aud`, `iat` and `exp`.
    type Claims: Serialize + DeserializeOwned;

    fn claims(&self) -> Self::Claims;
    fn expires(&self) -> Micros;
    /// `None` when a claim cannot be read.
    fn from_claims(claims: Self::Claims, life: Life) -> Option<Self>;
    /// What a revocation may name: id, person, and the moment of issue. `None`: this kind cannot be revoked.
    fn revocable(&self) -> Option<(TokenId, UserId, Micros)>;
}

#[derive(Serialize, Deserialize)]
pub(crate) struct UserClaims {
    jti: String,
    sub: String,
    app: String,
    name: String,
    role: Role,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    subscribe: Vec<String>,
    #[serde(default, skip_serializing_if = "GrantClaims::is_empty")]
    topics: GrantClaims,
}

/// The claim `topics`: patterns of names.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct GrantClaims {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    publish: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    read: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    presence: Vec<String>,
}

impl GrantClaims {
    fn of(grants: &TopicGrants) -> Self {
        let names = |patterns: &[TopicPattern]| patterns.iter().map(TopicPattern::to_string).collect();
        Self { publish: names(&grants.publish), read: names(&grants.read), presence: names(&grants.presence) }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.publish.len() + self.read.len() + self.presence.len()
    }

    /// `None` when there are too many or one is no pattern.
    pub(crate) fn parse(&self) -> Option<TopicGrants> {
        if self.len() > TOPIC_GRANTS_MAX {
            return None;
        }
        let patterns = |names: &[String]| names.iter().map(|name| name.parse().ok()).collect::<Option<Vec<_>>>();
        Some(TopicGrants {
            publish: patterns(&self.publish)?,
            read: patterns(&self.read)?,
            presence: patterns(&self.presence)?,
        })
    }
}

impl Kind for UserToken {
    const AUDIENCE: &'static str = "amphi:user";
    type Claims = UserClaims;

    fn claims(&self) -> UserClaims {
        UserClaims {
            jti: self.id.to_string(),
            sub: self.user.to_string(),
            app: self.app.to_string(),
            name: self.name.clone(),
            role: self.role,
            subscribe: self.subscribe.iter().map(Topic::to_string).collect(),
            topics: GrantClaims::of(&self.grants),
        }
    }

    fn expires(&self) -> Micros {
        self.expires
    }

    fn from_claims(claims: UserClaims, life: Life) -> Option<Self> {
        Some(Self {
            id: claims.jti.parse().ok()?,
            user: claims.sub.parse().ok()?,
            app: claims.app.parse().ok()?,
            name: claims.name,
            role: claims.role,
            subscribe: topics(&claims.subscribe)?,
            grants: claims.topics.parse()?,
            issued: life.issued,
            expires: life.expires,
        })
    }

    fn revocable(&self) -> Option<(TokenId, UserId, Micros)> {
        Some((self.id, self.user, self.issued))
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ConnectClaims {
    jti: String,
    #[serde(rename = "match")]
    match_id: String,
    sub: String,
    app: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<u8>,
    /// Hexadecimal; tokens of older builds have none.
    #[serde(default)]
    trace: Option<String>,
}

impl Kind for ConnectToken {
    const AUDIENCE: &'static str = "amphi:connect";
    type Claims = ConnectClaims;

    fn claims(&self) -> ConnectClaims {
        ConnectClaims {
            jti: self.id.to_string(),
            match_id: self.match_id.to_string(),
            sub: self.user.to_string(),
            app: self.app.to_string(),
            name: self.name.clone(),
            team: self.team,
            trace: Some(self.trace.to_string()),
        }
    }

    fn expires(&self) -> Micros {
        self.expires
    }

    fn revocable(&self) -> Option<(TokenId, UserId, Micros)> {
        None
    }

    fn from_claims(claims: ConnectClaims, life: Life) -> Option<Self> {
        let id: TokenId = claims.jti.parse().ok()?;
        Some(Self {
            id,
            trace: claims.trace.and_then(|trace| trace.parse().ok()).unwrap_or_else(|| id.into()),
            match_id: claims.match_id.parse().ok()?,
            user: claims.sub.parse().ok()?,
            app: claims.app.parse().ok()?,
            name: claims.name,
            team: claims.team,
            expires: life.expires,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ServiceClaims {
    sub: String,
    scope: Scope,
}

impl Kind for ServiceToken {
    const AUDIENCE: &'static str = "amphi:service";
    type Claims = ServiceClaims;

    fn claims(&self) -> ServiceClaims {
        ServiceClaims { sub: self.from.clone(), scope: self.scope }
    }

    fn expires(&self) -> Micros {
        self.expires
    }

    fn from_claims(claims: ServiceClaims, life: Life) -> Option<Self> {
        Some(Self { from: claims.sub, scope: claims.scope, expires: life.expires })
    }

    fn revocable(&self) -> Option<(TokenId, UserId, Micros)> {
        None
    }
}

/// What every token carries, around the claims of its kind.
#[derive(Serialize, Deserialize)]
pub(crate) struct Envelope<C> {
    pub(crate) iss: String,
    pub(crate) aud: String,
    /// Seconds since 1970, as RFC 7519 wants it.
    pub(crate) iat: u64,
    pub(crate) exp: u64,
    #[serde(flatten)]
    pub(crate) claims: C,
}

/// Value of `iss` in every token of this deployment.
pub(crate) const ISSUER: &str = "amphi";

/// The topics of a `subscribe` claim; `None` when there are too many or one is no topic name.
pub(crate) fn topics(names: &[String]) -> Option<Vec<Topic>> {
    if names.len() > SUBSCRIPTIONS_MAX {
        return None;
    }
    names.iter().map(|name| name.parse().ok()).collect()
}
