//! The fleet role: HTTP and the local process provider.

#![forbid(unsafe_code)]
