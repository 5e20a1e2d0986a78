//! Pool, ratings, forming and explaining matches. No IO.

#![forbid(unsafe_code)]
