//! Microdata between their protection and their release: sealed, until two stewards have signed.

use super::ledger::{Judgement, Membership, Proposal, Refused, judge, pattern_bytes};
use super::microdata::{MicrodataRule, records};
use super::pattern::PatternKey;
use super::persons::PersonsKey;
use super::proposed::{Earlier, Judged, Known, Remembered, draws};
use super::protect::DisclosureError;
use super::released::Disclosed;
use super::warrant::Warrant;
use crate::audit::Deposit;
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::held::{ReleaseStatement, VerifiedRelease};
use crate::domain::ids::{ProjectId, RunId};
use crate::domain::method::Method;
use crate::domain::microdata::MicrodataTable;
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

/// Makes microdata by the rule of a plan, judges them beside what their recipient has received, and seals them.
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
    let Method::Generalise(asked) = approved.method() else { return Err(DisclosureError::OtherKind) };
    let counted = counted.open(Warrant::new());
    let rule = (approved.rule(), MicrodataRule::of(approved.rule(), asked));
    hold_persons(run, &approved.query().project, plan.shape(), &counted.persons, rule, earlier, key)
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
    let risk = made.anonymised.risk;
    let statement = ReleaseStatement {
        result: Digest::of_bytes(MicrodataTable::LABEL, &payload.table),
        risk: risk.digest()?,
        run,
    };
    let sealed = key.held_key().seal(statement.run.as_str(), &payload.encode())?;
    Ok(Held { statement, risk: risk.canonical()?, sealed })
}

/// Opens held microdata that two stewards have signed, and judges them beside what their recipient has received by
/// now. Who is in them comes out with them, sealed for the overview of disclosures.
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
    let least = table.report.min_persons;
    let disclosed = Disclosed::new(table)?;
    if disclosed.digest() != statement.result {
        return Err(DisclosureError::OtherKind);
    }
    let (told, classes) = (Membership::decode(&payload.told)?, Membership::decode(&payload.classes)?);
    beside(&told, &classes, least, earlier, key)?;
    // Everything that can be counted in the records is told.
    let remembered = Remembered {
        pattern: pattern_bytes(&vec![false; told.cells()]),
        sealed: key.membership_key().seal(statement.run.as_str(), &payload.told)?,
        report: None,
        persons: Some(persons_key.seal(&statement.run, told.everybody())?),
    };
    Ok(Judged::new(disclosed, Some(remembered)))
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

/// What is sealed: each part preceded by its length as eight bytes, big-endian.
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
