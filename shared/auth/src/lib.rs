//! User tokens, connect tokens, service tokens and the keyring that signs them.
//!
//! Tokens are JWTs (RFC 7519) signed with EdDSA over Ed25519 (RFC 8037); no other algorithm is accepted. Each kind has
//! an audience of its own, so a token of one kind never passes as another. Time is handed in; the one file this crate
//! touches is the keyring of [`Keyring::load_or_create`].
//!
//! Who holds a [`Keyring`] can mint; who holds a [`Verifier`] (made from the public JWKS) can check without calling
//! anyone.

#![forbid(unsafe_code)]

mod keyring;
mod one_time_code;
mod provider;
mod role;
mod scope;
mod token;
mod verifier;

pub use keyring::{Keyring, KeyringError};
pub use one_time_code::{OneTimeCode, random_bytes};
pub use role::Role;
pub use scope::Scope;
pub use token::{ConnectToken, ServiceToken, UserToken};
pub use verifier::{JwksError, Verifier};

#[cfg(test)]
mod tests;
