//! User tokens, connect tokens, service tokens and the keyring that signs them.

#![forbid(unsafe_code)]
