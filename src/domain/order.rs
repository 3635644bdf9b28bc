//! A linkage order: what a register node is asked to send, under which signed approval.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::approval::{SignedApproval, TextError, Tier, VerifiedApproval};
use super::canonical::{Canonical, Digest};
use super::ids::{DatasetId, OrderId, RegisterId, RunId, VariableId};
use super::period::Period;
use super::query::Condition;
use super::section::{LinkageTerms, Section};

/// An order for rows of one dataset of one partner register, for one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkageOrder {
    /// The order.
    pub id: OrderId,
    /// The run it belongs to. It is the linkage epoch: the linkage key is derived from project and run,
    /// so no two runs share a code.
    pub run: RunId,
    /// The digest of the query it is given for.
    pub query: Digest,
    /// The register asked.
    pub register: RegisterId,
    /// The section that the register stands under by the register keeper's catalogue. The partner knows its own and
    /// refuses an order that states another.
    pub section: Section,
    /// Its dataset.
    pub dataset: DatasetId,
    /// The columns to send beside the linkage code, in this order.
    pub columns: Vec<VariableId>,
    /// What a row must fulfil: every condition.
    pub conditions: Vec<Condition>,
    /// The date variable that must lie in the period.
    pub date: VariableId,
    /// The period.
    pub period: Period,
    /// When it was given; it is stale after `expires`.
    pub issued: DateTime<Utc>,
    /// When it can no longer be carried out.
    pub expires: DateTime<Utc>,
    /// The most rows that will be taken.
    pub max_rows: u64,
    /// The approval it stands on, which the partner and the identity service verify themselves.
    pub approval: SignedApproval,
}

impl Canonical for LinkageOrder {
    const LABEL: &'static str = "kpr/linkage-order/v2";
}

/// Why an order does not stand on its approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The approval is not valid on the day of the order.
    #[error("the approval is not valid today")]
    ApprovalNotValid,
    /// A text of the approval does not fit.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The approval's purpose is one that no approval can permit.
    #[error("the approval's purpose is prohibited: data go neither to police, insurance nor employers")]
    PurposeProhibited,
    /// The approval is for another kind of result.
    #[error(
        "the approval is neither for protected tables nor for microdata without direct identifiers, all that orders are given \
         for"
    )]
    OtherTier,
    /// The query is none of those that the approval names.
    #[error("the approval names the digests of its queries, and that of the order's query is none of them")]
    QueryNotListed,
    /// The register is pseudonymous.
    #[error("the order is for a pseudonymous register, and there is no blind linkage (KPR regulation 4-2)")]
    BlindOnly,
    /// The order has expired, or is dated in the future.
    #[error("the order is stale: its time has passed or not come")]
    Stale,
    /// The order would hold for too long.
    #[error("the order holds for longer than an hour")]
    TooLong,
    /// The order asks for too many rows.
    #[error("the order asks for more than {} rows", LinkageOrder::MOST_ROWS)]
    TooManyRows,
    /// The dataset is not granted.
    #[error("the approval does not grant this dataset of this register")]
    DatasetNotGranted,
    /// A column or condition uses a variable that is not granted.
    #[error("the order uses a variable that the approval does not grant")]
    VariableNotGranted,
    /// The rows asked for are not within the rows granted.
    #[error("the order asks for rows outside those the approval grants")]
    RowsNotGranted,
    /// The period is not within the approved one.
    #[error("the order's period is not within the approved data period")]
    PeriodNotGranted,
    /// The approval is for no feed.
    #[error("the approval is not for a feed (tier register_feed), all that such an order is given for")]
    NoFeed,
    /// The feed is another register's.
    #[error("the approval's feed is another register's")]
    OtherRecipient,
}

/// What a linkage key is for. It is part of what the key is derived from: a key for one use is none for the other, also
/// of the same project and run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// The codes of the rows that a partner sends.
    Rows,
    /// The codes of the persons that a register holds, for the feed it takes.
    Feed,
}

