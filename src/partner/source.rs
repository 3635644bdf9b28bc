//! The partner's own database: the filter and the columns of an order, run as SQL.

use chrono::{Days, NaiveDate};
use futures::stream::{BoxStream, StreamExt};
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{AnyPool, AssertSqlSafe, Row};
use zeroize::Zeroizing;

use super::approvals::{self, Act};
use super::policy::{Column, ColumnKind, Extract};
use crate::domain::ids::ProjectId;

/// Why the partner's database did not answer. Its own words may quote data, so they are not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Only SQLite and PostgreSQL are spoken.
    #[error("the database must be given as sqlite:// or postgres://")]
    Url,
    /// There is no connection.
    #[error("the register's database cannot be reached")]
    Connection,
    /// A statement failed.
    #[error("the register's database refused a statement (code {0})")]
    Statement(String),
    /// A period ends on the last day there is.
    #[error("the order's period ends beyond the calendar")]
    Calendar,
}

impl From<sqlx::Error> for SourceError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(said) => Self::Statement(said.code().unwrap_or_default().into_owned()),
            None if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
                Self::Statement("decode".into())
            }
            None => Self::Connection,
        }
    }
}

/// Which SQL is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    pub(super) fn of(url: &str) -> Result<Self, SourceError> {
        match url.split_once(':') {
            Some(("sqlite", _)) => Ok(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres),
            _ => Err(SourceError::Url),
        }
    }
}

/// A row of the source. The number is erased when it is dropped.
pub struct SourceRow {
    /// What stands where the identity number should be; nothing, if nothing does.
    pub number: Option<Zeroizing<String>>,
    /// The order's date, if it is one.
    pub date: Option<NaiveDate>,
    /// The columns asked for, in that order, as text.
    pub values: Vec<Option<String>>,
}

/// The database, opened for reading.
pub struct Source {
    pub(super) pool: AnyPool,
    backend: Backend,
}

impl Source {
    /// Opens the database at a `sqlite://` or `postgres://` URL, for reading only.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn open(url: &str) -> Result<Self, SourceError> {
        let backend = Backend::of(url)?;
        sqlx::any::install_default_drivers();
        let read_only = match backend {
            Backend::Sqlite => "PRAGMA query_only = 1",
            Backend::Postgres => "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        };
        let pool = AnyPoolOptions::new()
            .max_connections(4)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    sqlx::query(read_only).execute(connection).await?;
                    Ok(())
                })
            })
            .connect(url)
            .await?;
        Ok(Self { pool, backend })
    }

    /// The partner's last act on a project.
    pub(super) async fn last_act(&self, project: &ProjectId) -> Result<Option<Act>, SourceError> {
        let mut connection = self.pool.acquire().await?;
        approvals::last(&mut connection, project).await
    }

    /// The rows of an extract, in no order, as the database gives them.
    pub fn rows<'a>(&'a self, extract: &'a Extract) -> BoxStream<'a, Result<SourceRow, SourceError>> {
        let (sql, values) = match statement(self.backend, extract) {
            Ok(statement) => statement,
            Err(error) => return futures::stream::iter([Err(error)]).boxed(),
        };
        // The names in it come from the policy file, checked and quoted; the values are bound.
        let query = values.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Integer(number) => query.bind(number),
        });
        query.fetch(&self.pool).map(|row| Ok(read(&row?)?)).boxed()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    Integer(i64),
}

/// A statement with its values, which are only ever bound.
struct Statement {
    backend: Backend,
    sql: String,
    values: Vec<Value>,
}

impl Statement {
    /// The next parameter.
    fn bind(&mut self, value: Value) {
        self.values.push(value);
        self.sql.push('$');
        self.sql.push_str(&self.values.len().to_string());
    }

    fn day(&mut self, day: NaiveDate) {
        self.bind(Value::Text(day.to_string()));
    }

    /// A column of the row. Qualified, because SQLite reads an unknown bare name in quotes as text.
    fn column(&mut self, name: &str) {
        self.sql.push_str("t.\"");
        self.sql.push_str(name);
        self.sql.push('"');
    }

    /// A column as text, days as YYYY-MM-DD.
    fn text(&mut self, column: &Column) {
        let (before, after) = match (column.kind, self.backend) {
            (ColumnKind::Date, Backend::Postgres) => ("to_char(CAST(", " AS DATE), 'YYYY-MM-DD')"),
            (ColumnKind::Date, Backend::Sqlite) => ("substr(CAST(", " AS TEXT), 1, 10)"),
            _ => ("CAST(", " AS TEXT)"),
        };
        self.sql.push_str(before);
        self.column(&column.column);
        self.sql.push_str(after);
    }

