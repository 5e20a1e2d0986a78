//! One statement text, one set of argument types and one row type for both engines.

use std::str::FromStr;

use amphi_shared_wire::Micros;
use sqlx::postgres::PgRow;
use sqlx::query::Query;
use sqlx::sqlite::SqliteRow;
use sqlx::{Database, Encode, Postgres, Row as _, Sqlite, Transaction, Type};

use crate::StoreError;

/// An argument of a statement.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Real(f64),
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<Micros> for Value {
    fn from(value: Micros) -> Self {
        // The year 294,000 is far enough.
        Self::Int(Some(i64::try_from(value.0).unwrap_or(i64::MAX)))
    }
}

impl From<Option<Micros>> for Value {
    fn from(value: Option<Micros>) -> Self {
        Self::Int(value.map(|value| i64::try_from(value.0).unwrap_or(i64::MAX)))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

/// Builds the arguments of a statement, in the order of `$1`, `$2`, …
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Value::from($value)),*] };
}
pub(crate) use args;

/// The statement with its arguments, for one engine.
pub(crate) fn bound<DB: Database>(
    sql: &'static str,
    args: Vec<Value>,
) -> Query<'static, DB, <DB as Database>::Arguments>
where
    Option<i64>: Encode<'static, DB> + Type<DB>,
    Option<String>: Encode<'static, DB> + Type<DB>,
    f64: Encode<'static, DB> + Type<DB>,
    Vec<u8>: Encode<'static, DB> + Type<DB>,
{
    args.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Int(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Real(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
    })
}

/// One row of either engine.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// Reads one column of either engine.
macro_rules! column {
    ($row:expr, $column:expr) => {
        match $row {
            Row::Sqlite(row) => row.try_get($column)?,
            Row::Postgres(row) => row.try_get($column)?,
        }
    };
}

impl Row {
    pub(crate) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn real(&self, column: &'static str) -> Result<f64, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn bytes(&self, column: &'static str) -> Result<Vec<u8>, StoreError> {
        Ok(column!(self, column))
    }

    pub(crate) fn micros(&self, column: &'static str) -> Result<Micros, StoreError> {
        self.unsigned(column).map(Micros)
    }

    /// Like `micros`, for a column that may be NULL.
    pub(crate) fn micros_or_null(&self, column: &'static str) -> Result<Option<Micros>, StoreError> {
        let us: Option<i64> = column!(self, column);
        us.map(|us| u64::try_from(us).map(Micros).map_err(|_| StoreError::Corrupt { column })).transpose()
    }

    /// A number that fits `T`.
    pub(crate) fn unsigned<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, StoreError> {
        T::try_from(self.int(column)?).map_err(|_| StoreError::Corrupt { column })
    }

    /// A text that parses as `T`: an id, an app, a state.
    pub(crate) fn parsed<T: FromStr>(&self, column: &'static str) -> Result<T, StoreError> {
        self.text(column)?.parse().map_err(|_| StoreError::Corrupt { column })
    }

    /// Like `parsed`, for a column that may be NULL.
    pub(crate) fn parsed_or_null<T: FromStr>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        let text: Option<String> = column!(self, column);
        text.map(|text| text.parse().map_err(|_| StoreError::Corrupt { column })).transpose()
    }

    /// A Protobuf message.
    pub(crate) fn message<M: prost::Message + Default>(&self, column: &'static str) -> Result<M, StoreError> {
        M::decode(self.bytes(column)?.as_slice()).map_err(|_| StoreError::Corrupt { column })
    }
}

/// A transaction of either engine. Dropped without `commit`, it rolls back.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    /// Runs a statement; the number of rows it changed.
    pub(crate) async fn execute(&mut self, sql: &'static str, args: Vec<Value>) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(tx) => bound(sql, args).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx) => bound(sql, args).execute(&mut **tx).await?.rows_affected(),
        })
    }

    /// Runs a statement; its rows.
    pub(crate) async fn rows(&mut self, sql: &'static str, args: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(tx) => bound(sql, args).fetch_all(&mut **tx).await?.into_iter().map(Row::Sqlite).collect(),
            Self::Postgres(tx) => bound(sql, args).fetch_all(&mut **tx).await?.into_iter().map(Row::Postgres).collect(),
        })
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}