/// An order that a linkage key is given for: for the rows that a partner sends, or the feed that a register takes. One
/// key an order, for the register that it names, on an approval whose signatures the identity service has verified.
pub trait KeyedOrder: Canonical {
    /// What its key is for.
    const KEY_USE: KeyUse;
    /// The order.
    fn id(&self) -> &OrderId;
    /// Its run, which is the linkage epoch.
    fn run(&self) -> &RunId;
    /// The register that is to carry it out, which alone gets the key.
    fn register(&self) -> &RegisterId;
    /// The approval it stands on.
    fn signed(&self) -> &SignedApproval;
    /// The most codes that are mapped for it.
    fn most_codes(&self) -> u64;
    /// Checks it against its approval, whose signatures the caller has verified, at `now`.
    ///
    /// # Errors
    /// [`OrderError`], the first rule it breaks.
    fn check(&self, verified: &VerifiedApproval, now: DateTime<Utc>) -> Result<(), OrderError>;
}

/// Checks what every order keeps: that it stands on this approval, valid today, for a purpose that is not prohibited,
/// and holds now, for an hour at most.
pub(super) fn check_standing(
    signed: &SignedApproval,
    (issued, expires): (DateTime<Utc>, DateTime<Utc>),
    verified: &VerifiedApproval,
    now: DateTime<Utc>,
) -> Result<(), OrderError> {
    let approval = verified.approval();
    if signed.approval != *approval || !verified.is_valid_on(now.date_naive()) {
        return Err(OrderError::ApprovalNotValid);
    }
    approval.check_texts()?;
    if approval.purpose.is_prohibited() {
        return Err(OrderError::PurposeProhibited);
    }
    // Clocks of two organisations differ a little; a minute is forgiven, no more.
    if now > expires || issued > now + TimeDelta::minutes(1) {
        return Err(OrderError::Stale);
    }
    if expires - issued > LinkageOrder::MOST_LIFETIME {
        return Err(OrderError::TooLong);
    }
    Ok(())
}

impl KeyedOrder for LinkageOrder {
    const KEY_USE: KeyUse = KeyUse::Rows;

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
        self.max_rows
    }

    fn check(&self, verified: &VerifiedApproval, now: DateTime<Utc>) -> Result<(), OrderError> {
        Self::check(self, verified, now)
    }
}

impl LinkageOrder {
    /// The most rows that one order may ask for. All of Norway has some six million episodes a year.
    pub const MOST_ROWS: u64 = 20_000_000;
    /// The longest time an order may hold.
    pub const MOST_LIFETIME: TimeDelta = TimeDelta::hours(1);

