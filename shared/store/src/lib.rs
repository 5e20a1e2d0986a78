//! Data at rest: one SQL text for SQLite and PostgreSQL.
//!
//! Each role owns one database and is the only process that opens it: [`LiveStore`] (people, revocations, API keys), [`FleetStore`] (hosts,
//! matches, results on their way) and [`MatchStore`] (queue, claims, ratings). A [`Location`] says where: a folder
//! holds `live.db`, `fleet.db` and `match.db`; a `postgres://` address holds a schema per role. Both engines run the
//! same statements and pass the same conformance suite.
//!
//! Every handle is cheap to clone; all clones share one pool. A function is one transaction.

#![forbid(unsafe_code)]

mod database;
mod error;
mod fleet;
mod live;
mod location;
mod matchmaking;
mod migrations;
mod sql;

pub use error::{OpenError, StoreError};
pub use fleet::{FleetStore, StoredHost};
pub use live::{LiveStore, StoredKey, StoredRevocation, StoredUser};
pub use location::Location;
pub use matchmaking::{
    Claim, ClaimState, Conflict, Hold, MatchStore, Player, Rating, RatingKey, StoredTicket, TicketState,
};