    fn any_of(&mut self, column: &Column, values: &[String]) -> Result<(), SourceError> {
        self.column(&column.column);
        self.sql.push_str(" IN (");
        for (i, value) in values.iter().enumerate() {
            self.sql.push_str(if i == 0 { "" } else { ", " });
            self.bind(match column.kind {
                ColumnKind::Integer => {
                    Value::Integer(value.parse().map_err(|_| SourceError::Statement("value".into()))?)
                }
                _ => Value::Text(value.clone()),
            });
        }
        self.sql.push_str(") AND ");
        Ok(())
    }

    /// The date in the period. In SQLite a date is text: from the first day up to, not including, the day
    /// after the last, in text order, which also takes in text with a time of day behind the date.
    fn period(&mut self, extract: &Extract) -> Result<(), SourceError> {
        let (from, to) = (extract.period.from(), extract.period.to());
        match self.backend {
            Backend::Sqlite => {
                self.column(&extract.date.column);
                self.sql.push_str(" >= ");
                self.day(from);
                self.sql.push_str(" AND ");
                self.column(&extract.date.column);
                self.sql.push_str(" < ");
                self.day(to.checked_add_days(Days::new(1)).ok_or(SourceError::Calendar)?);
            }
            Backend::Postgres => {
                self.sql.push_str("CAST(");
                self.column(&extract.date.column);
                self.sql.push_str(" AS DATE) BETWEEN CAST(");
                self.day(from);
                self.sql.push_str(" AS DATE) AND CAST(");
                self.day(to);
                self.sql.push_str(" AS DATE)");
            }
        }
        Ok(())
    }
}

/// `SELECT number, date, columns FROM table WHERE conditions AND date in period`.
fn statement(backend: Backend, extract: &Extract) -> Result<(String, Vec<Value>), SourceError> {
    let mut out = Statement { backend, sql: "SELECT ".into(), values: Vec::new() };
    out.text(&Column { column: extract.number.clone(), kind: ColumnKind::Text });
    for column in std::iter::once(&extract.date).chain(&extract.columns) {
        out.sql.push_str(", ");
        out.text(column);
    }
    out.sql.push_str(&format!(" FROM {} AS t WHERE ", quoted(&extract.table)));
    for (column, values) in &extract.conditions {
        out.any_of(column, values)?;
    }
    out.period(extract)?;
    Ok((out.sql, out.values))
}

/// A table's name of the policy file, in quotation marks.
pub(super) fn quoted(table: &str) -> String {
    table.split('.').map(|part| format!("\"{part}\"")).collect::<Vec<_>>().join(".")
}

fn read(row: &AnyRow) -> Result<SourceRow, sqlx::Error> {
    let number: Option<String> = row.try_get(0)?;
    let date: Option<String> = row.try_get(1)?;
    let values = (2..row.len()).map(|i| row.try_get(i)).collect::<Result<_, _>>()?;
    Ok(SourceRow { number: number.map(Zeroizing::new), date: date.and_then(|d| day(&d)), values })
}