    /// Checks the order against an approval whose signatures this party has verified, at `now`.
    ///
    /// # Errors
    /// [`OrderError`], the first rule it breaks.
    pub fn check(&self, verified: &VerifiedApproval, now: DateTime<Utc>) -> Result<(), OrderError> {
        let approval = verified.approval();
        check_standing(&self.approval, (self.issued, self.expires), verified, now)?;
        if !matches!(
            approval.tier,
            Tier::ProtectedTables | Tier::AnonymousMicrodata | Tier::IndirectMicrodata
        ) {
            return Err(OrderError::OtherTier);
        }
        if !approval.queries.is_empty() && !approval.queries.contains(&self.query) {
            return Err(OrderError::QueryNotListed);
        }
        if self.section.terms() == LinkageTerms::Blind {
            return Err(OrderError::BlindOnly);
        }
        if self.max_rows > Self::MOST_ROWS {
            return Err(OrderError::TooManyRows);
        }
        let grant = approval.grant(&self.register, &self.dataset).ok_or(OrderError::DatasetNotGranted)?;
        let mut used =
            self.columns.iter().chain([&self.date]).chain(self.conditions.iter().map(|c| &c.variable));
        if !used.all(|variable| grant.variables.contains(variable)) {
            return Err(OrderError::VariableNotGranted);
        }
        if !grant.admits(&self.conditions) {
            return Err(OrderError::RowsNotGranted);
        }
        if !approval.data_period.covers(&self.period) {
            return Err(OrderError::PeriodNotGranted);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::approval::tests::{example, verified};
    use super::super::approval::{Approval, Purpose};
    use super::super::ids::{OrderId, RunId};
    use super::super::indirect::TermsError;
    use super::super::indirect::tests::terms;
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-06-15T12:00:00Z".parse().unwrap()
    }

    /// An order for the first dataset that the example grants.
    fn order(approval: &Approval) -> LinkageOrder {
        let grant = &approval.grants[0];
        LinkageOrder {
            id: OrderId::new(format!("o-{}", "a".repeat(32))).unwrap(),
            run: RunId::new(format!("r-{}", "b".repeat(32))).unwrap(),
            query: Digest::from_bytes([1; 32]),
            section: Section::Section11,
            register: grant.register.clone(),
            dataset: grant.dataset.clone(),
            columns: vec![],
            conditions: grant.conditions.clone(),
            date: grant.variables[0].clone(),
            period: approval.data_period,
            issued: now(),
            expires: now() + LinkageOrder::MOST_LIFETIME,
            max_rows: LinkageOrder::MOST_ROWS,
            approval: verified(approval).signed(),
        }
    }

    fn check(order: &LinkageOrder) -> Result<(), OrderError> {
        order.check(&verified(&order.approval.approval), now())
    }

    #[test]
    fn no_signatures_permit_a_prohibited_purpose() {
        assert_eq!(check(&order(&example())), Ok(()));
        for purpose in [Purpose::Police, Purpose::Insurance, Purpose::Employer] {
            let approval = Approval { purpose, ..example() };
            assert_eq!(check(&order(&approval)), Err(OrderError::PurposeProhibited));
        }
    }

    #[test]
    fn orders_are_for_tables_and_for_microdata_without_direct_identifiers_only() {
        let of = |tier, indirect| check(&order(&Approval { tier, indirect, ..example() }));
        assert_eq!(of(Tier::DirectIdentifiers, None), Err(OrderError::OtherTier));
        assert_eq!(of(Tier::AnonymousMicrodata, None), Ok(()));
        // Partners and the identity service see for themselves that there are conditions.
        let missing = Err(OrderError::Text(TextError::Indirect(TermsError::Missing)));
        assert_eq!(of(Tier::IndirectMicrodata, None), missing);
        assert_eq!(of(Tier::IndirectMicrodata, Some(terms(&["a secure environment"]))), Ok(()));
    }

    #[test]
    fn an_order_is_for_a_query_that_the_approval_names() {
        let named = |digest| Approval { queries: vec![Digest::from_bytes([digest; 32])], ..example() };
        assert_eq!(check(&order(&named(1))), Ok(()));
        assert_eq!(check(&order(&named(2))), Err(OrderError::QueryNotListed));
    }

    #[test]
    fn no_order_is_for_a_pseudonymous_register() {
        for section in Section::ALL {
            let refused = matches!(section, Section::Section9b | Section::HistoricIplos);
            let expected = if refused { Err(OrderError::BlindOnly) } else { Ok(()) };
            assert_eq!(check(&LinkageOrder { section, ..order(&example()) }), expected);
        }
    }

    #[test]
    fn an_order_holds_for_an_hour_at_most() {
        let mut long = order(&example());
        long.expires += TimeDelta::milliseconds(1);
        assert_eq!(check(&long), Err(OrderError::TooLong));
    }

    #[test]
    fn an_order_is_for_so_many_rows_at_most() {
        let mut large = order(&example());
        large.max_rows += 1;
        assert_eq!(check(&large), Err(OrderError::TooManyRows));
    }

    #[test]
    fn an_order_does_not_stand_on_an_approval_whose_texts_do_not_fit() {
        let approval = Approval { title: "about 02813299997".to_owned(), ..example() };
        assert!(matches!(check(&order(&approval)), Err(OrderError::Text(_))));
    }
}
