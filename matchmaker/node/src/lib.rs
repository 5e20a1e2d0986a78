//! The match role: HTTP tickets, fenced claims, allocation, results.

#![forbid(unsafe_code)]
