//! An event as it stands in the log, and the commitment that ties it to its details.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::canonical::{Canonical, CanonicalError, Digest};
use crate::domain::ids::{OrganisationId, ProjectId, RunId};
use crate::store::AuditDetail;

use super::event::{Entry, Event, Kind, type_name};

/// A leaf: canonical JSON with these fields in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// The version of this layout: 1.
    pub v: u16,
    /// The number of the event's type.
    #[serde(rename = "type")]
    pub kind: u16,
    /// When it happened, RFC 3339 in UTC.
    pub time: DateTime<Utc>,
    /// The organisation that did it.
    pub organisation: OrganisationId,
    /// Its role.
    pub role: String,
    /// The project it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// What the details must hash to, with their salt.
    pub commitment: Digest,
}

impl Canonical for Leaf {
    const LABEL: &'static str = "kpr/audit-leaf/v1";
}

/// The details: who by name, and the fields of the event's type.
#[derive(Serialize)]
struct Details<'a> {
    name: &'a str,
    fields: &'a Event,
}

/// The details read back, for an event type with fields `T`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Opened<T> {
    #[allow(dead_code, reason = "read with the rest, so that nothing unknown passes")]
    name: String,
    pub(super) fields: T,
}

/// SHA-256 under the label `kpr/audit-commitment/v1` of the 32 bytes of salt and the details.
fn commitment(detail: &AuditDetail) -> Digest {
    Digest::of_bytes("kpr/audit-commitment/v1", &[detail.salt.as_slice(), &detail.fields].concat())
}

impl Leaf {
    /// The version of the layout.
    pub const VERSION: u16 = 1;

    /// The leaf for an event, and the details it commits to.
    pub(super) fn new(
        entry: Entry,
        time: DateTime<Utc>,
        salt: [u8; 32],
    ) -> Result<(Self, AuditDetail), CanonicalError> {
        let details = Details { name: &entry.actor.name, fields: &entry.event };
        let fields =
            serde_json::to_vec(&details).map_err(|_| CanonicalError::NotEncodable("audit details"))?;
        let detail = AuditDetail { salt: salt.to_vec(), fields };
        let leaf = Self {
            v: Self::VERSION,
            kind: entry.event.number(),
            time,
            organisation: entry.actor.organisation,
            role: entry.actor.role.to_owned(),
            project: entry.project,
            run: entry.run,
            commitment: commitment(&detail),
        };
        Ok((leaf, detail))
    }

    /// Whether the leaf commits to these details.
    #[must_use]
    pub fn commits_to(&self, detail: &AuditDetail) -> bool {
        detail.salt.len() == 32 && commitment(detail) == self.commitment
    }

    /// What an event of the type `T` of this run says, from a leaf as it is stored and what it commits to; nothing if it is
    /// the leaf of something else.
    pub(super) fn opened<T: DeserializeOwned + Kind>(
        bytes: &[u8],
        run: &RunId,
        detail: &AuditDetail,
    ) -> Result<Option<T>, CanonicalError> {
        let leaf = Self::from_canonical(bytes)?;
        Ok(if leaf.run.as_ref() == Some(run) { leaf.fields(detail) } else { None })
    }

    /// What an event of the type `T` says, from what its leaf commits to; nothing if it is the leaf of something else, or
    /// commits to something else.
    pub(super) fn fields<T: DeserializeOwned + Kind>(&self, detail: &AuditDetail) -> Option<T> {
        if self.kind != T::NUMBER || !self.commits_to(detail) {
            return None;
        }
        serde_json::from_slice::<Opened<T>>(&detail.fields).ok().map(|opened| opened.fields)
    }

    /// The name of the event's type, if it is one known here.
    #[must_use]
    pub const fn type_name(&self) -> Option<&'static str> {
        type_name(self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Actor, ApprovalEntered};
    use super::*;

    fn entry() -> Entry {
        let organisation = OrganisationId::new("NTRNO-983744516").unwrap();
        Entry {
            actor: Actor { organisation, role: "steward", name: "steward-a".to_owned() },
            project: Some(ProjectId::new("P-2026-0001").unwrap()),
            run: None,
            event: ApprovalEntered { approval: Digest::from_bytes([1; 32]), version: 1 }.into(),
        }
    }

    #[test]
    fn a_leaf_has_one_encoding() {
        let time = "2026-11-22T08:30:00.5Z".parse().unwrap();
        let (leaf, detail) = Leaf::new(entry(), time, [2; 32]).unwrap();
        let bytes = leaf.canonical().unwrap();
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            "{\"v\":1,\"type\":3,\"time\":\"2026-11-22T08:30:00.500Z\",\"organisation\":\"NTRNO-983744516\",\
             \"role\":\"steward\",\"project\":\"P-2026-0001\",\"commitment\":\"\
             be6bd660cad7b4f9763d6083a9e0558caafef12c310eff81dadd04b2ba921d25\"}"
        );
        assert_eq!(Leaf::from_canonical(&bytes).unwrap(), leaf);
        assert_eq!(
            String::from_utf8(detail.fields.clone()).unwrap(),
            format!(
                "{{\"name\":\"steward-a\",\"fields\":{{\"approval\":\"{}\",\"version\":1}}}}",
                "01".repeat(32)
            )
        );
    }

    #[test]
    fn a_commitment_holds_for_its_details_and_salt_only() {
        let (leaf, detail) = Leaf::new(entry(), DateTime::UNIX_EPOCH, [2; 32]).unwrap();
        assert!(leaf.commits_to(&detail));
        assert!(!leaf.commits_to(&AuditDetail { salt: vec![3; 32], ..detail.clone() }));
        assert!(!leaf.commits_to(&AuditDetail { fields: b"{}".to_vec(), ..detail.clone() }));
        // Bytes moved from the fields into the salt would hash alike.
        let (mut salt, mut fields) = (detail.salt.clone(), detail.fields.clone());
        salt.push(fields.remove(0));
        assert!(!leaf.commits_to(&AuditDetail { salt, fields }));
    }
}
