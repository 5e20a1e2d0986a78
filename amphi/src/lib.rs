//! An authoritative game-server engine and the live audience around it: one library, one binary.

#![forbid(unsafe_code)]
