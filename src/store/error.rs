//! What can go wrong with control data.

use chrono::NaiveDate;

use crate::domain::canonical::CanonicalError;
use crate::domain::cost::HoursError;
use crate::domain::ids::{DomainId, ProjectId, RequestId, RunId, TableId};
use crate::domain::lifecycle::{Inactive, LifeError};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::rho::Rho;

/// Why control data are not read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database's address is of no kind known here.
    #[error("the store must be sqlite://FILE or postgres://...")]
    Address,
    /// The database did not answer, or refused.
    #[error("the database of control data: {0}")]
    Database(#[from] sqlx::Error),
    /// Only SQLite databases are copied by this program.
    #[error("only a SQLite database is copied by this program; copy a PostgreSQL database with pg_dump")]
    NoCopy,
    /// The file for a copy exists, or cannot be made.
    #[error("the file for the copy cannot be made, or is there already")]
    CopyFile(#[source] std::io::Error),
    /// The database was written by a newer version of this program.
    #[error("the database has schema version {found}; this program knows versions up to {known}")]
    NewerSchema {
        /// The version found.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// A migration that the database has been through is not the one of this program.
    #[error("schema version {0} of the database was not made by this program's migration of that number")]
    OtherMigration(i64),
    /// A stored value is not what was written.
    #[error("the database holds a value that is not a {0}")]
    Corrupt(&'static str),
    /// A value cannot be encoded.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// There is no approval with this project and digest.
    #[error("project {0} has no approval with this digest")]
    NoSuchApproval(ProjectId),
    /// The request id is bound to another caller or another query.
    #[error("request id {0} is already used for another submission")]
    RequestIdTaken(RequestId),
    /// There is no such run.
    #[error("there is no run {0}")]
    NoSuchRun(RunId),
    /// The run has ended, or the phase does not follow its present one.
    #[error("run {0} is past that phase")]
    PhaseOrder(RunId),
    /// The run has no released result.
    #[error("run {0} has no released result")]
    NoSuchResult(RunId),
    /// The table id is used for another result.
    #[error("table id {0} is already used for another result")]
    TableIdTaken(TableId),
    /// The run has no microdata that wait for stewards.
    #[error("run {0} has no result that waits for stewards")]
    NotHeld(RunId),
    /// Something was released, refused or published since the judgement was made.
    #[error("the release ledger has changed since the judgement; judge again")]
    LedgerMoved,
    /// The ledger has no release of this run.
    #[error("run {0} is not in the release ledger")]
    NotInLedger(RunId),
    /// Results of the domain are known by another method.
    #[error(
        "results of data domain {domain} have been released to the recipient, or published, or are being made, by the \
         method {earlier}, and results by the method {asked} beside them would tell what neither tells alone; a query \
         of this domain is accepted if its result has the method {earlier}, by the policies and its approval, one of another \
         domain now"
    )]
    OtherMethod {
        /// The domain.
        domain: DomainId,
        /// The method of earlier tables.
        earlier: String,
        /// The method asked for.
        asked: String,
    },
    /// The project's privacy budget does not suffice.
    #[error(
        "project {project}: the release would cost rho = {asked}, and {left} of the privacy budget of {allowance} \
         is left; a release that costs at most {left} would be accepted"
    )]
    BudgetExceeded {
        /// The project.
        project: ProjectId,
        /// What was asked for.
        asked: Rho,
        /// What is left.
        left: Rho,
        /// The whole budget by the approval in force.
        allowance: Rho,
    },
    /// A lease was asked for of a transaction that has reserved nothing.
    #[error("nothing of a privacy budget has been reserved")]
    NotReserved,
    /// A step that does not follow in the life of the project.
    #[error(transparent)]
    Life(#[from] LifeError),
    /// Nothing may be asked, released or received under the approval.
    #[error(transparent)]
    Inactive(#[from] Inactive),
    /// Hours that are not registered.
    #[error(transparent)]
    Hours(#[from] HoursError),
    /// An organisation would know data of the domain both as a feed and protected.
    #[error(
        "data of domain {domain} reach an organisation either as a feed of persons whom its register holds, or as protected \
         tables and records, never both: the true rows of the one would take the protection off the other; what it has \
         received, or is being made, is {earlier}, and asked for is {asked}; data of another domain would be accepted"
    )]
    FeedAndResults {
        /// The domain.
        domain: DomainId,
        /// What it has.
        earlier: String,
        /// What is asked for.
        asked: String,
    },
    /// The feed was taken a short while ago.
    #[error(
        "project {project}: the feed was taken on {taken} as run {run}, and may be taken once a {every}; from {next} on it \
         is accepted again, and until the seventh day after it was taken that run can be fetched again"
    )]
    FeedNotDue {
        /// The project.
        project: ProjectId,
        /// The run of the last feed.
        run: RunId,
        /// The day it was released.
        taken: NaiveDate,
        /// How often it may be taken.
        every: &'static str,
        /// The first day on which it may be taken again.
        next: NaiveDate,
    },
    /// An approval that is for no feed.
    #[error("the approval of project {0} is for no feed")]
    NoFeed(ProjectId),
    /// The run has reserved another amount, or nothing was asked for.
    #[error("run {0} reserves privacy budget once, and more than none")]
    OtherReservation(RunId),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let error = match error {
            StoreError::Life(error) => return error.into(),
            StoreError::Inactive(why) => return why.into(),
            StoreError::Hours(error) => return error.into(),
            error => error,
        };
        let refusal = |kind, code| Self::new(kind, code, error.to_string());
        match error {
            StoreError::NoSuchApproval(_) => refusal(RefusalKind::NotFound, "project.not_found"),
            StoreError::RequestIdTaken(_) => refusal(RefusalKind::Conflict, "submission.request_id_taken"),
            StoreError::NoSuchRun(_) => refusal(RefusalKind::NotFound, "run.not_found"),
            StoreError::PhaseOrder(_) => refusal(RefusalKind::Precondition, "run.phase"),
            StoreError::NoSuchResult(_) => refusal(RefusalKind::Precondition, "run.no_result"),
            StoreError::TableIdTaken(_) => refusal(RefusalKind::Conflict, "publication.table_id_taken"),
            StoreError::NotHeld(_) => refusal(RefusalKind::Precondition, "microdata.not_held"),
            StoreError::LedgerMoved => refusal(RefusalKind::Conflict, "disclosure.ledger_moved"),
            StoreError::NotInLedger(_) => refusal(RefusalKind::Precondition, "disclosure.not_in_ledger"),
            StoreError::OtherMethod { .. } => refusal(RefusalKind::Precondition, "rule.other_method"),
            StoreError::FeedAndResults { .. } => refusal(RefusalKind::Precondition, "rule.feed_and_results"),
            StoreError::FeedNotDue { .. } => refusal(RefusalKind::Precondition, "feed.not_due"),
            StoreError::BudgetExceeded { .. } => refusal(RefusalKind::Limit, "budget.exceeded"),
            StoreError::OtherReservation(_) => refusal(RefusalKind::Conflict, "budget.reserved_otherwise"),
            StoreError::Address
            | StoreError::Database(_)
            | StoreError::NewerSchema { .. }
            | StoreError::OtherMigration(_)
            | StoreError::Corrupt(_)
            | StoreError::NoFeed(_)
            | StoreError::NotReserved
            | StoreError::Life(_)
            | StoreError::Inactive(_)
            | StoreError::Hours(_)
            | StoreError::NoCopy
            | StoreError::CopyFile(_)
            | StoreError::Canonical(_) => Self::new(
                RefusalKind::Internal,
                "store.unavailable",
                "the gateway's control data are not available; nothing was done",
            ),
        }
    }
}
