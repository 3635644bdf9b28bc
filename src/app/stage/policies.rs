//! The project's own policies and examples, as the stage lays them out.

use super::Stage;
use super::files::{StageError, folder, write};
use crate::domain::approval::Approval;
use crate::domain::query::Query;

macro_rules! policies {
    ($($path:literal),* $(,)?) => {
        /// The gateway's policy folder: the path of each file in it, and its text.
        const GATEWAY: &[(&str, &str)] =
            &[$(($path, include_str!(concat!("../../../policies/", $path)))),*];
    };
}

policies![
    "gateway.cedar",
    "gateway.cedarschema",
    "disclosure.toml",
    "registers/freg.toml",
    "registers/kpr.toml",
    "registers/npr.toml",
    "codelists/age_4.csv",
    "codelists/age_10.csv",
    "codelists/iplos_score.csv",
    "codelists/region.csv",
    "codelists/sex.csv",
];

const NPR: &str = include_str!("../../../policies/partners/npr.toml");
const APPROVAL: &str = include_str!("../../../docs/examples/approval.yaml");
const QUERY: &str = include_str!("../../../docs/examples/query.yaml");

/// Writes the gateway's policies and the partner's own.
pub(super) fn lay_out(stage: &Stage) -> Result<(), StageError> {
    for (path, text) in GATEWAY {
        let path = stage.path("policies").join(path);
        if let Some(parent) = path.parent() {
            folder(parent)?;
        }
        write(&path, text.as_bytes(), 0o644)?;
    }
    write(&stage.path("npr/policy.toml"), NPR.as_bytes(), 0o644)
}

/// The approval of the example project, `docs/examples/approval.yaml`.
///
/// # Errors
/// [`StageError::Example`].
pub fn example_approval() -> Result<Approval, StageError> {
    serde_saphyr::from_str(APPROVAL).map_err(|e| StageError::Example(e.to_string()))
}

/// The example question, `docs/examples/query.yaml`.
///
/// # Errors
/// [`StageError::Example`].
pub fn example_query() -> Result<Query, StageError> {
    serde_saphyr::from_str(QUERY).map_err(|e| StageError::Example(e.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::domain::canonical::Canonical;

    #[test]
    fn every_policy_file_is_laid_out() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let mut found = BTreeSet::new();
        for inside in ["", "registers", "codelists"] {
            for entry in std::fs::read_dir(root.join(inside)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() && path.extension().is_none_or(|e| e != "md") {
                    found.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        assert_eq!(found, GATEWAY.iter().map(|(path, _)| (*path).to_owned()).collect());
    }

    /// Vectors of the canonical encoding: a change here changes what stewards have signed.
    #[test]
    fn the_examples_keep_their_digests() {
        let digests = [example_query().unwrap().digest(), example_approval().unwrap().digest()];
        let digests = digests.map(|d| d.unwrap().to_string());
        assert_eq!(
            digests,
            [
                "4de1a228e8c12c7e48c1bf779824cc763ee0e25d5580bea986d531965cf59999",
                "ae70a224d9ab09f0ae92f40177b1bbf67b6a0aac7f1a14a2284cf50d3263c437",
            ]
        );
    }
}
