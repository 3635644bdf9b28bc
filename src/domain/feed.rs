//! A feed: what a register with a legal basis of its own is given again and again of the persons it holds (KPR
//! regulation 4-7), and the order by which it takes it.

use chrono::{DateTime, Months, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::approval::{Approval, Purpose, SignedApproval, Tier, VerifiedApproval};
use super::canonical::Canonical;
use super::ids::{DatasetId, OrderId, RegisterId, RunId, VariableId};
use super::order::{KeyUse, KeyedOrder, OrderError, check_standing};
use super::query::{Answer, Cohort, Query};
use super::section::Section;

/// What the recipient of a feed stands under, out of what 4-7 names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedBasis {
    /// A register established with the registered persons' consent.
    #[serde(rename = "section_9a")]
    Section9a,
    /// A pseudonymous register: named here so that it can be refused by name, since it holds no identity numbers to
    /// make codes of.
    #[serde(rename = "section_9b")]
    Section9b,
    /// A register that persons may opt out of.
    #[serde(rename = "section_10")]
    Section10,
    /// A register established by law.
    #[serde(rename = "section_11")]
    Section11,
    /// Nasjonal kjernejournal, for the purpose `national_summary_record` and no other.
    NationalSummaryRecord,
}

impl FeedBasis {
    /// The name it has in approvals and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Section9a => "section_9a",
            Self::Section9b => "section_9b",
            Self::Section10 => "section_10",
            Self::Section11 => "section_11",
            Self::NationalSummaryRecord => "national_summary_record",
        }
    }

    /// The section, of a register that stands under one.
    #[must_use]
    pub const fn section(self) -> Option<Section> {
        match self {
            Self::Section9a => Some(Section::Section9a),
            Self::Section9b => Some(Section::Section9b),
            Self::Section10 => Some(Section::Section10),
            Self::Section11 => Some(Section::Section11),
            Self::NationalSummaryRecord => None,
        }
    }
}

/// How often a feed is taken at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Once a month.
    Month,
    /// Once in three months.
    Quarter,
    /// Once in six months.
    HalfYear,
    /// Once a year.
    Year,
}

impl Every {
    /// How many months lie between two feeds at least.
    #[must_use]
    pub const fn months(self) -> u32 {
        match self {
            Self::Month => 1,
            Self::Quarter => 3,
            Self::HalfYear => 6,
            Self::Year => 12,
        }
    }

    /// The name it has in approvals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::HalfYear => "half_year",
            Self::Year => "year",
        }
    }
}

/// To which register a feed goes, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// The register that takes it, as its certificate names it.
    pub register: RegisterId,
    /// What it stands under.
    pub basis: FeedBasis,
    /// How often it is taken at most.
    pub every: Every,
}

/// Why an approval cannot be for the feed it states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The tier is another than that of feeds and there is a feed, or the other way round.
    #[error(
        "the tier register_feed needs feed, with the register that takes it, its basis and how often; no other tier has \
         one (KPR regulation 4-7)"
    )]
    Missing,
    /// The recipient has no identity numbers.
    #[error(
        "a register under section 9 b is pseudonymous: it has no identity numbers to take a feed by, and there is no blind \
         linkage (KPR regulation 4-2); the basis of a feed can be section_9a, section_10, section_11 or \
         national_summary_record"
    )]
    Pseudonymous,
    /// The purpose does not go with the recipient.
    #[error(
        "the purpose national_summary_record and the feed's basis national_summary_record, Nasjonal kjernejournal, go \
         together, and neither goes with anything else (KPR regulation 4-1, 4-7)"
    )]
    Purpose,
    /// Not one recipient.
    #[error("a feed has one recipient: the organisation whose register takes it")]
    Recipients,
    /// The rule is not that of feeds.
    #[error("disclosure rules withhold small numbers, and a feed withholds none: its rule is {}", Feed::RULE)]
    Rule,
    /// Something is granted that a feed cannot give.
    #[error(
        "a feed is of datasets of {}, at least one, each granted once and with at least one variable; and {} does not take \
         a feed of itself",
        Approval::OWN_REGISTER,
        Approval::OWN_REGISTER
    )]
    Grants,
    /// Something is stated that has no meaning for a feed.
    #[error("a feed has no {0}: leave it out")]
    Unused(&'static str),
}

