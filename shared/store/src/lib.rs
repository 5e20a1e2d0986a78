//! Data at rest: one SQL text for SQLite and PostgreSQL.

#![forbid(unsafe_code)]