/// The day that text begins with, as `YYYY-MM-DD`.
pub(super) fn day(text: &str) -> Option<NaiveDate> {
    let day = text.get(..10)?;
    let digits =
        day.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    if digits { day.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use futures::TryStreamExt;
    use sqlx::Executor;

    use super::*;
    use crate::domain::order::LinkageOrder;
    use crate::linkage::testing::{approval, order, variable};
    use crate::partner::load;
    use crate::partner::policy::tests::{EXAMPLE, policy};
    use crate::partner::testing::{Database, EPISODES, IDENTITIES, databases, deliver};

    fn extract(order: &LinkageOrder) -> Extract {
        policy(EXAMPLE).unwrap().extract(order, &approval()).unwrap()
    }

    async fn read(database: &Database, extract: &Extract) -> Result<Vec<SourceRow>, SourceError> {
        let source = Source::open(&database.url).await?;
        let mut rows: Vec<SourceRow> = source.rows(extract).try_collect().await?;
        rows.sort_by_key(|row| row.date);
        Ok(rows)
    }

    async fn loaded() -> Vec<Database> {
        let all = databases().await;
        for database in &all {
            let dir = tempfile::tempdir().unwrap();
            deliver(dir.path(), EPISODES.as_bytes(), IDENTITIES.as_bytes());
            load(dir.path(), &database.options(), &|_| ()).await.unwrap();
        }
        all
    }

    #[tokio::test]
    async fn only_the_rows_and_columns_of_the_order_are_read() {
        for database in loaded().await {
            let rows = read(&database, &extract(&order(1, TimeDelta::minutes(1)))).await.unwrap();
            let days: Vec<_> = rows.iter().map(|row| row.date.unwrap().to_string()).collect();
            assert_eq!(days, ["2024-01-01", "2024-03-05", "2024-05-02", "2024-12-31"], "{}", database.url);
            let numbers: Vec<_> = rows.iter().map(|row| row.number.as_ref().map(|n| n.as_str())).collect();
            assert_eq!(numbers, [None, Some("30908299996"), Some("00000000000"), Some("30908299996")]);
            assert_eq!(rows[0].values, [Some("2024-01-01".into()), Some("1".into())]);
        }
    }

    #[tokio::test]
    async fn values_are_bound_and_never_sql() {
        for database in loaded().await {
            let mut asked = order(1, TimeDelta::minutes(1));
            asked.conditions[1].any_of = vec!["x' OR '1'='1".into(), "320); DROP TABLE episode; --".into()];
            assert!(read(&database, &extract(&asked)).await.unwrap().is_empty());
            let all = read(&database, &extract(&order(1, TimeDelta::minutes(1)))).await.unwrap();
            assert_eq!(all.len(), 4);
        }
    }

    #[tokio::test]
    async fn a_column_that_is_not_there_is_an_error() {
        for database in loaded().await {
            let mut asked = extract(&order(1, TimeDelta::minutes(1)));
            asked.number = "fodselsnummer".into();
            assert!(matches!(read(&database, &asked).await, Err(SourceError::Statement(_))));
        }
    }

    #[tokio::test]
    async fn the_node_cannot_write() {
        for database in loaded().await {
            let source = Source::open(&database.url).await.unwrap();
            assert!(source.pool.execute("DELETE FROM episode").await.is_err());
        }
    }

    #[tokio::test]
    async fn times_of_day_and_numbers_are_read_in_a_table_of_another_make() {
        for database in databases().await {
            let kind = if database.url.starts_with("sqlite") { "TEXT" } else { "TIMESTAMP" };
            let url = format!("{}{}", database.url, if kind == "TEXT" { "?mode=rwc" } else { "" });
            sqlx::any::install_default_drivers();
            let pool = AnyPool::connect(&url).await.unwrap();
            let make = format!("CREATE TABLE opphold (pid CHAR(11), niva INTEGER, ut {kind})");
            pool.execute(AssertSqlSafe(make)).await.unwrap();
            pool.execute(
                "INSERT INTO opphold VALUES ('30908299996', 1, '2024-12-31 23:59:00'), \
                 ('30908299996', 1, '2025-01-01 00:00:00'), ('30908299996', 3, '2024-06-01 10:00:00')",
            )
            .await
            .unwrap();
            pool.close().await;
            let column = |name: &str, kind| Column { column: name.into(), kind };
            let asked = Extract {
                table: "opphold".into(),
                number: "pid".into(),
                date: column("ut", ColumnKind::Date),
                columns: vec![column("niva", ColumnKind::Integer)],
                conditions: vec![(column("niva", ColumnKind::Integer), vec!["1".into(), "2".into()])],
                ..extract(&order(1, TimeDelta::minutes(1)))
            };
            let rows = read(&database, &asked).await.unwrap();
            assert_eq!(rows.len(), 1);
            assert_eq!(rows[0].number.as_ref().map(|n| n.as_str()), Some("30908299996"));
            assert_eq!((rows[0].date, rows[0].values.clone()), (day("2024-12-31"), vec![Some("1".into())]));
        }
    }

    #[test]
    fn names_are_quoted_and_qualified() {
        let mut asked = extract(&order(1, TimeDelta::minutes(1)));
        asked.table = "npr.episode".into();
        asked.columns = extract(&{
            let mut order = order(1, TimeDelta::minutes(1));
            order.columns = vec![variable("sektor")];
            order
        })
        .columns;
        let (sql, values) = statement(Backend::Sqlite, &asked).unwrap();
        assert_eq!(
            sql,
            "SELECT CAST(t.\"fnr\" AS TEXT), substr(CAST(t.\"utdato\" AS TEXT), 1, 10), \
             CAST(t.\"sektor\" AS TEXT) FROM \"npr\".\"episode\" AS t WHERE t.\"omsorgsniva\" IN ($1) AND \
             t.\"fagomrade\" IN ($2, $3) AND t.\"utdato\" >= $4 AND t.\"utdato\" < $5"
        );
        assert_eq!(values.len(), 5);
        assert_eq!(values[4], Value::Text("2025-01-01".into()));
    }

    #[test]
    fn only_a_day_is_a_day() {
        assert_eq!(day("2024-02-29T10:00"), NaiveDate::from_ymd_opt(2024, 2, 29));
        for text in ["2023-02-29", "2024-2-29", "20240229", "", "2024-02-3x", "+2024-02-1"] {
            assert_eq!(day(text), None, "{text}");
        }
    }
}
