//! The events of the log: numbered types, each with a fixed set of fields. A number is never used
//! again for something else, and a type's fields never change; a new need is a new number.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::domain::canonical::Digest;
use crate::domain::ids::{
    DatasetId, DomainId, OrderId, OrganisationId, ProjectId, RegisterId, RequestId, RuleId, RunId, StewardId,
    TableId,
};
use crate::domain::rho::Rho;
use crate::domain::words::Words;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The organisation; it stands in the leaf.
    pub organisation: OrganisationId,
    /// The role, as certificates name it; it stands in the leaf.
    pub role: &'static str,
    /// The certificate's name; it stands among the details, which can be erased.
    pub name: String,
}

/// An event with who did it and what it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who did it.
    pub actor: Actor,
    /// The project it belongs to.
    pub project: Option<ProjectId>,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// What happened.
    pub event: Event,
}

/// A type of event with its number, as it stands in the leaf.
pub(super) trait Kind {
    /// The number.
    const NUMBER: u16;
}

macro_rules! events {
    ($($(#[$doc:meta])* $number:literal $text:literal $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $kind:ty),* $(,)?
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $kind,)*
            }

            impl Kind for $name {
                const NUMBER: u16 = $number;
            }

            impl From<$name> for Event {
                fn from(fields: $name) -> Self {
                    Self::$name(fields)
                }
            }
        )*

        /// What happened.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $($(#[$doc])* $name($name),)*
        }

        impl Event {
            /// The number of its type, as it stands in the leaf.
            #[must_use]
            pub const fn number(&self) -> u16 {
                match self {
                    $(Self::$name(_) => $number,)*
                }
            }
        }

        /// The name of an event type, by its number.
        #[must_use]
        pub(super) const fn type_name(number: u16) -> Option<&'static str> {
            match number {
                $($number => Some($text),)*
                _ => None,
            }
        }
    };
}

