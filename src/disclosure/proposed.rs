//! A protected table on its way to its recipient: judged beside everything released to it before.

use super::inspection::Range;
use super::ledger::{
    Judgement, KnowledgeSet, Membership, Proposal, Recalled, Refused, Release, judge, pattern_bytes,
};
use super::pattern::PatternKey;
use super::persons::SealedPersons;
use super::protect::DisclosureError;
use super::released::Disclosed;
use crate::domain::canonical::Digest;
use crate::domain::ids::RunId;
use crate::domain::method::Method;
use crate::domain::rule::Rule;
use crate::domain::table::{CellValue, LinkageQuality, RecipientReport, ResultTable, TableShape};
use crate::linkage::Tally;

/// A table protected by itself. It can be neither read nor released; what it is good for is to be judged.
pub struct Proposed(Kind);

enum Kind {
    Exact(Box<Counts>),
    /// Noise for differential privacy is drawn once, and nothing that was released before makes it tell more than its
    /// cost. Cell-key noise is the same every time.
    Noisy(Option<Box<Disclosed<ResultTable>>>),
}

/// True counts with a pattern that protects them.
pub(super) struct Counts {
    pub(super) run: RunId,
    pub(super) shape: TableShape,
    pub(super) rule: Rule,
    pub(super) method: Method,
    pub(super) counts: Vec<u64>,
    pub(super) withheld: Vec<bool>,
    /// Of each withheld count what nobody can narrow down further, as far as it was proved.
    pub(super) ranges: Vec<Option<Range>>,
    pub(super) membership: Membership,
    pub(super) tally: Tally,
}

/// An earlier release.
#[derive(Clone, Copy)]
pub struct Earlier<'a> {
    /// It with who is in its cells; none where that is no longer kept and cannot be found out again.
    pub recalled: Option<&'a Recalled>,
    /// Whether it answered the same question.
    pub same_question: bool,
    /// Whether it was microdata.
    pub microdata: bool,
}

/// A result, a table if not said otherwise, that may be released beside what its recipient has received, and what the
/// ledger has to keep of it for that to stay true.
pub struct Judged<T = ResultTable> {
    disclosed: Disclosed<T>,
    remembered: Option<Remembered>,
    persons: Option<SealedPersons>,
}

/// What the ledger has to keep of a table with true counts.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// Which of its counts are withheld.
    pub pattern: Vec<u8>,
    /// Who is in its cells, sealed.
    pub sealed: Vec<u8>,
    /// What stewards are told of it, sealed; nothing of microdata, whose report they have read before.
    pub report: Option<Vec<u8>>,
}

impl<T> Judged<T> {
    pub(super) const fn new(disclosed: Disclosed<T>, remembered: Option<Remembered>) -> Self {
        Self { disclosed, remembered, persons: None }
    }

    pub(super) fn of_persons(self, persons: SealedPersons) -> Self {
        Self { persons: Some(persons), ..self }
    }

    /// The result.
    #[must_use]
    pub const fn disclosed(&self) -> &Disclosed<T> {
        &self.disclosed
    }

    /// The result, once it is recorded.
    #[must_use]
    pub fn into_disclosed(self) -> Disclosed<T> {
        self.disclosed
    }

    /// Of records: who is in them, sealed for the overview of disclosures. Of a table nothing of the kind is kept.
    #[must_use]
    pub const fn persons(&self) -> Option<&SealedPersons> {
        self.persons.as_ref()
    }

    /// What the ledger has to keep of it; nothing for a table with noise, nor for indirectly identifiable records.
    #[must_use]
    pub const fn remembered(&self) -> Option<&Remembered> {
        self.remembered.as_ref()
    }
}

impl Proposed {
    pub(super) fn exact(counts: Counts) -> Self {
        Self(Kind::Exact(Box::new(counts)))
    }

    pub(super) fn noisy(disclosed: Disclosed<ResultTable>) -> Self {
        Self(Kind::Noisy(Some(Box::new(disclosed))))
    }

