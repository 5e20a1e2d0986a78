//! An open database: its engine, its lock and its pools.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, PgConnection, Row as _};

use crate::migrations::Owner;
use crate::sql::{Row, Tx, Value, bound};
use crate::{Location, OpenError, StoreError};

/// How long a statement waits for a lock or a free connection.
const BUSY: Duration = Duration::from_secs(5);
/// Connections for reading from SQLite, beside the one that writes.
const SQLITE_READERS: u32 = 2;
/// Connections to PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 4;
/// First half of the key of PostgreSQL's advisory locks: "amph".
const ADVISORY_SPACE: i32 = 0x616d_7068;

/// An open database. Clones share the same pools and the same lock.
#[derive(Clone)]
pub(crate) struct Db {
    engine: Engine,
    lock: Arc<Mutex<Option<Lock>>>,
}

#[derive(Clone)]
enum Engine {
    /// One connection writes, others read (write-ahead log).
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// What keeps a second process out for as long as it lives.
enum Lock {
    File(File),
    Advisory(Box<PgConnection>),
}

impl Db {
    pub(crate) async fn open(owner: Owner, location: &Location) -> Result<Self, OpenError> {
        match location {
            Location::Folder(folder) => open_sqlite(owner, folder).await,
            Location::Postgres(address) => open_postgres(owner, address).await,
        }
    }

    /// A transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match &self.engine {
            Engine::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Engine::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Runs one writing statement; the number of rows it changed.
    pub(crate) async fn execute(&self, sql: &'static str, args: Vec<Value>) -> Result<u64, StoreError> {
        Ok(match &self.engine {
            Engine::Sqlite { writer, .. } => bound(sql, args).execute(writer).await?.rows_affected(),
            Engine::Postgres(pool) => bound(sql, args).execute(pool).await?.rows_affected(),
        })
    }

    /// Runs one reading statement; its rows.
    pub(crate) async fn rows(&self, sql: &'static str, args: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        Ok(match &self.engine {
            Engine::Sqlite { readers, .. } => {
                bound(sql, args).fetch_all(readers).await?.into_iter().map(Row::Sqlite).collect()
            }
            Engine::Postgres(pool) => bound(sql, args).fetch_all(pool).await?.into_iter().map(Row::Postgres).collect(),
        })
    }

    /// Waits for running statements, closes every connection and gives up the lock.
    pub(crate) async fn close(&self) {
        match &self.engine {
            Engine::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Engine::Postgres(pool) => pool.close().await,
        }
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        match lock {
            Some(Lock::File(file)) => drop(file),
            Some(Lock::Advisory(connection)) => {
                if let Err(error) = connection.close().await {
                    tracing::debug!(%error, "the lock's connection was already gone");
                }
            }
            None => {}
        }
    }
}

async fn open_sqlite(owner: Owner, folder: &Path) -> Result<Db, OpenError> {
    let lock = lock_file(owner, folder)?;
    let path = folder.join(format!("{}.db", owner.name()));
    // SQLite gives its other files the mode of this one.
    private_file(&path).map_err(|source| OpenError::Unwritable { folder: folder.to_owned(), source })?;
    let what = path.display().to_string();
    let database = |source| OpenError::Database { what: what.clone(), source };
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY)
        .foreign_keys(true);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(BUSY)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options.clone())
        .await
        .map_err(database)?;
    migrated(owner.sqlite().run(&writer).await, &what)?;
    let readers = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(BUSY)
        .connect_with(options.create_if_missing(false).read_only(true))
        .await
        .map_err(database)?;
    Ok(Db { engine: Engine::Sqlite { writer, readers }, lock: Arc::new(Mutex::new(Some(Lock::File(lock)))) })
}

/// Creates the folder and takes `<role>.lock` in it. The system gives it back when this process ends, however it ends.
fn lock_file(owner: Owner, folder: &Path) -> Result<File, OpenError> {
    let unwritable = |source| OpenError::Unwritable { folder: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(unwritable)?;
    let path: PathBuf = folder.join(format!("{}.lock", owner.name()));
    let file = private_file(&path).map_err(unwritable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Taken { what: path.display().to_string() }),
        Err(TryLockError::Error(source)) => Err(unwritable(source)),
    }
}

/// Opens a file, creating it readable by its owner only: these hold names.
fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

async fn open_postgres(owner: Owner, address: &str) -> Result<Db, OpenError> {
    let options =
        PgConnectOptions::from_str(address).map_err(|error| OpenError::Address { reason: error.to_string() })?;
    let what = format!(
        "the {} schema of {}:{}/{}",
        owner.name(),
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or("postgres")
    );
    let database = |source| OpenError::Database { what: what.clone(), source };
    let options = options.options([("search_path", owner.schema())]).application_name(owner.schema());
    let mut connection = PgConnection::connect_with(&options).await.map_err(database)?;
    let locked = bound(
        "SELECT pg_try_advisory_lock($1::int, $2::int) AS locked",
        vec![i64::from(ADVISORY_SPACE).into(), (owner as i64).into()],
    );
    let locked: bool =
        locked.fetch_one(&mut connection).await.and_then(|row| row.try_get("locked")).map_err(database)?;
    if !locked {
        return Err(OpenError::Taken { what });
    }
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(BUSY)
        .connect_with(options)
        .await
        .map_err(database)?;
    let mut migrator = owner.postgres();
    migrator.create_schema(owner.schema());
    migrated(migrator.run(&pool).await, &what)?;
    Ok(Db { engine: Engine::Postgres(pool), lock: Arc::new(Mutex::new(Some(Lock::Advisory(Box::new(connection))))) })
}

fn migrated(result: Result<(), MigrateError>, what: &str) -> Result<(), OpenError> {
    let Err(error) = result else { return Ok(()) };
    let what = what.to_owned();
    if matches!(error, MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_)) {
        return Err(OpenError::Newer { what });
    }
    Err(OpenError::Database { what, source: sqlx::Error::Migrate(Box::new(error)) })
}
