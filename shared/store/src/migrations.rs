//! The schema of each role, embedded in the binary: one folder per engine, equal but for the name of the byte type.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// A role that owns a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Live,
    Fleet,
    Match,
}

impl Owner {
    /// Name of the role, of its file and of its schema.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Fleet => "fleet",
            Self::Match => "match",
        }
    }

    /// Name of the role's schema in PostgreSQL.
    pub(crate) const fn schema(self) -> &'static str {
        match self {
            Self::Live => "amphi_live",
            Self::Fleet => "amphi_fleet",
            Self::Match => "amphi_match",
        }
    }

    pub(crate) fn sqlite(self) -> Migrator {
        migrator(match self {
            Self::Live => &[
                ("people", include_str!("../migrations/sqlite/live/0001_people.sql")),
                ("revocations", include_str!("../migrations/sqlite/live/0002_revocations.sql")),
                ("api keys", include_str!("../migrations/sqlite/live/0003_api_keys.sql")),
            ],
            Self::Fleet => {
                &[("hosts and matches", include_str!("../migrations/sqlite/fleet/0001_hosts_and_matches.sql"))]
            }
            Self::Match => {
                &[("queue and ratings", include_str!("../migrations/sqlite/match/0001_queue_and_ratings.sql"))]
            }
        })
    }

    pub(crate) fn postgres(self) -> Migrator {
        migrator(match self {
            Self::Live => &[
                ("people", include_str!("../migrations/postgres/live/0001_people.sql")),
                ("revocations", include_str!("../migrations/postgres/live/0002_revocations.sql")),
                ("api keys", include_str!("../migrations/postgres/live/0003_api_keys.sql")),
            ],
            Self::Fleet => {
                &[("hosts and matches", include_str!("../migrations/postgres/fleet/0001_hosts_and_matches.sql"))]
            }
            Self::Match => {
                &[("queue and ratings", include_str!("../migrations/postgres/match/0001_queue_and_ratings.sql"))]
            }
        })
    }
}

/// Steps in order; the first has version 1.
fn migrator(steps: &[(&'static str, &'static str)]) -> Migrator {
    let step = |(version, (title, sql)): (i64, &(&'static str, &'static str))| {
        Migration::new(version, Cow::Borrowed(*title), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations((1..).zip(steps).map(step).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_have_the_same_schema() {
        for owner in [Owner::Live, Owner::Fleet, Owner::Match] {
            let (sqlite, postgres) = (owner.sqlite(), owner.postgres());
            assert_eq!(sqlite.migrations.len(), postgres.migrations.len());
            for (sqlite, postgres) in sqlite.iter().zip(postgres.iter()) {
                assert_eq!(sqlite.version, postgres.version);
                assert_eq!(sqlite.sql.as_str().replace(" BLOB", " BYTEA"), postgres.sql.as_str());
            }
        }
    }
}
