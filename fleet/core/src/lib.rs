//! Allocator, warm pool and game-server life cycle. No IO.

#![forbid(unsafe_code)]
