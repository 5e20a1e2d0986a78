//! User tokens, connect tokens, service tokens, the keyring that signs them, and the issuers that are trusted beside it.
//!
//! Own tokens are JWTs (RFC 7519) signed with EdDSA over Ed25519 (RFC 8037); no other algorithm is accepted for them.
//! Each kind has an audience of its own, so a token of one kind never passes as another. User tokens of other issuers
//! may be signed with RS256, ES256, EdDSA or HS256: the key says which, never the token. Time is handed in; the one
//! file this crate touches is the keyring of [`Keyring::load_or_create`].
//!
//! Who holds a [`Keyring`] can mint; who holds a [`Verifier`] (made from the public JWKS) can check without calling
//! anyone.

#![forbid(unsafe_code)]

mod api_key;
mod issuer;
mod keyring;
mod keys;
mod name;
mod one_time_code;
mod provider;
mod revocation;
mod role;
mod scope;
mod token;
mod verifier;

pub use api_key::{API_KEY_PREFIX, ApiKey, KeyScope};
pub use issuer::{ClaimNames, IssuerConfig, IssuerError, SignatureAlgorithm};
pub use keyring::{Keyring, KeyringError, Rotation};
pub use keys::JwksError;
pub use name::DisplayName;
pub use one_time_code::{OneTimeCode, random_bytes};
pub use revocation::{Revocation, Revoked};
pub use role::Role;
pub use scope::Scope;
pub use token::{ConnectToken, ServiceToken, UserToken};
pub use verifier::Verifier;

#[cfg(test)]
mod tests;
