//! `kpr register load`: a delivery into the partner's own table, in one transaction.

use std::path::Path;

use serde::Serialize;
use sqlx::Connection;
use tokio::sync::mpsc;

use super::delivery::{Delivery, EPISODES, Episode, IDENTITIES};
use super::faults::Faults;
use super::source::SourceError;
use super::tables::{self, ROWS};
use crate::config::ConfigError;
use crate::domain::canonical::Digest;
use crate::domain::ids::RegisterId;

/// Why a delivery is not loaded. The database is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The description is not accepted.
    #[error(transparent)]
    Description(#[from] ConfigError),
    /// A file cannot be read.
    #[error("{file} of the delivery cannot be read: {kind}")]
    Read {
        /// The file.
        file: &'static str,
        /// The system's word.
        kind: std::io::ErrorKind,
    },
    /// A file has another header.
    #[error("{file} must begin with the header line {header}")]
    Header {
        /// The file.
        file: &'static str,
        /// The header.
        header: &'static str,
    },
    /// It is a delivery of another register.
    #[error("this delivery is of register {delivery}, the configuration of {configured}")]
    Register {
        /// The delivery's.
        delivery: RegisterId,
        /// The configuration's.
        configured: RegisterId,
    },
    /// Another delivery of the same days is loaded.
    #[error("another delivery that covers some of the same days is already loaded")]
    Period,
    /// Too many lines are faulty.
    #[error(
        "{bad} of {lines} lines of {file} are faulty, more than the {percent} % allowed; nothing is loaded"
    )]
    TooManyFaults {
        /// The file.
        file: &'static str,
        /// Faulty lines.
        bad: u64,
        /// All lines.
        lines: u64,
        /// The most that is allowed.
        percent: f64,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] SourceError),
    /// The reader ended early.
    #[error("the delivery could not be read to its end")]
    Interrupted,
}

impl From<sqlx::Error> for LoadError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// How a delivery is loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The register whose deliveries are taken.
    pub register: RegisterId,
    /// The database: `sqlite://file` (made if it does not exist) or `postgres://...`.
    pub database: String,
    /// The most faulty lines of a file, in percent of its lines.
    pub most_faults_percent: f64,
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadReport {
    /// The delivery.
    pub delivery: Digest,
    /// It had been loaded before; nothing was done now.
    pub already_loaded: bool,
    /// Episodes in the table from this delivery.
    pub episodes: u64,
    /// Of these, without an identity number.
    pub without_number: u64,
    /// Lines of EPISODE.csv and NPR_IDE.csv, headers left out.
    pub lines: u64,
    /// Faulty lines.
    pub faults: Faults,
}

/// Loads the delivery in `folder`; `progress` is told the number of episodes taken so far.
///
/// # Errors
/// [`LoadError`]; nothing is then changed.
pub async fn load(
    folder: &Path,
    options: &LoadOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<LoadReport, LoadError> {
    let folder = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || Delivery::open(&folder)).await;
    let delivery = opened.map_err(|_| LoadError::Interrupted)??;
    let (digest, period) = (delivery.digest, delivery.description.period);
    if delivery.description.register != options.register {
        return Err(LoadError::Register {
            delivery: delivery.description.register,
            configured: options.register.clone(),
        });
    }
    let (backend, mut connection) = tables::writable(&options.database).await?;
    let mut transaction = tables::begin(backend, &mut connection).await?;
    if let Some(episodes) = tables::loaded(&mut transaction, &digest).await? {
        let report = LoadReport {
            delivery: digest,
            already_loaded: true,
            episodes,
            without_number: 0,
            lines: 0,
            faults: Faults::default(),
        };
        return Ok(report);
    }
    if tables::overlaps(&mut transaction, period).await? {
        return Err(LoadError::Period);
    }
    let number = tables::enter(&mut transaction, &digest, period).await?;

    // One thread reads and checks while this one writes.
    let (sender, mut chunks) = mpsc::channel(4);
    let percent = options.most_faults_percent;
    let reading = tokio::task::spawn_blocking(move || read(&delivery, percent, &sender));
    let (mut episodes, mut without_number) = (0, 0);
    while let Some(chunk) = chunks.recv().await {
        episodes += chunk.len() as u64;
        without_number += chunk.iter().filter(|episode| episode.number.is_none()).count() as u64;
        tables::insert(backend, &mut transaction, number, chunk).await?;
        progress(episodes);
    }
    let (lines, faults) = reading.await.map_err(|_| LoadError::Interrupted)??;
    tables::finish(&mut transaction, number, episodes).await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(LoadReport { delivery: digest, already_loaded: false, episodes, without_number, lines, faults })
}

/// Reads the identity file, then the episodes, and judges the faults.
fn read(
    delivery: &Delivery,
    percent: f64,
    chunks: &mpsc::Sender<Vec<Episode>>,
) -> Result<(u64, Faults), LoadError> {
    let mut faults = Faults::default();
    let (numbers, identity_lines) = delivery.identities(&mut faults)?;
    judge(&faults, IDENTITIES, identity_lines, percent)?;
    let mut each = |chunk: Vec<Episode>| chunks.blocking_send(chunk).map_err(|_| LoadError::Interrupted);
    let episode_lines = delivery.episodes(&numbers, &mut faults, ROWS, &mut each)?;
    judge(&faults, EPISODES, episode_lines, percent)?;
    Ok((identity_lines + episode_lines, faults))
}

