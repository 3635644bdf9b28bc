//! The partner's lists of consents and of those who have opted out, where its policy file says its database keeps them.

use chrono::NaiveDate;
use futures::TryStreamExt;
use serde::Deserialize;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use zeroize::Zeroizing;

use super::policy::is_name;
use super::source::{Source, SourceError, day, quoted};
use super::standing::{Day, Line, People, Scope, Standing, Unreadable};
use crate::domain::approval::Approval;
use crate::identity::Fnr;

/// What stands in a column of projects or purposes for all of them.
const ALL: &str = "*";

/// A list of consents or of those who have opted out. A table may have several lines of a person.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListTable {
    table: String,
    /// The column with the identity number.
    number: String,
    /// The column with the first day. A list of consents has one.
    pub(super) from: Option<String>,
    /// The column with the last day; nothing in it, for as long as nothing else is said.
    to: Option<String>,
    /// The column with the day of a withdrawal. A list of consents may have one.
    pub(super) withdrawn: Option<String>,
    /// The column with the project; `*` for all.
    project: Option<String>,
    /// The column with the purpose, as approvals name it; `*` for all.
    purpose: Option<String>,
}

/// Which numbers are one person's: a line a number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumbersTable {
    table: String,
    /// The column with the identity number.
    number: String,
    /// The column with what is the same for all numbers of a person.
    person: String,
}

/// Whose rows are sent, as the section asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Persons {
    /// Everyone's.
    All,
    /// Of those on a list of consents.
    Consented(ListTable, NumbersTable),
    /// Of those who are not on a list of opting out.
    NotOptedOut(ListTable, NumbersTable),
}

/// Why it is not known whose rows may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ListError {
    /// The database.
    #[error("source.lists")]
    Source,
    /// A line of it.
    #[error("source.opt_out_unreadable")]
    Unreadable,
}

impl From<SourceError> for ListError {
    fn from(error: SourceError) -> Self {
        tracing::warn!(%error, "a list of persons cannot be read");
        Self::Source
    }
}

impl From<Unreadable> for ListError {
    fn from(error: Unreadable) -> Self {
        tracing::warn!(%error, "nothing is sent");
        Self::Unreadable
    }
}

impl ListTable {
    /// Whether all of its names are names.
    pub(super) fn is_named(&self) -> bool {
        let columns = [&self.from, &self.to, &self.withdrawn, &self.project, &self.purpose];
        let mut columns = columns.into_iter().flatten().chain([&self.number]);
        is_table(&self.table) && columns.all(|column| is_name(column))
    }

    /// `SELECT number, from, to, withdrawn, project, purpose FROM table`, all as text.
    fn statement(&self) -> String {
        let number = Some(self.number.clone());
        let columns = [&number, &self.from, &self.to, &self.withdrawn, &self.project, &self.purpose];
        let texts = columns.map(|column| match column {
            Some(column) => format!("CAST(t.\"{column}\" AS TEXT)"),
            None => "CAST(NULL AS TEXT)".to_owned(),
        });
        format!("SELECT {} FROM {} AS t", texts.join(", "), quoted(&self.table))
    }

    fn line(&self, row: &AnyRow, approval: &Approval) -> Result<Line, sqlx::Error> {
        let number: Option<String> = row.try_get(0)?;
        let day_at = |at: usize| {
            let text: Option<String> = row.try_get(at)?;
            Ok::<_, sqlx::Error>(match text.as_deref() {
                None | Some("") => Day::Absent,
                Some(text) => day(text).map_or(Day::Unreadable, Day::On),
            })
        };
        let scope = |at: usize, column: &Option<String>, asked: &str| {
            let text: Option<String> = row.try_get(at)?;
            Ok::<_, sqlx::Error>(match text.as_deref() {
                _ if column.is_none() => Scope::Within,
                None | Some("") => Scope::Unclear,
                Some(text) if text == ALL || text == asked => Scope::Within,
                Some(_) => Scope::Outside,
            })
        };
        let project = scope(4, &self.project, approval.project.as_str())?;
        Ok(Line {
            number: number.map(Zeroizing::new).and_then(|text| Fnr::parse(text.as_bytes()).ok()),
            scope: project.and(scope(5, &self.purpose, approval.purpose.as_str())?),
            from: day_at(1)?,
            to: day_at(2)?,
            withdrawn: day_at(3)?,
        })
    }
}

impl NumbersTable {
    /// Whether all of its names are names.
    pub(super) fn is_named(&self) -> bool {
        is_table(&self.table) && is_name(&self.number) && is_name(&self.person)
    }

    /// The numbers of persons who have several, those of each person together.
    fn statement(&self) -> String {
        let Self { number, person, .. } = self;
        let table = quoted(&self.table);
        format!(
            "SELECT CAST(t.\"{number}\" AS TEXT), CAST(t.\"{person}\" AS TEXT) FROM {table} AS t \
             WHERE t.\"{person}\" IN (SELECT p.\"{person}\" FROM {table} AS p GROUP BY p.\"{person}\" \
             HAVING COUNT(*) > 1) ORDER BY t.\"{person}\""
        )
    }
}

/// A table's name, with or without a schema.
pub(super) fn is_table(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() <= 2 && parts.iter().all(|part| is_name(part))
}

impl Source {
    /// Whose rows may be sent under an approval today, as the lists stand now.
    pub(super) async fn standing(
        &self,
        persons: &Persons,
        approval: &Approval,
        today: NaiveDate,
    ) -> Result<Standing, ListError> {
        let (list, numbers) = match persons {
            Persons::All => return Ok(Standing::everyone()),
            Persons::Consented(list, numbers) | Persons::NotOptedOut(list, numbers) => (list, numbers),
        };
        let people = self.people(numbers).await?;
        let rows = sqlx::query(AssertSqlSafe(list.statement())).fetch(&self.pool);
        let lines: Vec<Line> = rows
            .and_then(async |row| list.line(&row, approval))
            .try_collect()
            .await
            .map_err(SourceError::from)?;
        Ok(match persons {
            Persons::NotOptedOut(..) => Standing::not_opted_out(people, lines.into_iter(), today)?,
            _ => Standing::consented(people, lines.into_iter(), today),
        })
    }

    async fn people(&self, numbers: &NumbersTable) -> Result<People, SourceError> {
        let mut people = People::default();
        let mut last: Option<(Zeroizing<String>, usize)> = None;
        let mut rows = sqlx::query(AssertSqlSafe(numbers.statement())).fetch(&self.pool);
        while let Some(row) = rows.try_next().await? {
            let number = row.try_get::<Option<String>, _>(0)?.map(Zeroizing::new);
            let person = Zeroizing::new(row.try_get::<String, _>(1)?);
            let Some(number) = number.and_then(|text| Fnr::parse(text.as_bytes()).ok()) else { continue };
            let same = last.take().filter(|(before, _)| *before == person).map(|(_, index)| index);
            last = Some((person, people.link(same, number)));
        }
        Ok(people)
    }

    /// That the lists a policy names can be read at all, before any order comes.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn has_lists(&self, persons: &Persons) -> Result<(), SourceError> {
        if let Persons::Consented(list, numbers) | Persons::NotOptedOut(list, numbers) = persons {
            for statement in [list.statement(), numbers.statement()] {
                let probe = format!("SELECT COUNT(*) FROM ({statement}) AS probe");
                sqlx::query(AssertSqlSafe(probe)).fetch_one(&self.pool).await?;
            }
        }
        Ok(())
    }
}
