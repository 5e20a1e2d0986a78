//! The match host: admits players, runs room workers, reports to its fleet.

#![forbid(unsafe_code)]