#[allow(clippy::cast_precision_loss, reason = "a share of lines; rounding does not matter")]
fn judge(faults: &Faults, file: &'static str, lines: u64, percent: f64) -> Result<(), LoadError> {
    let bad = faults.of(file);
    if bad as f64 > lines as f64 * percent / 100.0 {
        return Err(LoadError::TooManyFaults { file, bad, lines, percent });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;
    use crate::partner::FaultKind;
    use crate::partner::testing::{Database, EPISODES as LINES, IDENTITIES as NUMBERS, databases, deliver};

    async fn taken(folder: &Path, database: &Database) -> Result<LoadReport, LoadError> {
        load(folder, &database.options(), &|_| ()).await
    }

    async fn count(database: &Database, sql: &'static str) -> i64 {
        let pool = sqlx::AnyPool::connect(&database.url).await.unwrap();
        sqlx::query(sql).fetch_one(&pool).await.unwrap().try_get(0).unwrap()
    }

    #[tokio::test]
    async fn the_same_delivery_twice_changes_nothing() {
        for database in databases().await {
            let dir = tempfile::tempdir().unwrap();
            deliver(dir.path(), LINES.as_bytes(), NUMBERS.as_bytes());
            let first = taken(dir.path(), &database).await.unwrap();
            assert_eq!((first.episodes, first.without_number, first.lines), (8, 1, 12));
            assert!(first.faults.first().is_empty());
            let again = taken(dir.path(), &database).await.unwrap();
            assert!(again.already_loaded && again.episodes == 8);
            assert_eq!(count(&database, "SELECT COUNT(*) FROM episode").await, 8);
            // Numbers are kept as they came, also those that are none: the source is the partner's own.
            let kept = "SELECT COUNT(*) FROM episode WHERE fnr = '00000000000'";
            assert_eq!(count(&database, kept).await, 1);
        }
    }

    #[tokio::test]
    async fn messy_lines_are_counted_where_they_stand() {
        let database = databases().await.remove(0);
        let dir = tempfile::tempdir().unwrap();
        let episodes = [
            LINES.as_bytes(),
            b"10;1;1;4;2024-03-01;2024-03-05;320;VOP;F20.0;0301\n",
            b"20;1;1;4;2024-02-30;2024-03-05;320;VOP;F20.0;0301\n",
            b"21;1;1;4;2024-03-01;2024-03-05;320;VOP;Bj\xf8rn;0301\n",
            &[b'x'; 3000],
            b"\n22;1;1;4;2024-03-01;2024-03-05;320;VOP;F20.0;0301\n",
            b"23;1;1;4;2024-03-01;20",
        ]
        .concat();
        deliver(dir.path(), &episodes, format!("{NUMBERS}1;30908299996\n5;1;2\n3;x\n").as_bytes());
        let report = taken(dir.path(), &database).await.unwrap();
        let found: Vec<_> = report.faults.first().iter().map(|f| (f.file, f.line, f.kind)).collect();
        assert_eq!(
            found,
            [
                (IDENTITIES, 6, FaultKind::Duplicate),
                (IDENTITIES, 7, FaultKind::FieldCount),
                (IDENTITIES, 8, FaultKind::Conflict),
                (EPISODES, 10, FaultKind::Duplicate),
                (EPISODES, 11, FaultKind::Date),
                (EPISODES, 12, FaultKind::Encoding),
                (EPISODES, 13, FaultKind::TooLong),
                (EPISODES, 15, FaultKind::FieldCount),
            ]
        );
        assert_eq!(report.episodes, 9);
    }

    #[tokio::test]
    async fn a_refused_delivery_leaves_nothing() {
        for database in databases().await {
            let dir = tempfile::tempdir().unwrap();
            // More than a chunk of good lines before the bad ones, so that inserts have happened.
            let line = |n: usize| format!("{n};1;1;4;2024-03-01;2024-03-05;320;VOP;F20.0;0301\n");
            let good: String = (0..3 * ROWS).map(line).collect();
            let bad = "x\n".repeat(4 * ROWS);
            deliver(dir.path(), format!("{good}{bad}").as_bytes(), NUMBERS.as_bytes());
            let refused = taken(dir.path(), &database).await.unwrap_err();
            assert!(matches!(refused, LoadError::TooManyFaults { file: EPISODES, .. }), "{refused}");

            deliver(dir.path(), good.as_bytes(), NUMBERS.as_bytes());
            assert_eq!(taken(dir.path(), &database).await.unwrap().episodes, 3 * ROWS as u64);
            deliver(dir.path(), LINES.as_bytes(), NUMBERS.as_bytes());
            assert!(matches!(taken(dir.path(), &database).await, Err(LoadError::Period)));
            assert_eq!(count(&database, "SELECT COUNT(*) FROM episode").await, 3 * ROWS as i64);
            assert_eq!(count(&database, "SELECT COUNT(*) FROM delivery").await, 1);
        }
    }

    #[tokio::test]
    async fn a_delivery_of_another_register_or_layout_is_refused() {
        let database = databases().await.remove(0);
        let dir = tempfile::tempdir().unwrap();
        deliver(dir.path(), b"", b"");
        let path = dir.path().join("delivery.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"NPR\"\nsender", "\"DAR\"\nsender")).unwrap();
        assert!(matches!(taken(dir.path(), &database).await, Err(LoadError::Register { .. })));
        std::fs::write(&path, text.replace("layout = \"npr\"", "layout = \"kuhr\"")).unwrap();
        assert!(matches!(taken(dir.path(), &database).await, Err(LoadError::Description(_))));
        deliver(dir.path(), b"", b"");
        std::fs::write(dir.path().join("NPR_IDE.csv"), "npr_lnr,fnr\n").unwrap();
        assert!(matches!(taken(dir.path(), &database).await, Err(LoadError::Header { .. })));
    }
}
