//! What a client and a server must both know of a world: registration, schema, quantised mirror, delta coding, inputs, state hash.

#![forbid(unsafe_code)]