impl Feed {
    /// What stands as the rule in the approval of a feed: none of `policies/disclosure.toml` applies to it.
    pub const RULE: &str = "register-feed";
    /// How many days a feed can be fetched again after it was taken; then it is erased here.
    pub const DAYS_KEPT: u64 = 7;
    /// The most rows of one feed, all datasets together.
    pub const MOST_ROWS: usize = 1_000_000;
    /// The most persons that a register takes a feed of: more than live in Norway.
    pub const MOST_PERSONS: u64 = 8_000_000;
    /// What stands as the dataset of the persons that a register holds.
    pub const HELD_PERSONS: &str = "held_persons";

    /// Whether what an approval states of a feed fits the rest of it.
    ///
    /// # Errors
    /// [`FeedError`], the first rule it breaks.
    pub fn check(approval: &Approval) -> Result<(), FeedError> {
        let feed = match (approval.tier == Tier::RegisterFeed, &approval.feed) {
            (false, None) => return Ok(()),
            (true, Some(feed)) => feed,
            _ => return Err(FeedError::Missing),
        };
        if feed.basis == FeedBasis::Section9b {
            return Err(FeedError::Pseudonymous);
        }
        let summary = approval.purpose == Purpose::NationalSummaryRecord;
        if summary != (feed.basis == FeedBasis::NationalSummaryRecord) {
            return Err(FeedError::Purpose);
        }
        if approval.recipients.len() != 1 {
            return Err(FeedError::Recipients);
        }
        if approval.rule.as_str() != Self::RULE {
            return Err(FeedError::Rule);
        }
        for (unused, stated) in [
            ("dimensions", !approval.dimensions.is_empty()),
            ("privacy_budget", approval.privacy_budget.is_some()),
            ("linked_sets_until", approval.linked_sets_until.is_some()),
            ("reuse_linked_sets", approval.reuse_linked_sets),
            ("queries", !approval.queries.is_empty()),
        ] {
            if stated {
                return Err(FeedError::Unused(unused));
            }
        }
        let mut seen = Vec::new();
        let fits = approval.grants.iter().all(|grant| {
            let again = seen.contains(&&grant.dataset);
            seen.push(&grant.dataset);
            grant.register.as_str() == Approval::OWN_REGISTER && !grant.variables.is_empty() && !again
        });
        if !fits || approval.grants.is_empty() || feed.register.as_str() == Approval::OWN_REGISTER {
            return Err(FeedError::Grants);
        }
        Ok(())
    }

    /// How a run of it stands among the runs of queries, which no query can look like: its cohort are the persons whom
    /// its register holds, and there is nothing to count. None if its names are none, which they are.
    #[must_use]
    pub fn asked(&self, approval: &Approval) -> Option<Query> {
        Some(Query {
            project: approval.project.clone(),
            title: approval.title.clone(),
            cohort: Cohort {
                register: self.register.clone(),
                dataset: DatasetId::new(Self::HELD_PERSONS).ok()?,
                conditions: Vec::new(),
                index_date: VariableId::new("held").ok()?,
                period: approval.data_period,
            },
            outcomes: Vec::new(),
            by: Vec::new(),
            min_persons: None,
            privacy_loss: None,
            result: Answer::Feed,
        })
    }

    /// The first day on which it may be taken again, after it was taken on `last`.
    #[must_use]
    pub fn next(&self, last: NaiveDate) -> NaiveDate {
        last.checked_add_months(Months::new(self.every.months())).unwrap_or(NaiveDate::MAX)
    }
}

/// The order by which a register takes a feed: it gets the linkage key of the run, and codes of the persons it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedOrder {
    /// The order.
    pub id: OrderId,
    /// The run it belongs to. It is the linkage epoch: no two runs share a code.
    pub run: RunId,
    /// The register that takes the feed.
    pub register: RegisterId,
    /// When it was given; it is stale after `expires`.
    pub issued: DateTime<Utc>,
    /// When it can no longer be carried out.
    pub expires: DateTime<Utc>,
    /// The most codes that will be taken.
    pub max_codes: u64,
    /// The approval it stands on, which the recipient and the identity service verify themselves.
    pub approval: SignedApproval,
}

