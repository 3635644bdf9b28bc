//! `kpr register list`: a whole list of consents, of those who have opted out, or of persons' numbers, from a file into
//! the partner's own tables. The list is then what the file says, or as it was.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection};
use zeroize::Zeroizing;

use super::source::{SourceError, day};
use super::tables;
use crate::identity::Fnr;

/// Which list a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// `fnr;project;purpose;from;to;withdrawn` into the table `consent`.
    Consents,
    /// `fnr;project;purpose;from;to` into the table `opt_out`.
    OptOuts,
    /// `fnr;person` into the table `person_number`.
    Numbers,
}

/// What a field must be.
#[derive(Clone, Copy)]
enum Field {
    Number,
    Text,
    Day,
    /// A day or nothing.
    MaybeDay,
}

impl ListKind {
    const fn table(self) -> &'static str {
        match self {
            Self::Consents => "consent",
            Self::OptOuts => "opt_out",
            Self::Numbers => "person_number",
        }
    }

    /// Its columns: their names in the file, in the table, and what they hold.
    const fn columns(self) -> &'static [(&'static str, &'static str, Field)] {
        const CONSENTS: &[(&str, &str, Field)] = &[
            ("fnr", "fnr", Field::Number),
            ("project", "project", Field::Text),
            ("purpose", "purpose", Field::Text),
            ("from", "valid_from", Field::Day),
            ("to", "valid_to", Field::MaybeDay),
            ("withdrawn", "withdrawn", Field::MaybeDay),
        ];
        const OPT_OUTS: &[(&str, &str, Field)] = &[
            ("fnr", "fnr", Field::Number),
            ("project", "project", Field::Text),
            ("purpose", "purpose", Field::Text),
            ("from", "valid_from", Field::MaybeDay),
            ("to", "valid_to", Field::MaybeDay),
        ];
        const NUMBERS: &[(&str, &str, Field)] =
            &[("fnr", "fnr", Field::Number), ("person", "person", Field::Text)];
        match self {
            Self::Consents => CONSENTS,
            Self::OptOuts => OPT_OUTS,
            Self::Numbers => NUMBERS,
        }
    }

    fn header(self) -> String {
        self.columns().iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(";")
    }
}

/// Why a list is not loaded. The table is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum ListFileError {
    /// The file cannot be read.
    #[error("the list cannot be read: {0}")]
    Read(std::io::ErrorKind),
    /// The first line is not the header.
    #[error("the list must begin with the header line {0}")]
    Header(String),
    /// A line is not as it should be. Its content is not repeated.
    #[error("line {line}, column {column}: {wanted}; nothing is loaded")]
    Line {
        /// The line, the header being line 1.
        line: usize,
        /// The column.
        column: &'static str,
        /// What is wanted.
        wanted: &'static str,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] SourceError),
}

impl From<sqlx::Error> for ListFileError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

type Row<'a> = Vec<Option<&'a str>>;

/// The lines of a file, all of them good.
fn lines(kind: ListKind, text: &str) -> Result<Vec<Row<'_>>, ListFileError> {
    let mut all = text.lines();
    if all.next() != Some(kind.header().as_str()) {
        return Err(ListFileError::Header(kind.header()));
    }
    all.zip(2..).map(|(text, line)| fields(kind, text, line)).collect()
}

fn fields(kind: ListKind, text: &str, line: usize) -> Result<Row<'_>, ListFileError> {
    let columns = kind.columns();
    let fields: Vec<&str> = text.split(';').collect();
    if fields.len() != columns.len() {
        let column = columns.last().map_or("", |(name, ..)| name);
        return Err(ListFileError::Line { line, column, wanted: "as many fields as the header" });
    }
    fields
        .into_iter()
        .zip(columns)
        .map(|(field, (column, _, kind))| {
            let (fits, wanted) = match kind {
                Field::Number => (Fnr::parse(field.as_bytes()).is_ok(), "an identity number"),
                Field::Text => (!field.is_empty(), "a value, * for all"),
                Field::Day => (field.len() == 10 && day(field).is_some(), "a day, YYYY-MM-DD"),
                Field::MaybeDay => (
                    field.is_empty() || field.len() == 10 && day(field).is_some(),
                    "a day, YYYY-MM-DD, or nothing",
                ),
            };
            if fits {
                Ok((!field.is_empty()).then_some(field))
            } else {
                Err(ListFileError::Line { line, column, wanted })
            }
        })
        .collect()
}

