//! The persons that a register holds, as it names them for a feed.

use futures::stream::{BoxStream, StreamExt};
use serde::Deserialize;
use sqlx::{AssertSqlSafe, Row};
use zeroize::Zeroizing;

use super::lists::is_table;
use super::policy::is_name;
use super::source::{Source, SourceError, quoted};
use crate::domain::feed::FeedBasis;

/// Where the register's database has the persons it holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedTable {
    /// What the register stands under, which the approval of a feed must state.
    pub(super) basis: FeedBasis,
    table: String,
    /// The column with the identity number.
    number: String,
    /// The column by which the register's own rows tell who it is. A number with several has the least of them.
    key: String,
}

/// A person that the register holds. The number is erased when it is dropped.
pub(super) struct HeldPerson {
    pub(super) number: Option<Zeroizing<String>>,
    pub(super) key: Option<String>,
}

impl FeedTable {
    /// Whether all of its names are names.
    pub(super) fn is_named(&self) -> bool {
        is_table(&self.table) && is_name(&self.number) && is_name(&self.key)
    }

    /// A line a number. The names in it come from the policy file, checked and quoted.
    fn statement(&self) -> String {
        let Self { number, key, .. } = self;
        format!(
            "SELECT CAST(t.\"{number}\" AS TEXT), CAST(MIN(t.\"{key}\") AS TEXT) FROM {} AS t GROUP BY t.\"{number}\"",
            quoted(&self.table)
        )
    }
}

impl Source {
    /// The persons that the register holds, a line a number, as the database gives them.
    pub(super) fn held<'a>(&'a self, table: &FeedTable) -> BoxStream<'a, Result<HeldPerson, SourceError>> {
        let rows = sqlx::query(AssertSqlSafe(table.statement())).fetch(&self.pool);
        rows.map(|row| {
            let row = row?;
            let number: Option<String> = row.try_get(0)?;
            Ok(HeldPerson { number: number.map(Zeroizing::new), key: row.try_get(1)? })
        })
        .boxed()
    }
}