impl Canonical for FeedOrder {
    const LABEL: &'static str = "kpr/feed-order/v1";
}

impl KeyedOrder for FeedOrder {
    const KEY_USE: KeyUse = KeyUse::Feed;

    fn id(&self) -> &OrderId {
        &self.id
    }

    fn run(&self) -> &RunId {
        &self.run
    }

    fn register(&self) -> &RegisterId {
        &self.register
    }

    fn signed(&self) -> &SignedApproval {
        &self.approval
    }

    fn most_codes(&self) -> u64 {
        self.max_codes
    }

    fn check(&self, verified: &VerifiedApproval, now: DateTime<Utc>) -> Result<(), OrderError> {
        check_standing(&self.approval, (self.issued, self.expires), verified, now)?;
        let approval = verified.approval();
        let feed = match (approval.tier, &approval.feed) {
            (Tier::RegisterFeed, Some(feed)) => feed,
            _ => return Err(OrderError::NoFeed),
        };
        if feed.register != self.register {
            return Err(OrderError::OtherRecipient);
        }
        if self.max_codes > Feed::MOST_PERSONS {
            return Err(OrderError::TooManyRows);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::TimeDelta;

    use super::super::approval::TextError;
    use super::super::approval::tests::{example, verified};
    use super::super::order::LinkageOrder;
    use super::*;

    /// The example that ships with the project.
    pub(crate) fn approval() -> Approval {
        serde_saphyr::from_str(include_str!("../../docs/examples/feed.yaml")).unwrap()
    }

    fn refused(change: impl FnOnce(&mut Approval)) -> TextError {
        let mut changed = approval();
        change(&mut changed);
        changed.check_texts().unwrap_err()
    }

    #[test]
    fn a_feed_is_stated_whole_and_under_its_own_tier_only() {
        assert_eq!(approval().check_texts(), Ok(()));
        assert_eq!(refused(|a| a.feed = None), FeedError::Missing.into());
        for tier in [
            Tier::ProtectedTables,
            Tier::AnonymousMicrodata,
            Tier::IndirectMicrodata,
            Tier::DirectIdentifiers,
        ] {
            assert_eq!(refused(|a| a.tier = tier), FeedError::Missing.into());
        }
        assert_eq!(refused(|a| a.rule = example().rule), FeedError::Rule.into());
        assert_eq!(refused(|a| a.recipients.clear()), FeedError::Recipients.into());
        assert_eq!(refused(|a| a.dimensions = example().dimensions), FeedError::Unused("dimensions").into());
        assert_eq!(
            refused(|a| a.linked_sets_until = Some(a.valid.to())),
            FeedError::Unused("linked_sets_until").into()
        );
        assert_eq!(refused(|a| a.grants.clear()), FeedError::Grants.into());
        assert_eq!(refused(|a| a.grants = example().grants), FeedError::Grants.into());
        assert_eq!(refused(|a| a.grants.push(a.grants[0].clone())), FeedError::Grants.into());
        let own = RegisterId::new(Approval::OWN_REGISTER).unwrap();
        assert_eq!(refused(|a| a.feed.as_mut().unwrap().register = own), FeedError::Grants.into());
    }

    /// KPR regulation 4-7.
    #[test]
    fn the_recipients_are_those_that_the_regulation_names() {
        let under = |basis, purpose| {
            let mut changed = approval();
            changed.feed.as_mut().unwrap().basis = basis;
            changed.purpose = purpose;
            changed.check_texts()
        };
        for basis in [FeedBasis::Section9a, FeedBasis::Section10, FeedBasis::Section11] {
            assert_eq!(under(basis, Purpose::QualityImprovement), Ok(()));
            assert_eq!(under(basis, Purpose::NationalSummaryRecord), Err(FeedError::Purpose.into()));
            assert!(FeedError::Pseudonymous.to_string().contains(basis.as_str()));
        }
        let journal = FeedBasis::NationalSummaryRecord;
        assert_eq!(under(journal, Purpose::NationalSummaryRecord), Ok(()));
        assert_eq!(under(journal, Purpose::Research), Err(FeedError::Purpose.into()));
        assert_eq!(under(FeedBasis::Section9b, Purpose::Research), Err(FeedError::Pseudonymous.into()));
        let yaml = include_str!("../../docs/examples/feed.yaml");
        for other in ["section_8", "population_register", "socio_economic", "historic_iplos"] {
            let text = yaml.replace("section_11", other);
            assert!(text != yaml && serde_saphyr::from_str::<Approval>(&text).is_err(), "{other}");
        }
    }

    #[test]
    fn a_feed_is_due_again_after_its_months() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let next = |every, last| Feed { every, ..approval().feed.unwrap() }.next(day(last)).to_string();
        assert_eq!(next(Every::Month, "2026-01-31"), "2026-02-28");
        assert_eq!(next(Every::Quarter, "2026-01-01"), "2026-04-01");
        assert_eq!(next(Every::HalfYear, "2026-08-31"), "2027-02-28");
        assert_eq!(next(Every::Year, "2024-02-29"), "2025-02-28");
    }

    pub(crate) fn order(approval: &Approval, register: &str) -> FeedOrder {
        let issued: DateTime<Utc> = "2026-06-15T12:00:00Z".parse().unwrap();
        FeedOrder {
            id: OrderId::new(format!("o-{}", "a".repeat(32))).unwrap(),
            run: RunId::new(format!("r-{}", "b".repeat(32))).unwrap(),
            register: RegisterId::new(register).unwrap(),
            issued,
            expires: issued + TimeDelta::hours(1),
            max_codes: Feed::MOST_PERSONS,
            approval: verified(approval).signed(),
        }
    }

    fn check(order: &FeedOrder) -> Result<(), OrderError> {
        order.check(&verified(&order.approval.approval), order.issued)
    }

    #[test]
    fn an_order_is_for_the_feeds_own_register_under_its_own_tier() {
        assert_eq!(check(&order(&approval(), "NPR")), Ok(()));
        assert_eq!(check(&order(&approval(), "DAR")), Err(OrderError::OtherRecipient));
        assert_eq!(check(&order(&example(), "NPR")), Err(OrderError::NoFeed));
        let police = Approval { purpose: Purpose::Police, ..approval() };
        assert_eq!(check(&order(&police, "NPR")), Err(OrderError::PurposeProhibited));
        let both = Approval { tier: Tier::ProtectedTables, ..approval() };
        assert_eq!(check(&order(&both, "NPR")), Err(OrderError::Text(FeedError::Missing.into())));
        let mut stale = order(&approval(), "NPR");
        stale.expires = stale.issued - TimeDelta::seconds(1);
        assert_eq!(check(&stale), Err(OrderError::Stale));
        let mut long = order(&approval(), "NPR");
        long.expires += TimeDelta::seconds(1);
        assert_eq!(check(&long), Err(OrderError::TooLong));
        let mut many = order(&approval(), "NPR");
        many.max_codes += 1;
        assert_eq!(check(&many), Err(OrderError::TooManyRows));
    }

    /// Nor does the approval of a feed stand under an order for a partner's rows.
    #[test]
    fn no_rows_are_ordered_under_a_feed() {
        let FeedOrder { id, run, register, issued, expires, approval, .. } = order(&approval(), "NPR");
        let grant = &approval.approval.grants[0];
        let rows = LinkageOrder {
            id,
            run,
            query: super::super::canonical::Digest::from_bytes([1; 32]),
            section: Section::Section11,
            register,
            dataset: grant.dataset.clone(),
            columns: vec![],
            conditions: grant.conditions.clone(),
            date: grant.variables[0].clone(),
            period: approval.approval.data_period,
            issued,
            expires,
            max_rows: 1,
            approval: approval.clone(),
        };
        assert_eq!(rows.check(&verified(&approval.approval), issued), Err(OrderError::OtherTier));
    }

    #[test]
    fn an_approval_without_a_feed_is_encoded_as_before() {
        let bytes = example().canonical().unwrap();
        assert!(!String::from_utf8(bytes).unwrap().contains("feed"));
    }
}
