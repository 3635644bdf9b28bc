//! Microdata between their protection and their release: sealed, until two stewards have signed.

use super::ledger::{Judgement, Membership, Proposal, Refused, judge, pattern_bytes};
use super::microdata::{Checked, MicrodataRule, granted_records, records};
use super::pattern::PatternKey;
use super::persons::PersonsKey;
use super::proposed::{Earlier, Judged, Known, Remembered, draws};
use super::protect::DisclosureError;
use super::released::Disclosed;
use super::warrant::Warrant;
use crate::audit::Deposit;
use crate::authorise::IndirectGrant;
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::held::{ReleaseStatement, VerifiedRelease};
use crate::domain::ids::{ProjectId, RunId};
use crate::domain::method::Method;
use crate::domain::microdata::{MicrodataTable, RiskReport};
use crate::domain::rule::Rule;
use crate::domain::table::TableShape;
use crate::execute::{Counted, Placed, Protected};
use crate::plan::QueryPlan;

/// Microdata that have passed their check and wait for two stewards. The records in it are sealed; the log alone takes
/// the sealed bytes.
///
/// They have no way to a receipt of their own:
///
/// ```compile_fail,E0599
/// fn release(held: kpr::disclosure::Held, receipt: &kpr::audit::AuditReceipt) {
///     let _ = held.release(receipt);
/// }
/// ```
///
/// Sealed bytes open for a statement that two stewards have signed, and for nothing less:
///
/// ```compile_fail,E0308
/// use kpr::disclosure::{PatternKey, persons::PersonsKey, release_held};
/// fn open(sealed: &[u8], statement: &kpr::domain::held::ReleaseStatement, keys: (&PatternKey, &PersonsKey)) {
///     let _ = release_held(sealed, statement, &[], keys);
/// }
/// ```
///
/// ```
/// use kpr::disclosure::{PatternKey, persons::PersonsKey, release_held};
/// fn open(sealed: &[u8], signed: &kpr::domain::held::VerifiedRelease, keys: (&PatternKey, &PersonsKey)) {
///     let _ = release_held(sealed, signed, &[], keys);
/// }
/// ```
pub struct Held {
    statement: ReleaseStatement,
    risk: Vec<u8>,
    sealed: Vec<u8>,
}

impl Held {
    /// What two stewards would sign.
    #[must_use]
    pub const fn statement(&self) -> &ReleaseStatement {
        &self.statement
    }

    /// The report of risk and loss, in its canonical encoding.
    #[must_use]
    pub fn risk(&self) -> &[u8] {
        &self.risk
    }

    /// The sealed records, for the transaction that records that they are held.
    #[must_use]
    pub fn deposit(&self, _: &Deposit) -> &[u8] {
        &self.sealed
    }
}

