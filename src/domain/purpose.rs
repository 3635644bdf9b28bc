//! What data may be used for.

use serde::{Deserialize, Serialize};

/// What data may be used for (KPR regulation, draft of 2016, sections 1-1 and 4-1). The last three
/// can be named so that they can be refused by name: no permit overrides that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Planning of services.
    Planning,
    /// Steering of services.
    Steering,
    /// Financing of services.
    Financing,
    /// Evaluation of services.
    Evaluation,
    /// Quality improvement.
    QualityImprovement,
    /// Prevention.
    Prevention,
    /// Preparedness.
    Preparedness,
    /// Analyses.
    Analysis,
    /// Research.
    Research,
    /// Data for Nasjonal kjernejournal.
    NationalSummaryRecord,
    /// A purpose that the regulation does not name: only by another law or the persons' consent (4-1), which
    /// [`super::approval::Approval::other_basis`] states.
    Other,
    /// Police or prosecution: prohibited (4-1), even with consent.
    Police,
    /// Insurance: prohibited (4-1), even with consent.
    Insurance,
    /// Employers: prohibited (4-1), even with consent.
    Employer,
}

impl Purpose {
    /// Whether no permit can make it lawful (4-1).
    #[must_use]
    pub const fn is_prohibited(self) -> bool {
        matches!(self, Self::Police | Self::Insurance | Self::Employer)
    }

    /// The name it has in approvals and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Steering => "steering",
            Self::Financing => "financing",
            Self::Evaluation => "evaluation",
            Self::QualityImprovement => "quality_improvement",
            Self::Prevention => "prevention",
            Self::Preparedness => "preparedness",
            Self::Analysis => "analysis",
            Self::Research => "research",
            Self::NationalSummaryRecord => "national_summary_record",
            Self::Other => "other",
            Self::Police => "police",
            Self::Insurance => "insurance",
            Self::Employer => "employer",
        }
    }
}