    /// Judges the table beside everything its recipient has received, and withholds more where that is needed. The
    /// same question about the same persons gets the same table, whatever has been released since. A table with
    /// noise is judged once.
    ///
    /// # Errors
    /// [`DisclosureError::Refused`] if it cannot stand beside the earlier releases.
    pub fn judge(&mut self, earlier: &[Earlier<'_>], key: &PatternKey) -> Result<Judged, DisclosureError> {
        match &mut self.0 {
            Kind::Exact(counts) => counts.judge(earlier, key),
            Kind::Noisy(disclosed) => {
                let disclosed = disclosed.take().ok_or(DisclosureError::JudgedTwice)?;
                Ok(Judged::new(*disclosed, None))
            }
        }
    }
}

impl Counts {
    fn judge(&self, earlier: &[Earlier<'_>], key: &PatternKey) -> Result<Judged, DisclosureError> {
        let same = earlier.iter().filter(|earlier| earlier.same_question).filter_map(|same| same.recalled);
        let again = same.map(Recalled::release).find(|release| *release.membership() == self.membership);
        let withheld = match again {
            Some(release) => release.withheld().to_vec(),
            None => self.beside(&Known::of(earlier), key)?,
        };
        let sealed = key.membership_key().seal(self.run.as_str(), &self.membership.encode()?)?;
        let report = Some(self.sealed_report(&withheld, key)?);
        let remembered = Remembered { pattern: pattern_bytes(&withheld), sealed, report };
        Ok(Judged::new(self.disclosed(&withheld)?, Some(remembered)))
    }

    /// The counts to withhold beside what is known.
    fn beside(&self, known: &Known<'_>, key: &PatternKey) -> Result<Vec<bool>, DisclosureError> {
        let mut withheld = self.withheld.clone();
        // Alone, the table is protected by its pattern already.
        if known.is_empty() {
            return Ok(withheld);
        }
        let proposal =
            Proposal { membership: &self.membership, withheld: &withheld, least: self.rule.min_persons() };
        match judge(proposal, &[known.set()], &mut draws(key, &self.membership, &self.withheld)?)? {
            Judgement::Release => {}
            // What folding tells of a category that is shown must follow from its published total.
            Judgement::WithholdMore(_) if self.method == Method::Fold => {
                return Err(Refused::NotBesideEarlier.into());
            }
            Judgement::WithholdMore(more) => {
                for cell in more {
                    if let Some(withheld) = withheld.get_mut(cell) {
                        *withheld = true;
                    }
                }
            }
            Judgement::Refuse(refused) => return Err(refused.into()),
        }
        Ok(withheld)
    }

    fn disclosed(&self, withheld: &[bool]) -> Result<Disclosed<ResultTable>, DisclosureError> {
        let measures = self.shape.measures.len().max(1);
        let value = |(at, (&count, &withheld)): (usize, (&u64, &bool))| match (count, withheld) {
            (0, _) if self.shape.is_impossible(at / measures) => CellValue::NotApplicable,
            (_, true) => CellValue::Withheld,
            (_, false) => CellValue::Count(count),
        };
        let values: Vec<CellValue> = self.counts.iter().zip(withheld).enumerate().map(value).collect();
        let rule = &self.rule;
        let report = RecipientReport {
            rule: rule.id().clone(),
            rule_text: self.method.text(rule),
            min_persons: rule.min_persons(),
            cells: values.len() as u64,
            withheld: withheld.iter().filter(|&&withheld| withheld).count() as u64,
            linkage: linkage_quality(&self.tally, values.first().copied(), rule),
            noise: None,
        };
        let table = ResultTable { run: self.run.clone(), shape: self.shape.clone(), values, report };
        Ok(Disclosed::new(table)?)
    }
}

/// Whether a released table may be published: whether nobody who holds what was published and what was released to
/// one organisation learns more by it than the rule allows. One set of earlier releases an organisation, each
/// with everything published.
///
/// # Errors
/// [`DisclosureError::Refused`].
pub fn may_publish(
    table: Earlier<'_>,
    least: u32,
    sets: &[Vec<Earlier<'_>>],
    key: &PatternKey,
) -> Result<(), DisclosureError> {
    // Alone, the table is protected by its pattern already.
    if sets.iter().all(Vec::is_empty) {
        return Ok(());
    }
    let Some(release) = table.recalled.map(Recalled::release) else {
        return Err(Refused::EarlierGone.into());
    };
    for set in sets {
        let set = Known::of(set);
        let (membership, withheld) = (release.membership(), release.withheld());
        let proposal = Proposal { membership, withheld, least };
        match judge(proposal, &[set.set()], &mut draws(key, membership, withheld)?)? {
            Judgement::Release => {}
            Judgement::WithholdMore(_) => return Err(Refused::NotBesideEarlier.into()),
            Judgement::Refuse(refused) => return Err(refused.into()),
        }
    }
    Ok(())
}

/// Earlier releases to be judged beside.
pub(super) struct Known<'a> {
    releases: Vec<&'a Release>,
    /// Whether there are some of which nobody knows any more who is in them.
    lacking: bool,
}

impl<'a> Known<'a> {
    pub(super) fn of(earlier: &[Earlier<'a>]) -> Self {
        let releases: Vec<&Release> =
            earlier.iter().filter_map(|earlier| earlier.recalled).map(Recalled::release).collect();
        let lacking = releases.len() < earlier.len();
        Self { releases, lacking }
    }

    /// Whether nothing was released earlier.
    pub(super) const fn is_empty(&self) -> bool {
        self.releases.is_empty() && !self.lacking
    }

    pub(super) fn set(&self) -> KnowledgeSet<'_> {
        let set: KnowledgeSet<'_> = self.releases.iter().copied().collect();
        if self.lacking { set.lacking_one() } else { set }
    }
}

/// The draws that belong to a pattern of a table.
pub(super) fn draws(
    key: &PatternKey,
    membership: &Membership,
    withheld: &[bool],
) -> Result<impl rand::Rng, DisclosureError> {
    let mut bytes = membership.encode()?;
    bytes.extend(pattern_bytes(withheld));
    Ok(key.draws(&Digest::of_bytes("kpr/judged-table/v1", &bytes)))
}

/// How the linkage went, with every number of 1..k-1 withheld, and every number whose difference from
/// a published one is. The base of the table stands as it stands in the table.
fn linkage_quality(tally: &Tally, base: Option<CellValue>, rule: &Rule) -> LinkageQuality {
    let small = |count: u64| (1..u64::from(rule.min_persons())).contains(&count);
    let value = |count: u64| if small(count) { CellValue::Withheld } else { CellValue::Count(count) };
    let matched = base.unwrap_or(CellValue::Withheld);
    let complement = matched.count().map(|m| m.saturating_sub(tally.several_numbers));
    LinkageQuality {
        matched,
        unknown: value(tally.unknown),
        several_numbers: if complement.is_some_and(small) {
            CellValue::Withheld
        } else {
            value(tally.several_numbers)
        },
        invalid_rows: value(tally.invalid_rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::ledger::{self, Recollection};
    use crate::disclosure::protect::recall;
    use crate::disclosure::protect::tests::shape;
    use crate::domain::ids::{PersonNo, RuleId};
    use crate::execute::Placed;
    use proptest::prelude::*;

    const LEAVES: usize = 4;

    fn key() -> PatternKey {
        PatternKey::new([7; 32].into())
    }

    fn run_id(n: u8) -> RunId {
        RunId::new(format!("r-{}", format!("{n:02x}").repeat(16))).unwrap()
    }

    /// A table by place of these persons, in two measures; alone, no more than its small cells are withheld.
    fn proposed(run: u8, persons: &[(u32, u32, bool)]) -> Counts {
        let placed = persons.iter().map(|&(person, place, outcome)| Placed {
            person: PersonNo(person),
            leaf: 1 + place,
            measures: 1 | u16::from(outcome) << 1,
        });
        let shape = shape(LEAVES, 2);
        let membership = ledger::of_table(&shape, &placed.collect::<Vec<_>>()).unwrap();
        let counts = membership.counts();
        Counts {
            run: run_id(run),
            shape,
            method: Method::Suppress,
            rule: Rule::new(RuleId::new("tables-5").unwrap(), 5).unwrap(),
            withheld: counts.iter().map(|count| (1..5).contains(count)).collect(),
            ranges: vec![None; counts.len()],
            counts,
            membership,
            tally: Tally { matched: 0, unknown: 0, several_numbers: 0, invalid_rows: 0 },
        }
    }

    fn kept_of(judged: &Judged) -> &Remembered {
        judged.remembered().unwrap()
    }

    /// What the ledger keeps of a released table, opened.
    fn opened(run: &RunId, judged: &Judged, key: &PatternKey) -> Result<Recalled, DisclosureError> {
        let Remembered { pattern, sealed, .. } = kept_of(judged);
        recall(&Recollection::new(0), run, (pattern, sealed), key, 0)
    }

    fn kept<'a>(recalled: &'a Recalled, same_question: bool) -> Earlier<'a> {
        Earlier { recalled: Some(recalled), same_question, microdata: false }
    }

    fn people(many: u32) -> Vec<(u32, u32, bool)> {
        (0..many).map(|p| (p * 3, p % 4, p % 8 < 4)).collect()
    }

    #[test]
    fn a_table_without_a_few_persons_does_not_give_them_away() {
        let all = people(80);
        // Three persons of the second place fewer.
        let fewer: Vec<_> = all.iter().copied().filter(|(p, place, _)| *place != 1 || *p > 30).collect();
        let first = proposed(1, &all).judge(&[], &key()).unwrap();
        assert!(kept_of(&first).pattern.iter().all(|&w| w == 0));
        let first = opened(&run_id(1), &first, &key()).unwrap();
        let second = proposed(2, &fewer).judge(&[kept(&first, false)], &key()).unwrap();
        // The total and the second place would each tell how many are missing.
        let published: Vec<bool> = kept_of(&second).pattern.iter().map(|&w| w == 0).collect();
        assert!(!published[0] && !published[4], "{published:?}");
        assert!(published[2] && published[6], "no more than is needed: {published:?}");
    }

    #[test]
    fn the_same_question_gets_the_same_table_and_a_forgotten_one_stops_all() {
        let (all, fewer) = (people(80), people(78));
        let first = proposed(1, &all).judge(&[], &key()).unwrap();
        let one = opened(&run_id(1), &first, &key()).unwrap();
        let second = proposed(2, &fewer).judge(&[kept(&one, false)], &key()).unwrap();
        assert!(kept_of(&second).pattern.contains(&1));
        let two = opened(&run_id(2), &second, &key()).unwrap();
        let known = [kept(&one, false), kept(&two, true)];
        let again = proposed(3, &fewer).judge(&known, &key()).unwrap();
        assert_eq!(kept_of(&again).pattern, kept_of(&second).pattern);

        let forgotten = Earlier { recalled: None, ..kept(&one, false) };
        let refused = proposed(4, &fewer).judge(&[forgotten], &key());
        assert!(matches!(refused, Err(DisclosureError::Refused(Refused::EarlierGone))));
        // Nor does a membership open under another run or secret.
        let swapped = opened(&run_id(2), &first, &key());
        assert!(matches!(swapped, Err(DisclosureError::Sealed(_))));
        let other = opened(&run_id(1), &first, &PatternKey::new([8; 32].into()));
        assert!(matches!(other, Err(DisclosureError::Sealed(_))));
    }

    #[test]
    fn a_publication_is_judged_beside_what_others_have() {
        let (all, fewer) = (people(80), people(78));
        let ours = proposed(1, &all).judge(&[], &key()).unwrap();
        let theirs = proposed(2, &fewer).judge(&[], &key()).unwrap();
        let ours = opened(&run_id(1), &ours, &key()).unwrap();
        let theirs = opened(&run_id(2), &theirs, &key()).unwrap();
        let (ours, theirs) = (kept(&ours, false), kept(&theirs, false));
        may_publish(ours, 5, &[vec![]], &key()).unwrap();
        let refused = may_publish(ours, 5, &[vec![], vec![theirs]], &key());
        assert!(matches!(refused, Err(DisclosureError::Refused(_))));
    }

    proptest! {
        /// Whatever series of subsets is asked for: no difference of two published counts is of 1 to 4 persons where
        /// one cell holds the other.
        #[test]
        fn differences_of_a_series_are_never_small(
            many in 40_u32..90,
            cuts in prop::collection::vec((0_u32..4, 0_u32..12), 1..4),
        ) {
            let all = people(many);
            let mut released: Vec<(Recalled, Vec<u64>, Judged)> = Vec::new();
            for (number, (place, first)) in [(9, 0)].into_iter().chain(cuts).enumerate() {
                let chosen: Vec<_> =
                    all.iter().copied().filter(|(p, of, _)| *of != place || *p >= 3 * first).collect();
                let table = proposed(number as u8 + 1, &chosen);
                let known: Vec<_> = released.iter().map(|(recalled, _, _)| kept(recalled, false)).collect();
                if let Ok(judged) = table.judge(&known, &key()) {
                    released.push((opened(&table.run, &judged, &key()).unwrap(), table.counts.clone(), judged));
                }
            }
            let (_, whole, first) = &released[0];
            for (_, counts, judged) in &released[1..] {
                for cell in 0..counts.len() {
                    let both = kept_of(first).pattern[cell] == 0 && kept_of(judged).pattern[cell] == 0;
                    prop_assert!(!(both && (1..5).contains(&(whole[cell] - counts[cell]))));
                }
            }
        }
    }
}
