//! Why an approved query has no plan.

use crate::domain::canonical::CanonicalError;
use crate::domain::ids::{CodeListId, DatasetId, RegisterId, VariableId};
use crate::domain::refusal::{Refusal, RefusalKind};

/// Why an approved query has no plan. Values of conditions are never repeated: what was typed as a code
/// may be anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No such register.
    #[error("there is no register {asked}; the registers are {accepted}")]
    Register {
        /// The register asked for.
        asked: RegisterId,
        /// The registers there are.
        accepted: String,
    },
    /// No such dataset.
    #[error("register {register} has no dataset {asked}; its datasets are {accepted}")]
    Dataset {
        /// The register.
        register: RegisterId,
        /// The dataset asked for.
        asked: DatasetId,
        /// The datasets it has.
        accepted: String,
    },
    /// No such variable.
    #[error("dataset {dataset} has no variable {asked}; its variables are {accepted}")]
    Variable {
        /// The dataset.
        dataset: DatasetId,
        /// The variable asked for.
        asked: VariableId,
        /// The variables it has.
        accepted: String,
    },
    /// Microdata without anything by which persons are told apart.
    #[error("a query for microdata needs at least one dimension: its dimensions are the quasi-identifiers")]
    NoQuasiIdentifier,
    /// A variable that is not of the kind its place needs.
    #[error("{variable} cannot stand here: {place} takes one of {accepted}")]
    Kind {
        /// The variable asked for.
        variable: VariableId,
        /// The place it was put in.
        place: &'static str,
        /// The variables of the dataset that can stand there.
        accepted: String,
    },
    /// A value that is no code of the variable.
    #[error("a condition on {variable} lists a value that is none of its codes; it takes {accepted}")]
    Code {
        /// The variable.
        variable: VariableId,
        /// The codes it takes.
        accepted: String,
    },
    /// A condition lists no value, or too many.
    #[error("a condition on {variable} lists {values} values; it takes from 1 to {most}")]
    Values {
        /// The variable.
        variable: VariableId,
        /// How many were listed.
        values: usize,
        /// The most it may list.
        most: usize,
    },
    /// The cohort is not from a partner register.
    #[error("register {asked} cannot give the cohort; it comes from a partner register: {accepted}")]
    CohortRegister {
        /// The register asked for.
        asked: RegisterId,
        /// The partner registers.
        accepted: String,
    },
    /// An outcome is not from a register the gateway holds.
    #[error("outcome {outcome} is looked for in {asked}; outcomes come from {accepted}")]
    OutcomeRegister {
        /// The outcome.
        outcome: VariableId,
        /// The register asked for.
        asked: RegisterId,
        /// The registers that outcomes come from.
        accepted: String,
    },
    /// An outcome whose name is taken or would make a column ambiguous.
    #[error(
        "outcome {0} must have another name: each name once, none of `persons`, `measure` or a \
         dimension, and none that ends in `_share`, `_status`, `_low` or `_high`"
    )]
    OutcomeName(VariableId),
    /// Two outcomes are the same but for their name.
    #[error("outcomes {0} and {1} are the same")]
    SameOutcome(VariableId, VariableId),
    /// Two outcomes of which neither contains the other. Counts that overlap would give a third away.
    #[error(
        "outcomes {0} and {1} are not nested: the outcomes of one query must be the same events in longer \
         windows or wider conditions, each containing the one before; ask for others in a query of their own"
    )]
    NotNested(VariableId, VariableId),
    /// What is to be measured of an outcome cannot be.
    #[error("outcome {outcome}: {accepted}")]
    Value {
        /// The outcome.
        outcome: VariableId,
        /// What would be accepted.
        accepted: String,
    },
    /// The dimensions stand in another order than the catalogue's.
    #[error("the dimensions must stand in this order: {0}")]
    DimensionOrder(String),
    /// Tables are not divided by this variable.
    #[error("{asked} is no dimension; the dimensions are {accepted}")]
    Dimension {
        /// The variable asked for.
        asked: VariableId,
        /// The dimensions there are.
        accepted: String,
    },
    /// A dimension occurs twice.
    #[error("dimension {0} occurs twice")]
    DimensionTwice(VariableId),
    /// A dimension is not grouped by this code list.
    #[error("dimension {variable} is not grouped by {asked}; it is grouped by {accepted}")]
    CodeList {
        /// The dimension.
        variable: VariableId,
        /// The code list asked for.
        asked: CodeListId,
        /// The code lists that group it.
        accepted: String,
    },
    /// The title is empty, too long, or holds control characters.
    #[error("the title must have from 1 to {most} characters, none of them a control character")]
    Title {
        /// The most characters.
        most: usize,
    },
    /// Too many outcomes or dimensions.
    #[error("a query has at most {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most there may be.
        most: usize,
    },
    /// The table would be too large.
    #[error("the table would have {cells} counts; at most {most} are made. Use a coarser code list")]
    Cells {
        /// How many counts it would have, margins included.
        cells: usize,
        /// The most it may have.
        most: usize,
    },
    /// The conditions on the cohort leave no code of a dimension that anybody could have.
    #[error(
        "nobody can be in this cohort and in any code of {list}, as the catalogue says; ask without the dimension \
         {variable}, or with other conditions"
    )]
    Nobody {
        /// The dimension.
        variable: VariableId,
        /// The code list it is grouped by.
        list: CodeListId,
    },
    /// The catalogue does not hold together, which its loading refuses.
    #[error("the catalogue is inconsistent: {0}")]
    Catalogue(String),
    /// A feed is granted no date of a dataset.
    #[error(
        "the feed is granted no date of dataset {dataset}, so it is not known which rows lie in the data period; an \
         approval that grants one of {accepted} would be accepted"
    )]
    NoDate {
        /// The dataset.
        dataset: DatasetId,
        /// Its dates.
        accepted: String,
    },
    /// The query cannot be encoded.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

