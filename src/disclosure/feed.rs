//! A feed: rows of identified persons, by law, to a register that holds these persons. Nothing is withheld; what is kept
//! is that it goes to that register only, under its own codes, with a record of whom it concerns.

use roaring::RoaringBitmap;

use super::persons::{PersonsKey, SealedPersons};
use super::protect::DisclosureError;
use super::released::Disclosed;
use super::warrant::Warrant;
use crate::domain::canonical::Digest;
use crate::domain::feed_data::{FeedCode, FeedData, FeedDataset, FeedRow};
use crate::domain::ids::RunId;
use crate::execute::{FeedRows, Protected};
use crate::linkage::GivenPersons;
use crate::plan::FeedPlan;

/// A feed that is not yet recorded. Like every result it can be neither read nor sent before that, and it is made of an
/// approved feed's plan and of nothing else:
///
/// ```compile_fail,E0451
/// use kpr::disclosure::{Disclosed, DisclosedFeed, persons::SealedPersons};
/// use kpr::domain::feed_data::FeedData;
/// fn forge(disclosed: Disclosed<FeedData>, persons: SealedPersons) -> DisclosedFeed {
///     DisclosedFeed { disclosed, persons }
/// }
/// ```
///
/// ```compile_fail,E0599
/// fn read(feed: kpr::disclosure::DisclosedFeed) {
///     let _ = feed.table();
/// }
/// ```
///
/// A table's plan makes none:
///
/// ```compile_fail,E0308
/// use kpr::{domain::{canonical::Digest, ids::RunId}, disclosure::{disclose_feed, persons::PersonsKey}};
/// use kpr::{execute::{FeedRows, Protected}, linkage::GivenPersons, plan::QueryPlan};
/// fn of_query(
///     plan: &QueryPlan, run: RunId, snapshot: Digest, rows: Protected<FeedRows>, given: &GivenPersons, key: &PersonsKey,
/// ) {
///     let _ = disclose_feed(plan, run, snapshot, rows, given, key);
/// }
/// ```
///
/// Nor do the counts of one:
///
/// ```compile_fail,E0308
/// use kpr::{domain::{canonical::Digest, ids::RunId}, disclosure::{disclose_feed, persons::PersonsKey}};
/// use kpr::{execute::{Counted, Protected}, linkage::GivenPersons, plan::FeedPlan};
/// fn of_counts(
///     plan: &FeedPlan, run: RunId, snapshot: Digest, counts: Protected<Counted>, given: &GivenPersons, key: &PersonsKey,
/// ) {
///     let _ = disclose_feed(plan, run, snapshot, counts, given, key);
/// }
/// ```
pub struct DisclosedFeed {
    disclosed: Disclosed<FeedData>,
    persons: SealedPersons,
}

impl DisclosedFeed {
    /// The feed, for the log.
    #[must_use]
    pub const fn disclosed(&self) -> &Disclosed<FeedData> {
        &self.disclosed
    }

    /// Who is in it, sealed.
    #[must_use]
    pub const fn persons(&self) -> &SealedPersons {
        &self.persons
    }

    /// The feed, to be released against its receipt.
    #[must_use]
    pub fn into_disclosed(self) -> Disclosed<FeedData> {
        self.disclosed
    }
}

/// Opens the rows of a feed and puts the register's own code in the place of each person's number; who is in it is sealed
/// for the overview of disclosures.
///
/// # Errors
/// [`DisclosureError`], also for a row of somebody who is not among those given.
pub fn disclose_feed(
    plan: &FeedPlan,
    run: RunId,
    snapshot: Digest,
    rows: Protected<FeedRows>,
    given: &GivenPersons,
    key: &PersonsKey,
) -> Result<DisclosedFeed, DisclosureError> {
    let opened = rows.open(Warrant::new()).datasets;
    if opened.len() != plan.datasets().len() {
        return Err(DisclosureError::OtherKind);
    }
    let mut persons = RoaringBitmap::new();
    let mut datasets = Vec::with_capacity(opened.len());
    for (planned, read) in plan.datasets().iter().zip(opened) {
        let mut rows = Vec::with_capacity(read.len());
        for row in read {
            let code = given.code(row.person).and_then(|code| FeedCode::new(code.as_bytes()));
            let code = code.ok_or(DisclosureError::OtherKind)?;
            if row.values.len() != planned.variables.len() {
                return Err(DisclosureError::OtherKind);
            }
            persons.insert(row.person.0);
            rows.push(FeedRow { code, values: row.values });
        }
        // By code, which is random: the order of person numbers would last from feed to feed.
        rows.sort_unstable();
        let (dataset, variables) = (planned.dataset.clone(), planned.variables.clone());
        datasets.push(FeedDataset { dataset, variables, rows });
    }
    let approved = plan.approved();
    let approval = approved.approval();
    let persons = key.seal(&run, &persons)?;
    let data = FeedData {
        project: approval.approval().project.clone(),
        run,
        register: approved.feed().register.clone(),
        approval: approval.digest(),
        snapshot,
        period: approval.approval().data_period,
        datasets,
    };
    Ok(DisclosedFeed { disclosed: Disclosed::new(data)?, persons })
}
