//! From true counts to values that may be released.
#![allow(clippy::indexing_slicing, reason = "cells and measures are indices of the table's shape")]

use super::cellkey::DesignError;
use super::fold::{FoldError, FoldRule, fold};
use super::inspection::{Range, Release, Stopped, inspect};
use super::ledger::{
    self, Membership, MembershipError, NotSealed, Recalled, Recollection, Refused, WrongPattern,
};
use super::microdata::RecordsError;
use super::nested::Nested;
use super::pattern::PatternKey;
use super::privacy::PrivacyError;
use super::proposed::{Counts, Proposed};
use super::proved::{Unproved, prove};
use super::range::Wanted;
use super::released::Disclosed;
use super::suppress::Effort;
use super::task::{Task, alone};
use super::warrant::Warrant;
use crate::domain::canonical::{CanonicalError, Digest};
use crate::domain::ids::RunId;
use crate::domain::method::Method;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::rule::Rule;
use crate::domain::table::{CellValue, ResultTable, TableShape};
use crate::execute::{Counted, Protected};
use crate::linkage::Tally;
use crate::plan::QueryPlan;
use crate::store::BudgetLease;

mod noisy;
mod perturbed;

pub use noisy::{TooLittleLoss, suffices};

/// Why a table is not released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DisclosureError {
    /// The counts do not fit the shape, or do not add up.
    #[error("the counts do not add up to the table's margins")]
    NotATable,
    /// Somebody is counted where nobody can be: the plan leaves such persons out.
    #[error("somebody is counted in a cell that nobody can be in")]
    Impossible,
    /// No pattern protects every small cell.
    #[error("no suppression pattern was found that protects every small cell")]
    Unprotectable,
    /// The last look found that something leaks.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The table cannot be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// Noise could not be added.
    #[error(transparent)]
    Noise(#[from] PrivacyError),
    /// Noise without a lease of its run and cost, or a lease without noise.
    #[error("the privacy budget reserved for the run is not what its method costs")]
    OtherLease,
    /// There is no cell-key noise of the domain's design.
    #[error(transparent)]
    Design(#[from] DesignError),
    /// A person of a table with cell-key noise has no record key.
    #[error("a person of the table has no record key")]
    RecordKey,
    /// A statistic of values under a method for counts of persons.
    #[error("a statistic of values is released with noise only")]
    Exact,
    /// The plan asks for a result of another kind, or what is held is not what stewards have signed.
    #[error("the result is not of the kind, or not the one, that was asked for")]
    OtherKind,
    /// Persons could not be made into records.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The result has no canonical encoding.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// Who is counted does not fit the table, or an earlier membership cannot be read.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// An earlier membership is sealed under another secret.
    #[error(transparent)]
    Sealed(#[from] NotSealed),
    /// An earlier pattern is not one of its table.
    #[error(transparent)]
    Pattern(#[from] WrongPattern),
    /// A table with noise has been judged before.
    #[error("a table with noise is judged once")]
    JudgedTwice,
    /// The table cannot stand beside what its recipients have received.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl From<Unproved> for DisclosureError {
    fn from(_: Unproved) -> Self {
        Self::Unprotectable
    }
}

impl From<DisclosureError> for Refusal {
    fn from(error: DisclosureError) -> Self {
        if let DisclosureError::Refused(refused) = error {
            return refused.into();
        }
        // One text for every cause: a refusal that depends on counts reads like one that does not.
        Self::new(
            RefusalKind::Internal,
            "disclosure.not_released",
            "the result could not be protected and is not released; ask with fewer or coarser dimensions",
        )
    }
}

/// Protects a counted table by the rule and method of its plan. Noise for differential privacy spends the lease, and
/// nothing else takes one.
/// The table is not released before it has been judged beside what its recipient has received
/// ([`Proposed::judge`]).
///
/// # Errors
/// [`DisclosureError`]; nothing is released then.
pub fn protect(
    plan: &QueryPlan,
    run: RunId,
    counted: Protected<Counted>,
    key: &PatternKey,
    lease: Option<BudgetLease>,
) -> Result<Proposed, DisclosureError> {
    let (method, rule) = (plan.approved().method(), plan.approved().rule());
    let counted = counted.open(Warrant::new());
    nobody_impossible(plan.shape(), &counted)?;
    if !matches!(method, Method::Noise(_)) && !plan.measured().is_empty() {
        return Err(DisclosureError::Exact);
    }
    match (method, lease) {
        (Method::Suppress | Method::Fold, None) => {}
        (Method::Cellkey(noise), None) => {
            return Ok(Proposed::noisy(Disclosed::new(perturbed::table(plan, noise, run, &counted)?)?));
        }
        (Method::Noise(noise), Some(lease)) => {
            let disclosed = Disclosed::new(noisy::table(plan, noise, run, &counted, lease)?)?;
            return Ok(Proposed::noisy(disclosed));
        }
        (Method::Generalise(_) | Method::AsApproved, _) => return Err(DisclosureError::OtherKind),
        (Method::Suppress | Method::Fold | Method::Cellkey(_), Some(_)) | (Method::Noise(_), None) => {
            return Err(DisclosureError::OtherLease);
        }
    }
    let TrueCounts { shape, counts, membership, tally } = TrueCounts::of(plan, counted, key)?;
    let is_folded = method == Method::Fold;
    let (withheld, ranges) = protect_counts(&shape, &counts, is_folded, rule, key)?;
    let rule = rule.clone();
    Ok(Proposed::exact(Counts { run, shape, rule, method, counts, withheld, ranges, membership, tally }))
}

/// True counts, in the divisions in which they are shown, and who is in them.
struct TrueCounts {
    shape: TableShape,
    counts: Vec<u64>,
    membership: Membership,
    tally: Tally,
}

impl TrueCounts {
    /// The counts of a plan whose method shows true ones.
    fn of(plan: &QueryPlan, counted: Counted, key: &PatternKey) -> Result<Self, DisclosureError> {
        let (shape, counted) = match plan.approved().method() {
            Method::Fold => folded(plan.shape().clone(), counted, plan.approved().rule(), key)?,
            _ => (plan.shape().clone(), counted),
        };
        let Counted { counts, persons, tally, .. } = counted;
        let membership = ledger::of_table(&shape, &persons)?;
        if membership.counts() != counts {
            return Err(DisclosureError::NotATable);
        }
        Ok(Self { shape, counts, membership, tally })
    }
}

/// Opens what the ledger keeps of an earlier release: its pattern and who is in it, sealed, as it was read when
/// [`Recollection::forgotten`] was `since`.
///
/// # Errors
/// [`DisclosureError`] if it is another run's, or sealed under another secret.
pub fn recall(
    lately: &Recollection,
    run: &RunId,
    kept: (&[u8], &[u8]),
    key: &PatternKey,
    since: u64,
) -> Result<Recalled, DisclosureError> {
    lately.open_with(run, kept, &key.membership_key(), since)
}

/// An earlier release whose query was evaluated again, where who is in it may not be kept. Nothing if it is not the
/// table that was released then, because data have changed since: then nobody knows any more who is in it.
///
/// # Errors
/// [`DisclosureError`].
pub fn recall_again(
    plan: &QueryPlan,
    counted: Protected<Counted>,
    pattern: &[u8],
    released: &ResultTable,
    key: &PatternKey,
) -> Result<Option<Recalled>, DisclosureError> {
    let TrueCounts { shape, counts, membership, .. } =
        TrueCounts::of(plan, counted.open(Warrant::new()), key)?;
    let as_released = |(value, count): (&CellValue, &u64)| value.count().is_none_or(|shown| shown == *count);
    let same = shape == released.shape
        && counts.len() == released.values.len()
        && released.values.iter().zip(&counts).all(as_released);
    Ok(if same { Some(Recalled::new(ledger::Release::restore(membership, pattern)?)) } else { None })
}

/// Whether nobody is counted where nobody can be.
fn nobody_impossible(shape: &TableShape, counted: &Counted) -> Result<(), DisclosureError> {
    let counts = counted.counts.chunks(shape.measures.len().max(1)).enumerate();
    let mut in_cells =
        counts.filter(|(_, counts)| counts.iter().any(|&count| count > 0)).map(|(cell, _)| cell);
    let mut placed = counted.persons.iter().map(|placed| placed.leaf as usize);
    let mut measured = counted.values.iter().flatten().map(|(leaf, _)| *leaf as usize);
    let impossible = |cell: usize| shape.is_impossible(cell);
    if in_cells.any(impossible) || placed.any(impossible) || measured.any(impossible) {
        return Err(DisclosureError::Impossible);
    }
    Ok(())
}

/// A table folded by the margin of each of its dimensions.
fn folded(
    mut shape: TableShape,
    counted: Counted,
    rule: &Rule,
    key: &PatternKey,
) -> Result<(TableShape, Counted), DisclosureError> {
    let Counted { mut counts, mut persons, values, tally, record_keys } = counted;
    for dimension in 0..shape.dimensions.len() {
        let folded = fold(&shape, &counts, dimension, FoldRule::new(rule, false), key)?;
        for placed in &mut persons {
            let mut positions = shape.positions(placed.leaf as usize);
            positions[dimension] = folded.places[positions[dimension]];
            placed.leaf =
                u32::try_from(folded.shape.cell(&positions)).map_err(|_| DisclosureError::NotATable)?;
        }
        (shape, counts) = (folded.shape, folded.counts);
    }
    Ok((shape, Counted { counts, persons, values, tally, record_keys }))
}

/// Which counts are to be withheld, numbered as [`TableShape`] numbers them, and the proved ranges of these. In a folded table the total of every
/// category that is shown stays published: what folding tells of it follows from its number then. A cell that nobody
/// can be in is known to be empty, and never withheld.
fn protect_counts(
    shape: &TableShape,
    counts: &[u64],
    is_folded: bool,
    rule: &Rule,
    key: &PatternKey,
) -> Result<(Vec<bool>, Vec<Option<Range>>), DisclosureError> {
    let nested = Nested::of(shape, counts)?;
    let cells = nested.counts.len();
    let zeros_shown = nested.zeros_shown(rule);
    let least = u64::from(rule.min_persons());
    let impossible: Vec<bool> =
        (0..cells).map(|at| shape.is_impossible(at * shape.cells() / cells)).collect();
    if (0..cells).any(|at| impossible[at] && nested.counts[at] > 0) {
        return Err(DisclosureError::Impossible);
    }
    let is_small = |at: usize| {
        nested.counts[at] < least && (nested.counts[at] > 0 || !zeros_shown[at] && !impossible[at])
    };
    let primary: Vec<bool> = (0..cells).map(is_small).collect();
    let absent: Vec<bool> = (0..cells).map(|at| !nested.is_released(at)).collect();
    let is_total = |at: usize| {
        nested.is_widest(at)
            && shape.positions(at * shape.cells() / cells).iter().filter(|position| **position > 0).count()
                < 2
    };
    // A cell with nobody in it is published, or known as the difference of two measures that are equal.
    let is_known = |at: usize| impossible[at] || nested.counts[at] == 0 && zeros_shown[at];
    let fixed = (0..cells).map(|at| is_known(at) || is_folded && is_total(at));
    let fixed: Vec<bool> = fixed.collect();
    let min_range = u64::from(rule.min_range());
    // Where ranges are not asked for, protection is against those who know nothing but the table.
    let alone = if min_range > 0 { alone(&nested.lattice, &nested.counts) } else { vec![None; cells] };
    let task = Task {
        lattice: &nested.lattice,
        counts: &nested.counts,
        primary: &primary,
        absent: &absent,
        fixed: &fixed,
        alone: &alone,
    };
    let wanted = Wanted { targets: &primary, width: min_range, positive: &zeros_shown };
    let wanted = Some(wanted).filter(|_| min_range > 0);
    let mut draws = key.draws(&table_digest(shape, counts)?);
    // Somebody waits for the answer.
    let found = prove(task, (&nested.counts, cells), wanted, Effort::Quick, &mut |_| {}, &mut draws)?;
    let release = Release {
        parts: &found.parts,
        counts: &nested.counts,
        withheld: &found.withheld,
        sensitive: &primary,
        impossible: &impossible,
        alone: &alone,
        min_persons: least,
        min_range,
        zeros_shown: &zeros_shown,
    };
    let ranges = inspect(&release, &found.proof, &mut draws)?;
    Ok((nested.of_measures(&found.withheld), nested.of_measures(&ranges)))
}

/// A digest of what the table counts and how it divides it, and of nothing that a caller can word
/// differently: the same counts asked for under another title get the same pattern.
fn table_digest(shape: &TableShape, counts: &[u64]) -> Result<Digest, DisclosureError> {
    let divided: Vec<_> = shape.dimensions.iter().map(|d| (&d.variable, d.codes.codes())).collect();
    let mut bytes = serde_json::to_vec(&divided).map_err(|_| CanonicalError::NotEncodable("table shape"))?;
    bytes.extend(counts.iter().flat_map(|c| c.to_be_bytes()));
    Ok(Digest::of_bytes("kpr/counted-table/v1", &bytes))
}

#[cfg(test)]
mod fold_tests;
#[cfg(test)]
mod impossible_tests;
#[cfg(test)]
pub(in crate::disclosure) mod tests {
    use super::*;
    use crate::disclosure::attacker::computable;
    use crate::disclosure::lattice::{Lattice, Tree};
    use crate::domain::codelist::{Code, CodeList};
    use crate::domain::ids::{CodeListId, RuleId, VariableId};
    use crate::domain::period::Period;
    use crate::domain::table::{Dimension, Measure};
    use proptest::prelude::*;

    use crate::domain::table::CellValue;

    /// A table over one flat dimension, its measures one chain from the widest to the narrowest.
    pub(in crate::disclosure) fn shape(leaves: usize, measures: u32) -> TableShape {
        shape_of(&[leaves], measures)
    }

    /// A table over flat dimensions of so many leaves.
    pub(in crate::disclosure) fn shape_of(leaves: &[usize], measures: u32) -> TableShape {
        let code = |n: usize| Code {
            code: if n == 0 { "Total".to_owned() } else { n.to_string() },
            label: n.to_string(),
            parent: (n > 0).then_some(0),
        };
        let list = |leaves: usize| {
            let codes = (0..=leaves).map(code).collect();
            CodeList::new(CodeListId::new("list").unwrap(), "List".to_owned(), codes).unwrap()
        };
        let variable = |name: &str| VariableId::new(name).unwrap();
        TableShape {
            title: "A table".to_owned(),
            dimensions: leaves
                .iter()
                .zip(["place", "age"])
                .map(|(&leaves, name)| Dimension {
                    variable: variable(name),
                    label: name.to_owned(),
                    codes: list(leaves),
                    impossible: Vec::new(),
                })
                .collect(),
            measures: (0..measures)
                .map(|m| Measure {
                    code: variable(&format!("m{m}")),
                    label: m.to_string(),
                    nested_in: (0..m).collect(),
                    statistic: None,
                })
                .collect(),
            period: Period::new("2024-01-01".parse().unwrap(), "2024-12-31".parse().unwrap()).unwrap(),
        }
    }

    fn values(shape: &TableShape, counts: &[u64]) -> Vec<CellValue> {
        let rule = Rule::new(RuleId::new("tables-5").unwrap(), 5).unwrap();
        let (withheld, _) =
            protect_counts(shape, counts, false, &rule, &PatternKey::new([7; 32].into())).unwrap();
        let value = |(&count, withheld)| if withheld { CellValue::Withheld } else { CellValue::Count(count) };
        counts.iter().zip(withheld).map(value).collect()
    }

    /// Total first, then the leaves; one count a measure.
    fn table(leaves: &[Vec<u64>]) -> Vec<u64> {
        let measures = leaves[0].len();
        let total = (0..measures).map(|m| leaves.iter().map(|leaf| leaf[m]).sum());
        total.chain(leaves.iter().flatten().copied()).collect()
    }

    proptest! {
        /// Two measures that are equal everywhere are one: what is published of either is known of both.
        #[test]
        fn equal_measures_do_not_give_each_other_away(
            leaves in prop::collection::vec((0u64..30, 0u64..20), 2..7),
        ) {
            let leaves: Vec<Vec<u64>> = leaves.iter().map(|&(n, more)| vec![n + more, n, n]).collect();
            let (shape, counts) = (shape(leaves.len(), 3), table(&leaves));
            let values = values(&shape, &counts);
            let lattice = Lattice::new(vec![Tree::of(&shape.dimensions[0].codes)]);
            let both: Vec<bool> =
                (0..=leaves.len()).map(|c| values[3 * c + 1].count().or(values[3 * c + 2].count()).is_none()).collect();
            for (cell, known) in computable(&lattice, &both, &[]).into_iter().enumerate() {
                prop_assert!(!(known && (1..5).contains(&counts[3 * cell + 1])), "{counts:?} {values:?}");
            }
        }
    }

    #[test]
    fn a_difference_across_a_measure_is_protected() {
        // 20, of them 19 and 17: nobody's count is small, but 1, 2 and 3 persons are between them.
        let counts = table(&[vec![20, 19, 17], vec![50, 30, 10], vec![40, 30, 20]]);
        let values = values(&shape(3, 3), &counts);
        let published: Vec<Option<u64>> = values[3..6].iter().map(|v| v.count()).collect();
        assert!(published.iter().flatten().count() <= 1, "{values:?}");
    }

    #[test]
    fn that_all_of_a_group_have_it_is_withheld_where_the_rule_asks_for_that() {
        // All 40 of the first place have it.
        let counts = table(&[vec![40, 40], vec![50, 30], vec![60, 20], vec![70, 30]]);
        let rule = Rule::new(RuleId::new("tables-5").unwrap(), 5).unwrap();
        let withheld = |rule: &Rule| {
            protect_counts(&shape(4, 2), &counts, false, rule, &PatternKey::new([7; 32].into())).unwrap().0
        };
        assert!(withheld(&rule).iter().all(|withheld| !withheld));
        let hidden = withheld(&rule.with_group_disclosure());
        assert!(hidden[2] || hidden[3], "{hidden:?}");
        // Another place with it: the totals are published.
        assert!(!hidden[0] || !hidden[1], "{hidden:?}");
    }

    #[test]
    fn a_title_does_not_draw_another_pattern() {
        let counts = table(&[vec![20, 3], vec![50, 30], vec![40, 20], vec![40, 20]]);
        let (first, mut second) = (shape(4, 2), shape(4, 2));
        second.title = "Another".to_owned();
        second.measures[1].label = "Another".to_owned();
        assert_eq!(values(&first, &counts), values(&second, &counts));
    }

    #[test]
    fn counts_that_do_not_add_up_are_not_released() {
        let rule = Rule::new(RuleId::new("tables-5").unwrap(), 5).unwrap();
        let key = PatternKey::new([7; 32].into());
        let mut counts = table(&[vec![20, 3], vec![50, 30]]);
        counts[0] += 1;
        let refused = protect_counts(&shape(2, 2), &counts, false, &rule, &key);
        assert_eq!(refused.err(), Some(DisclosureError::NotATable));
    }
}