/// Replaces a list in a database by that of a file. Gives how many lines it has.
///
/// # Errors
/// [`ListFileError`]; nothing is then changed.
pub async fn load_list(kind: ListKind, file: &Path, database: &str) -> Result<usize, ListFileError> {
    let text =
        std::fs::read_to_string(file).map(Zeroizing::new).map_err(|e| ListFileError::Read(e.kind()))?;
    let rows = lines(kind, &text)?;
    let (_, mut connection) = tables::writable(database).await?;
    let mut transaction = connection.begin().await?;
    let (table, columns) = (kind.table(), kind.columns());
    let made: Vec<String> = columns.iter().map(|(_, name, _)| format!("{name} TEXT")).collect();
    let index = format!("CREATE INDEX IF NOT EXISTS {table}_fnr ON {table} (fnr)");
    for statement in [
        format!("CREATE TABLE IF NOT EXISTS {table} ({})", made.join(", ")),
        index,
        format!("DELETE FROM {table}"),
    ] {
        // The names in it are those above.
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    }
    let places: Vec<String> = (1..=columns.len()).map(|place| format!("${place}")).collect();
    let insert = format!("INSERT INTO {table} VALUES ({})", places.join(", "));
    for row in &rows {
        let query = row.iter().fold(sqlx::query(AssertSqlSafe(insert.clone())), |query, field| {
            query.bind(field.map(str::to_owned))
        });
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    connection.close().await?;
    Ok(rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partner::testing::databases;

    #[tokio::test]
    async fn a_list_is_loaded_whole_or_not_at_all() {
        for database in databases().await {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("list.csv");
            let load = async |kind: ListKind, text: &str| {
                std::fs::write(&file, text).unwrap();
                load_list(kind, &file, &database.url).await
            };
            let header = "fnr;project;purpose;from;to;withdrawn\n";
            let good =
                "30908299996;*;*;2024-01-01;;\n02813200131;P-1;research;2024-01-01;2025-01-01;2024-06-01\n";
            assert_eq!(load(ListKind::Consents, &format!("{header}{good}")).await.unwrap(), 2);
            let count = async || {
                let pool = sqlx::AnyPool::connect(&database.url).await.unwrap();
                let row = sqlx::query("SELECT COUNT(*) FROM consent").fetch_one(&pool).await.unwrap();
                sqlx::Row::try_get::<i64, _>(&row, 0).unwrap()
            };
            for bad in [
                "30908299997;*;*;2024-01-01;;\n",
                "30908299996;;*;2024-01-01;;\n",
                "30908299996;*;*;;;\n",
                "30908299996;*;*;2024-02-30;;\n",
                "30908299996;*;*;2024-01-01;soon;\n",
                "30908299996;*;*;2024-01-01;\n",
                "\n",
            ] {
                let refused = load(ListKind::Consents, &format!("{header}{good}{bad}")).await.unwrap_err();
                assert!(matches!(refused, ListFileError::Line { line: 4, .. }), "{refused}");
                assert!(!refused.to_string().contains("309082"), "{refused}");
            }
            assert!(matches!(load(ListKind::Consents, good).await, Err(ListFileError::Header(_))));
            assert_eq!(count().await, 2);
            assert_eq!(load(ListKind::Consents, header).await.unwrap(), 0);
            assert_eq!(count().await, 0);
            assert_eq!(load(ListKind::Numbers, "fnr;person\n30908299996;7\n").await.unwrap(), 1);
            let opt_out = "fnr;project;purpose;from;to\n30908299996;*;*;;\n";
            assert_eq!(load(ListKind::OptOuts, opt_out).await.unwrap(), 1);
        }
    }
}
