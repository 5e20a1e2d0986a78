//! The authoritative room engine: commands, schedule, interest, encoding, journal, views. No IO.

#![forbid(unsafe_code)]