impl PlanError {
    const fn code(&self) -> &'static str {
        match self {
            Self::Register { .. } => "plan.unknown_register",
            Self::Dataset { .. } => "plan.unknown_dataset",
            Self::Variable { .. } => "plan.unknown_variable",
            Self::Kind { .. } => "plan.wrong_kind_of_variable",
            Self::Code { .. } => "plan.unknown_code",
            Self::Values { .. } => "plan.number_of_values",
            Self::CohortRegister { .. } => "plan.cohort_register",
            Self::OutcomeRegister { .. } => "plan.outcome_register",
            Self::OutcomeName(_) => "plan.outcome_name",
            Self::SameOutcome(..) => "plan.same_outcome",
            Self::NotNested(..) => "plan.outcomes_not_nested",
            Self::Value { .. } => "plan.value",
            Self::DimensionOrder(_) => "plan.dimension_order",
            Self::Dimension { .. } => "plan.unknown_dimension",
            Self::DimensionTwice(_) => "plan.dimension_twice",
            Self::CodeList { .. } => "plan.unknown_code_list",
            Self::Title { .. } => "plan.title",
            Self::TooMany { .. } => "plan.too_many",
            Self::Cells { .. } => "plan.too_many_cells",
            Self::Nobody { .. } => "plan.nobody",
            Self::NoQuasiIdentifier => "plan.no_quasi_identifier",
            Self::NoDate { .. } => "plan.no_date",
            Self::Catalogue(_) => "plan.catalogue",
            Self::Canonical(_) => "plan.not_encodable",
        }
    }
}

impl From<PlanError> for Refusal {
    fn from(error: PlanError) -> Self {
        let kind = match error {
            PlanError::Cells { .. } => RefusalKind::Limit,
            PlanError::Catalogue(_) | PlanError::Canonical(_) => RefusalKind::Internal,
            _ => RefusalKind::Invalid,
        };
        Self::new(kind, error.code(), error.to_string())
    }
}