events! {
    /// The gateway has started.
    1 "gateway started" GatewayStarted {
        /// The version of the program.
        version: String,
        /// The digest of the policies in force.
        policies: Digest,
        /// The digest of the catalogue of registers.
        catalogue: Digest,
    }
    /// The gateway has stopped in order.
    2 "gateway stopped" GatewayStopped {}
    /// A steward has entered an approval.
    3 "approval entered" ApprovalEntered {
        /// The digest of the approval.
        approval: Digest,
        /// Its version.
        version: u32,
    }
    /// A steward has signed an approval.
    4 "approval signed" ApprovalSigned {
        /// The digest of the approval.
        approval: Digest,
        /// The steward.
        steward: StewardId,
    }
    /// A query is about to read data: the intent, durable before anything is read.
    5 "query opened" QueryOpened {
        /// The digest of the query.
        query: Digest,
        /// The digest of the approval it falls under.
        approval: Digest,
        /// The digest of the policies that decided.
        policies: Digest,
        /// The digest of the plan.
        plan: Digest,
        /// The disclosure rule.
        rule: RuleId,
        /// The least number of persons in a published cell.
        min_persons: u32,
    }
    /// A partner has been given a linkage order.
    6 "order given" OrderGiven {
        /// The order.
        order: OrderId,
        /// The digest of the order.
        digest: Digest,
        /// The partner register.
        register: RegisterId,
        /// Its dataset.
        dataset: DatasetId,
    }
    /// A result is released: the receipt, in one transaction with the result's bytes.
    7 "result received" ResultReceived {
        /// The index of the intent.
        intent: u64,
        /// The digest of the result.
        result: Digest,
    }
    /// A query was refused, before or after its intent, or its microdata were by a steward or the time they were held.
    8 "query refused" QueryRefused {
        /// The index of the intent, if there was one. This closes it unless its result was held.
        intent: Option<u64>,
        /// The digest of the query.
        query: Digest,
        /// The code of the refusal.
        code: String,
    }
    /// A query failed after its intent; nothing was released.
    9 "query failed" QueryFailed {
        /// The index of the intent that this closes.
        intent: u64,
        /// The code of the failure.
        code: String,
    }
    /// A released result is about to be sent to its recipient.
    10 "result fetched" ResultFetched {
        /// The digest of the result.
        result: Digest,
        /// The format it is sent in.
        format: String,
    }
    /// A steward has published a table.
    11 "table published" TablePublished {
        /// The id of the table.
        table: TableId,
        /// The digest of the result.
        result: Digest,
    }
    /// Something other than a query was refused.
    12 "action refused" ActionRefused {
        /// The action, as the policies name it.
        action: String,
        /// The code of the refusal.
        code: String,
    }
    /// The identity service is about to be asked for the record keys of an order's persons.
    13 "record keys asked" RecordKeysAsked {
        /// The order.
        order: OrderId,
        /// The data domain they belong to.
        domain: DomainId,
    }
    /// A run has reserved its privacy loss, in one transaction with the reservation.
    14 "budget reserved" BudgetReserved {
        /// The privacy loss reserved, rho in zCDP.
        rho: Rho,
        /// What is left of the project's budget.
        left: Rho,
    }
    /// Microdata are protected and wait for two stewards; closes the intent.
    15 "result held" ResultHeld {
        /// The index of the intent.
        intent: u64,
        /// The digest of the result.
        result: Digest,
        /// The digest of the report of risk and loss.
        risk: Digest,
    }
    /// A steward has signed that microdata may be released.
    16 "release signed" ReleaseSigned {
        /// The digest of the result.
        result: Digest,
        /// The digest of the report of risk and loss.
        risk: Digest,
        /// The steward.
        steward: StewardId,
    }
    /// What stewards are told of a released table is about to be read.
    17 "disclosure report read" DisclosureReportRead {}
    /// The configuration that the gateway has started with.
    18 "configuration in force" ConfigurationInForce {
        /// The digest of its file, under the label `kpr/configuration/v1`.
        configuration: Digest,
    }
    /// The policies were read anew and decide from now on.
    19 "policies replaced" PoliciesReplaced {
        /// The digest of the policies.
        policies: Digest,
    }
    /// An application for a version of an approval was received.
    20 "application received" ApplicationReceived {
        /// The digest of the approval.
        approval: Digest,
        /// The day it was received.
        received: NaiveDate,
    }
    /// Something is missing in an application.
    21 "application incomplete" ApplicationIncomplete {
        /// The digest of the approval.
        approval: Digest,
        /// What.
        missing: Words,
    }
    /// An application is complete: the period to answer it runs.
    22 "application complete" ApplicationComplete {
        /// The digest of the approval.
        approval: Digest,
        /// The day it was complete.
        complete: NaiveDate,
    }
    /// The applicant was given a preliminary answer.
    23 "preliminary answer given" PreliminaryAnswerGiven {
        /// The digest of the approval.
        approval: Digest,
        /// Why it takes longer.
        reason: Words,
        /// When an answer is likely.
        likely: NaiveDate,
    }
    /// An application was rejected, or withdrawn by the applicant.
    24 "application ended" ApplicationEnded {
        /// The digest of the approval.
        approval: Digest,
        /// `rejected` or `withdrawn`.
        how: String,
        /// Why.
        reason: Words,
    }
    /// A project is suspended: nothing is run or released under it.
    25 "project suspended" ProjectSuspended {
        /// Why.
        reason: Words,
    }
    /// A suspension is lifted.
    26 "suspension lifted" SuspensionLifted {
        /// Why.
        reason: Words,
    }
    /// A project is closed for good.
    27 "project closed" ProjectClosed {
        /// Why.
        reason: Words,
    }
    /// A steward has registered hours worked on a project.
    28 "hours registered" HoursRegistered {
        /// What the steward names the entry by.
        entry: RequestId,
        /// The day.
        day: NaiveDate,
        /// How many minutes; less than nothing takes some back.
        minutes: i32,
        /// At what.
        what: Words,
    }
    /// A cost statement was made.
    29 "cost stated" CostStated {
        /// The digest of the statement.
        statement: Digest,
        /// Its sum, in øre.
        ore: u64,
    }
    /// Calls of a known caller were turned away before they reached a service.
    45 "call turned away" CallTurnedAway {
        /// The path of the method, `*` for one that there is not.
        method: String,
        /// The code of the refusal.
        code: String,
        /// How many, since this caller's last leaf of this kind.
        calls: u64,
    }
    /// Calls were turned away of which it is not known who made them. The gateway itself is the actor.
    46 "unknown caller turned away" UnknownTurnedAway {
        /// The path of the method, `*` for one that there is not.
        method: String,
        /// The code of the refusal.
        code: String,
        /// How many, since the last leaf of this kind.
        calls: u64,
    }
    /// Certificates or revocation lists were replaced and count for new connections.
    47 "certificates replaced" CertificatesReplaced {
        /// The digest of all of them, under the label `kpr/tls/v1`.
        certificates: Digest,
    }
    /// The rows that a partner has sent are kept, sealed, to be used again.
    56 "linked set kept" LinkedSetKept {
        /// Which rows they are: the digest of their definition.
        set: Digest,
        /// The last day on which they may be used.
        until: NaiveDate,
    }
    /// Rows that are kept are about to be used again, in the place of an order.
    58 "linked set used" LinkedSetUsed {
        /// Which rows they are: the digest of their definition.
        set: Digest,
        /// The run that gathered them.
        gathered: RunId,
    }
    /// Kept rows were deleted whose day has passed, or whose approval is no longer in force.
    59 "linked sets deleted" LinkedSetsDeleted {
        /// How many sets.
        deleted: u64,
    }
    /// A release is entered in the overview of disclosures, in one transaction with its receipt.
    30 "disclosure entered" DisclosureEntered {
        /// The digest of who received it, on which basis, about whom.
        facts: Digest,
        /// Of records: the digest of the sealed set of persons who are in them.
        persons: Option<Digest>,
    }
    /// What the overview of disclosures need not keep any longer is deleted.
    31 "disclosures deleted" DisclosuresDeleted {
        /// Releases before this day.
        before: NaiveDate,
        /// How many there were.
        deleted: u64,
    }
    /// What is kept about a registered person is about to be shown to the person, through a portal.
    32 "person served" PersonServed {
        /// What is shown: the action, as the policies name it.
        action: String,
    }
    /// A registered person has asked the sender of a delivery for a correction.
    33 "correction requested" CorrectionRequested {
        /// Its number among them.
        entry: u64,
        /// The delivery.
        delivery: Digest,
    }
    /// A registered person has set a restriction, or lifted it.
    34 "restriction set" RestrictionSet {
        /// Its number in the history of restrictions.
        entry: u64,
        /// Which.
        restriction: String,
        /// Whether it holds from now on.
        active: bool,
    }
    /// A registered person has asked for erasure; the person's rows are in no result from now on.
    35 "erasure asked" ErasureAsked {
        /// Its number among them.
        entry: u64,
    }
    /// The rows of a registered person are out of the register.
    36 "erasure carried out" ErasureCarriedOut {
        /// The number of the erasure.
        entry: u64,
        /// The snapshot without them.
        snapshot: Digest,
    }
    /// What registered persons have asked for is about to be shown to a steward.
    37 "persons listed" PersonsListed {
        /// What is shown: the action, as the policies name it.
        action: String,
        /// How many entries.
        entries: u64,
    }
    /// A steward has asked that a serial number be resolved.
    50 "resolution signed" ResolutionSigned {
        /// The digest of the statement.
        statement: Digest,
        /// The steward.
        steward: StewardId,
    }
    /// Two stewards have ordered that a serial number be resolved; it is about to be handed to the identity service.
    51 "resolution ordered" ResolutionOrdered {
        /// The digest of the statement.
        statement: Digest,
        /// Who signed first.
        first: StewardId,
        /// Who signed last, to whom the identity service will name the person.
        second: StewardId,
    }
    /// The identity service did not take it, or did not answer.
    52 "resolution not handed over" ResolutionFailed {
        /// The digest of the statement.
        statement: Digest,
        /// The code of the refusal.
        code: String,
    }
    /// The identity service has it, for the second steward to collect.
    53 "resolution handed over" ResolutionHandedOver {
        /// The digest of the statement.
        statement: Digest,
    }
    /// Corrections that persons have asked for are about to be shown to the sender of the deliveries they are about.
    60 "corrections fetched" CorrectionsFetched {
        /// Their numbers.
        corrections: Vec<u64>,
    }
    /// A recipient accepts the conditions of indirectly identifiable records, which are about to be sent to it.
    57 "conditions accepted" ConditionsAccepted {
        /// The digest of the result.
        result: Digest,
        /// The digest of the interest and the conditions.
        conditions: Digest,
    }
    /// A register has been given the order by which it takes a feed.
    54 "feed order given" FeedOrderGiven {
        /// The order.
        order: OrderId,
        /// The digest of the order.
        digest: Digest,
        /// The register.
        register: RegisterId,
    }
    /// Data are about to be read for a feed: the intent, durable before anything is read.
    55 "feed opened" FeedOpened {
        /// The digest of the order.
        order: Digest,
        /// The digest of the approval it falls under.
        approval: Digest,
        /// The digest of the policies that decided.
        policies: Digest,
        /// The digest of the data that it is made from.
        snapshot: Digest,
        /// The register that takes it.
        register: RegisterId,
    }
}

#[cfg(test)]
mod tests;
