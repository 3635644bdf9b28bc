//! The files of a feed: the codes of one that is under way, so that it can be fetched again, and the rows themselves, under
//! the register's own keys. None has an identity number in it.

use std::collections::HashMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::feed_error::FeedError;
use crate::domain::feed_data::{FeedCode, FeedData};
use crate::domain::ids::{ProjectId, RunId};
use crate::linkage::LinkageCode;

/// A feed that is under way.
pub(super) struct Pending {
    pub(super) run: RunId,
    /// By this register's clock, the time from which the gateway begins no run by its order any more.
    pub(super) until: DateTime<Utc>,
    /// The register's own keys, by code.
    pub(super) keys: HashMap<FeedCode, String>,
}

#[derive(Serialize, Deserialize)]
struct PendingFile {
    run: RunId,
    until: DateTime<Utc>,
    keys: Vec<(FeedCode, String)>,
}

fn failed(path: &Path, error: &std::io::Error) -> FeedError {
    FeedError::File { path: path.to_owned(), kind: error.kind() }
}

fn pending_path(out: &Path, project: &ProjectId) -> PathBuf {
    out.join(format!("{project}.pending"))
}

fn folder(path: &Path) -> Result<(), FeedError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| failed(path, &e))
}

/// Writes a file whole or not at all, for this user alone.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FeedError> {
    let half = path.with_extension("half");
    let write = || {
        let file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&half)?;
        let mut writer = BufWriter::new(file);
        writer.write_all(bytes)?;
        writer.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&half, path)
    };
    write().map_err(|e| failed(path, &e))
}

/// The feed of a project that was broken off, if one was.
pub(super) fn pending(out: &Path, project: &ProjectId) -> Result<Option<Pending>, FeedError> {
    let path = pending_path(out, project);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&path, &error)),
    };
    let PendingFile { run, until, keys } =
        serde_json::from_slice(&bytes).map_err(|_| FeedError::Pending(path.clone()))?;
    Ok(Some(Pending { run, until, keys: keys.into_iter().collect() }))
}

/// Keeps the codes of a feed until it is written.
pub(super) fn keep(
    out: &Path,
    project: &ProjectId,
    run: &RunId,
    until: DateTime<Utc>,
    keys: &std::collections::BTreeMap<LinkageCode, String>,
) -> Result<Pending, FeedError> {
    let path = pending_path(out, project);
    let coded = |(code, key): (&LinkageCode, &String)| Some((FeedCode::new(code.as_bytes())?, key.clone()));
    let file = PendingFile { run: run.clone(), until, keys: keys.iter().filter_map(coded).collect() };
    let bytes = serde_json::to_vec(&file).map_err(|_| FeedError::Pending(path.clone()))?;
    folder(out)?;
    write_whole(&path, &bytes)?;
    Ok(Pending { run: file.run, until, keys: file.keys.into_iter().collect() })
}

/// Removes the codes of a feed.
pub(super) fn forget(out: &Path, project: &ProjectId) -> Result<(), FeedError> {
    let path = pending_path(out, project);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(&path, &error)),
        _ => Ok(()),
    }
}

/// Writes a feed into a folder of its own, a CSV file a dataset, the register's own key first. Every row must be of somebody
/// who was named.
pub(super) fn write<'a>(
    out: &Path,
    feed: &FeedData,
    key_of: &dyn Fn(&FeedCode) -> Option<&'a str>,
) -> Result<PathBuf, FeedError> {
    let into = out.join(feed.project.as_str()).join(feed.run.as_str());
    folder(&into)?;
    for dataset in &feed.datasets {
        let path = into.join(format!("{}.csv", dataset.dataset));
        let text = || -> Option<Vec<u8>> {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let names = dataset.variables.iter().map(|variable| variable.as_str());
            writer.write_record(std::iter::once("key").chain(names)).ok()?;
            for row in &dataset.rows {
                let values = row.values.iter().map(|value| value.as_deref().unwrap_or_default());
                writer.write_record(std::iter::once(key_of(&row.code)?).chain(values)).ok()?;
            }
            writer.into_inner().ok()
        };
        write_whole(&path, &text().ok_or(FeedError::OtherFeed)?)?;
    }
    Ok(into)
}
