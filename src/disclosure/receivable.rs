//! Released microdata and the conditions under which their recipient receives them.

use super::released::Released;
use crate::domain::canonical::{Canonical, CanonicalError, Digest};
use crate::domain::microdata::MicrodataTable;
use crate::domain::refusal::{Refusal, RefusalKind};

/// Released microdata that their recipient may receive: it has accepted the conditions that they stand under, if there are
/// any. What writes microdata takes nothing else, and [`Receivable::accept`] is the only way from one to the other:
///
/// ```compile_fail,E0423
/// use kpr::{disclosure::{Receivable, Released}, domain::microdata::MicrodataTable};
/// fn skip(records: Released<MicrodataTable>) -> Receivable {
///     Receivable(records)
/// }
/// ```
///
/// ```
/// use kpr::{disclosure::{NotAccepted, Receivable, Released}, domain::microdata::MicrodataTable};
/// fn accept(records: Released<MicrodataTable>) -> Result<Receivable, NotAccepted> {
///     Receivable::accept(records, None)
/// }
/// ```
#[derive(Clone)]
pub struct Receivable(Released<MicrodataTable>);

/// Why microdata are not received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// They stand under conditions, and these were not accepted, or others were.
    #[error(
        "the records are indirectly identifiable and given under conditions (KPR regulation 4-4); read the conditions, and \
         fetch with their digest, by which the recipient accepts them"
    )]
    Conditions,
    /// Conditions were accepted that the result does not stand under.
    #[error("the result stands under no conditions; fetch it without a digest of conditions")]
    NoConditions,
    /// The approval in force states other conditions than the records were released under, or none.
    #[error(
        "the approval in force no longer states the conditions that these records were released under; submit the query \
         under a new request id"
    )]
    Replaced,
    /// The conditions have no canonical encoding.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

impl From<NotAccepted> for Refusal {
    fn from(error: NotAccepted) -> Self {
        let (kind, code) = match error {
            NotAccepted::Conditions => (RefusalKind::Precondition, "conditions.not_accepted"),
            NotAccepted::NoConditions => (RefusalKind::Precondition, "conditions.none"),
            NotAccepted::Replaced => (RefusalKind::Precondition, "conditions.replaced"),
            NotAccepted::Canonical(_) => (RefusalKind::Internal, "conditions.encoding"),
        };
        Self::new(kind, code, error.to_string())
    }
}

impl Receivable {
    /// Released microdata, to one who has accepted the conditions with this digest.
    ///
    /// # Errors
    /// [`NotAccepted`].
    pub fn accept(records: Released<MicrodataTable>, accepted: Option<Digest>) -> Result<Self, NotAccepted> {
        let asked = records.table().report.terms.as_ref().map(Canonical::digest).transpose()?;
        match (asked, accepted) {
            (Some(asked), accepted) if accepted != Some(asked) => Err(NotAccepted::Conditions),
            (None, Some(_)) => Err(NotAccepted::NoConditions),
            _ => Ok(Self(records)),
        }
    }

    /// The microdata.
    #[must_use]
    pub const fn records(&self) -> &MicrodataTable {
        self.0.table()
    }

    /// Their digest.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.0.digest()
    }
}