/// Makes microdata by the rule of a plan and seals them: anonymous ones judged beside what their recipient has received,
/// indirectly identifiable ones, beside which their recipient has received nothing of the data domain, under the grant that
/// the plan's approved query has.
///
/// # Errors
/// [`DisclosureError`]; nothing is held then.
pub fn hold(
    plan: &QueryPlan,
    run: RunId,
    counted: Protected<Counted>,
    earlier: &[Earlier<'_>],
    key: &PatternKey,
) -> Result<Held, DisclosureError> {
    let approved = plan.approved();
    let counted = counted.open(Warrant::new());
    let (project, shape, persons) = (&approved.query().project, plan.shape(), counted.persons.as_slice());
    match (approved.method(), approved.indirect()) {
        (Method::Generalise(asked), None) => {
            let rule = (approved.rule(), MicrodataRule::of(approved.rule(), asked));
            hold_persons(run, project, shape, persons, rule, earlier, key)
        }
        (Method::AsApproved, Some(grant)) => hold_granted(run, project, shape, persons, grant, key),
        _ => Err(DisclosureError::OtherKind),
    }
}

fn hold_granted(
    run: RunId,
    project: &ProjectId,
    shape: &TableShape,
    persons: &[Placed],
    grant: &IndirectGrant,
    key: &PatternKey,
) -> Result<Held, DisclosureError> {
    let (Checked { table, risk }, everybody) =
        granted_records(run.clone(), project, shape, persons, grant, key)?;
    let payload = Payload { table: table.canonical()?, told: everybody.encode()?, classes: Vec::new() };
    sealed(run, &payload, &risk, key)
}

/// What two stewards would sign, with the records sealed.
fn sealed(
    run: RunId,
    payload: &Payload,
    risk: &RiskReport,
    key: &PatternKey,
) -> Result<Held, DisclosureError> {
    let result = Digest::of_bytes(MicrodataTable::LABEL, &payload.table);
    let statement = ReleaseStatement { result, risk: risk.digest()?, run };
    let sealed = key.held_key().seal(statement.run.as_str(), &payload.encode())?;
    Ok(Held { statement, risk: risk.canonical()?, sealed })
}

fn hold_persons(
    run: RunId,
    project: &ProjectId,
    shape: &TableShape,
    persons: &[Placed],
    (least, rule): (&Rule, MicrodataRule),
    earlier: &[Earlier<'_>],
    key: &PatternKey,
) -> Result<Held, DisclosureError> {
    let made = records(run.clone(), project, shape, persons, &rule, key)?;
    let payload = Payload {
        table: made.anonymised.table.canonical()?,
        told: made.told.encode()?,
        classes: made.classes.encode()?,
    };
    beside(&made.told, &made.classes, least.min_persons(), earlier, key)?;
    sealed(run, &payload, &made.anonymised.risk, key)
}

/// Opens held microdata that two stewards have signed, and judges anonymous ones beside what their recipient has received
/// by now. Who is in them comes out with them, sealed for the overview of disclosures. Of indirectly identifiable ones the
/// ledger keeps nothing: no table is ever judged beside them.
///
/// # Errors
/// [`DisclosureError`], also if they are others than those signed.
pub fn release_held(
    sealed: &[u8],
    release: &VerifiedRelease,
    earlier: &[Earlier<'_>],
    (key, persons_key): (&PatternKey, &PersonsKey),
) -> Result<Judged<MicrodataTable>, DisclosureError> {
    let statement = release.statement();
    let payload = key.held_key().open(statement.run.as_str(), sealed)?;
    let payload = Payload::decode(&payload).ok_or(DisclosureError::OtherKind)?;
    let table = MicrodataTable::from_canonical(&payload.table)?;
    let (least, is_granted) = (table.report.min_persons, table.report.terms.is_some());
    let disclosed = Disclosed::new(table)?;
    if disclosed.digest() != statement.result {
        return Err(DisclosureError::OtherKind);
    }
    let told = Membership::decode(&payload.told)?;
    let persons = persons_key.seal(&statement.run, told.everybody())?;
    if is_granted {
        return Ok(Judged::new(disclosed, None).of_persons(persons));
    }
    beside(&told, &Membership::decode(&payload.classes)?, least, earlier, key)?;
    // Everything that can be counted in the records is told.
    let remembered = Remembered {
        pattern: pattern_bytes(&vec![false; told.cells()]),
        sealed: key.membership_key().seal(statement.run.as_str(), &payload.told)?,
        report: None,
    };
    Ok(Judged::new(disclosed, Some(remembered)).of_persons(persons))
}

/// Whether records can stand beside what their recipient has received. Their classes are judged as published counts
/// beside its tables. Of records an organisation receives one set: the same again, and no other.
fn beside(
    told: &Membership,
    classes: &Membership,
    least: u32,
    earlier: &[Earlier<'_>],
    key: &PatternKey,
) -> Result<(), DisclosureError> {
    if let Some(records) = earlier.iter().find(|earlier| earlier.microdata) {
        let recalled = records.recalled.ok_or(Refused::EarlierGone)?;
        let same = recalled.release().membership() == told;
        // Tables released since were judged beside these very records.
        return if records.same_question && same { Ok(()) } else { Err(Refused::MicrodataOnce.into()) };
    }
    let known = Known::of(earlier);
    if known.is_empty() {
        return Ok(());
    }
    let withheld = vec![false; classes.cells()];
    let proposal = Proposal { membership: classes, withheld: &withheld, least };
    match judge(proposal, &[known.set()], &mut draws(key, classes, &withheld)?)? {
        Judgement::Release => Ok(()),
        Judgement::WithholdMore(_) => Err(Refused::NotBesideEarlier.into()),
        Judgement::Refuse(refused) => Err(refused.into()),
    }
}

/// What is sealed: each part preceded by its length as eight bytes, big-endian. Of indirectly identifiable microdata there
/// are no classes, and everybody is in one cell.
struct Payload {
    table: Vec<u8>,
    told: Vec<u8>,
    classes: Vec<u8>,
}

impl Payload {
    fn encode(&self) -> Vec<u8> {
        let parts = [&self.table, &self.told, &self.classes];
        parts.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes(), part.as_slice()].concat()).collect()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let part = |bytes: &mut &[u8]| {
            let (length, rest) = bytes.split_first_chunk()?;
            let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
            let (part, rest) = rest.split_at_checked(length)?;
            *bytes = rest;
            Some(part.to_vec())
        };
        let mut rest = bytes;
        let payload = Self { table: part(&mut rest)?, told: part(&mut rest)?, classes: part(&mut rest)? };
        rest.is_empty().then_some(payload)
    }
}

#[cfg(test)]
pub(super) mod tests;
