//! The right to give records as an approval grants them.

use crate::domain::approval::{Approval, Tier};
use crate::domain::ids::RuleId;
use crate::domain::indirect::IndirectTerms;
use crate::domain::method::Method;
use crate::domain::refusal::Refusal;
use crate::domain::rule::Rule;

use super::disclosure::unmet;

/// That a query's records may be given as its approval grants them, indirectly identifiable (KPR regulation 4-4): the
/// approval is of that tier, states why and under which conditions, and the policies have a rule for it. Disclosure
/// control gives no record that is not generalised without one, and nothing but [`super::authorise`] makes one:
///
/// ```compile_fail,E0451
/// use kpr::domain::{ids::RuleId, indirect::IndirectTerms};
/// fn forge(rule: RuleId, terms: IndirectTerms) -> kpr::authorise::IndirectGrant {
///     kpr::authorise::IndirectGrant { rule, small: 5, terms }
/// }
/// ```
///
/// What is public is reading one:
///
/// ```
/// fn interest(approved: &kpr::authorise::ApprovedQuery) -> Option<&str> {
///     approved.indirect().map(|grant| grant.terms().interest.as_str())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndirectGrant {
    rule: RuleId,
    small: u32,
    terms: IndirectTerms,
}

impl IndirectGrant {
    /// The grant of an approval whose query has this rule and method, if it is of that tier.
    ///
    /// # Errors
    /// A [`Refusal`] where tier, terms and method do not belong together.
    pub(super) fn of(approval: &Approval, rule: &Rule, method: Method) -> Result<Option<Self>, Refusal> {
        match (approval.tier, &approval.indirect, method) {
            (Tier::IndirectMicrodata, Some(terms), Method::AsApproved) => {
                Ok(Some(Self { rule: rule.id().clone(), small: rule.min_persons(), terms: terms.clone() }))
            }
            (Tier::IndirectMicrodata, ..) | (_, Some(_), _) | (.., Method::AsApproved) => Err(unmet(
                "approval.indirect",
                "records are given as they are under an approval of the tier indirect_microdata that states `indirect`, the \
                 substantial interest and the conditions, and under a rule with microdata = \"as_approved\", and under no \
                 other",
            )),
            _ => Ok(None),
        }
    }

    /// The rule of the policies.
    #[must_use]
    pub const fn rule(&self) -> &RuleId {
        &self.rule
    }

    /// The number of records below which the rule calls a group small.
    #[must_use]
    pub const fn small(&self) -> u32 {
        self.small
    }

    /// Why and under which conditions the records are given.
    #[must_use]
    pub const fn terms(&self) -> &IndirectTerms {
        &self.terms
    }
}
