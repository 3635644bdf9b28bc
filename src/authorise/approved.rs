//! The step from a query to an approved query.

use crate::domain::approval::VerifiedApproval;
use crate::domain::canonical::{Canonical, Digest};
use crate::domain::ids::{DomainId, OrganisationId};
use crate::domain::lifecycle::ActiveApproval;
use crate::domain::method::Method;
use crate::domain::query::Query;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::rule::Rule;
use crate::domain::section::Sections;

use super::action::{Action, Resource};
use super::caller::Caller;
use super::checks;
use super::disclosure::Applied;
use super::indirect::IndirectGrant;
use super::policies::Policies;

/// A query, the approval it falls under and the disclosure rule that applies. Made only by
/// [`authorise`].
///
/// ```compile_fail,E0451
/// fn forge(query: kpr::domain::query::Query, honest: kpr::authorise::ApprovedQuery) {
///     let forged = kpr::authorise::ApprovedQuery { query, ..honest };
/// }
/// ```
///
/// ```compile_fail,E0616
/// fn loosen(mut approved: kpr::authorise::ApprovedQuery, rule: kpr::domain::rule::Rule) {
///     approved.rule = rule;
/// }
/// ```
///
/// What is public is reading one:
///
/// ```
/// fn digest(approved: &kpr::authorise::ApprovedQuery) -> kpr::domain::canonical::Digest {
///     assert_eq!(approved.query().project, approved.approval().approval().project);
///     approved.query_digest()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedQuery {
    query: Query,
    query_digest: Digest,
    approval: VerifiedApproval,
    caller: Caller,
    rule: Rule,
    domain: DomainId,
    of_domain: Method,
    method: Method,
    indirect: Option<IndirectGrant>,
    policy_digest: Digest,
}

impl ApprovedQuery {
    /// The query.
    #[must_use]
    pub const fn query(&self) -> &Query {
        &self.query
    }

    /// The digest of the query's canonical encoding.
    #[must_use]
    pub const fn query_digest(&self) -> Digest {
        self.query_digest
    }

    /// The approval it falls under.
    #[must_use]
    pub const fn approval(&self) -> &VerifiedApproval {
        &self.approval
    }

    /// Who asked.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The rule that applies: the approval's, or stricter where the query asks for it.
    #[must_use]
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The data domain it keeps to.
    #[must_use]
    pub const fn domain(&self) -> &DomainId {
        &self.domain
    }

    /// The method by which its recipient knows the data domain with it: that of the domain's tables, beside which anonymous
    /// microdata are judged, or that of indirectly identifiable ones, beside which there are no others.
    #[must_use]
    pub const fn domain_method(&self) -> Method {
        self.of_domain
    }

    /// The method that applies: the policies', with what the query asks to be stricter.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The data domain whose record keys its noise is made of; none where its method takes none.
    #[must_use]
    pub const fn record_keys_of(&self) -> Option<&DomainId> {
        match self.method {
            Method::Cellkey(_) => Some(&self.domain),
            Method::Suppress
            | Method::Fold
            | Method::Noise(_)
            | Method::Generalise(_)
            | Method::AsApproved => None,
        }
    }

    /// That its records may be given as the approval grants them; none of any other query.
    #[must_use]
    pub const fn indirect(&self) -> Option<&IndirectGrant> {
        self.indirect.as_ref()
    }

    /// The digest of the policies that decided.
    #[must_use]
    pub const fn policy_digest(&self) -> Digest {
        self.policy_digest
    }
}

/// Decides whether `caller` may ask `query` under `active`, the approval that is in force. Everything the query
/// touches must be covered by it, and the policies must permit it, by the `sections` of the registers too.
///
/// # Errors
/// A [`Refusal`] for the first rule that the query breaks: which rule, and what would be accepted.
pub fn authorise(
    caller: &Caller,
    query: Query,
    active: &ActiveApproval,
    policies: &Policies,
    sections: &Sections,
) -> Result<ApprovedQuery, Refusal> {
    let approval = active.approval();
    let granted = approval.approval();
    checks::project(&query, granted)?;
    let on = Resource::Query { approval: granted, registers: &sections.of_query(&query) };
    policies.may(caller, Action::SubmitQuery, on)?;
    checks::recipient(caller, granted)?;
    checks::tier(&query, granted)?;
    let query_digest = query
        .digest()
        .map_err(|_| Refusal::new(RefusalKind::Invalid, "query.encoding", "the query cannot be encoded"))?;
    checks::listed(&query_digest, granted)?;
    checks::datasets(&query, granted)?;
    checks::period(&query, granted)?;
    checks::dimensions(&query, granted)?;
    let Applied { rule, domain, of_domain, method } =
        policies.disclosure(&query, granted, caller.organisation())?;
    checks::budget(method, granted)?;
    let indirect = IndirectGrant::of(granted, &rule, method)?;
    Ok(ApprovedQuery {
        query,
        query_digest,
        approval: approval.clone(),
        caller: caller.clone(),
        rule,
        domain,
        of_domain,
        method,
        indirect,
        policy_digest: policies.digest(),
    })
}

/// Decides anew whether a query that was answered before may be evaluated again, for the one who asked it then and under
/// the approval that is in force now, so that a judgement can tell who is in its answer. Nobody is answered.
///
/// # Errors
/// As [`authorise`].
pub fn authorise_again(
    (organisation, name): (&OrganisationId, &str),
    query: Query,
    active: &ActiveApproval,
    policies: &Policies,
    sections: &Sections,
) -> Result<ApprovedQuery, Refusal> {
    let asked_by = Caller::of_record(organisation.clone(), name.to_owned());
    authorise(&asked_by, query, active, policies, sections)
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::super::fixtures::*;
    use super::*;
    use crate::domain::approval::{Approval, Purpose, Tier};
    use crate::domain::query::{Answer, By};

    fn decide(
        query: impl FnOnce(&mut Query),
        approval: impl FnOnce(&mut Approval),
    ) -> Result<ApprovedQuery, Refusal> {
        let mut asked = super::super::fixtures::query();
        let mut granted = super::super::fixtures::approval();
        query(&mut asked);
        approval(&mut granted);
        authorise(&researcher(), asked, &active(granted)?, &policies(), &sections())
    }

    fn refused(query: impl FnOnce(&mut Query), approval: impl FnOnce(&mut Approval), code: &str) -> Refusal {
        let refusal = decide(query, approval).unwrap_err();
        assert_eq!(refusal.code, code, "{}", refusal.hint);
        refusal
    }

    fn as_is<T>(_: &mut T) {}

    #[test]
    fn a_query_within_its_approval_is_approved() {
        let approved = decide(as_is, as_is).unwrap();
        assert_eq!(approved.rule().min_persons(), 5);
        assert_eq!(approved.query_digest(), approved.query().digest().unwrap());
        assert_eq!(approved.policy_digest(), policies().digest());
        assert_eq!(approved.caller(), &researcher());
    }

    #[test]
    fn another_project_organisation_or_role_is_refused() {
        refused(|q| q.project = name("P-2026-0002"), as_is, "approval.other_project");
        for caller in [
            Caller::from_certificate(name("NTRNO-111111111"), Role::Researcher, "x".to_owned()),
            Caller::from_certificate(name(RECIPIENT), Role::Steward, "x".to_owned()),
            Caller::from_certificate(name(RECIPIENT), Role::Consumer, "x".to_owned()),
        ] {
            let refusal = authorise(&caller, query(), &active(approval()).unwrap(), &policies(), &sections())
                .unwrap_err();
            assert_eq!(refusal.code, "policy.not_permitted");
            assert!(refusal.hint.contains("names as recipient"), "{}", refusal.hint);
        }
    }

    #[test]
    fn prohibited_purposes_are_refused_by_name() {
        for purpose in [Purpose::Police, Purpose::Insurance, Purpose::Employer] {
            let refusal = refused(as_is, |a| a.purpose = purpose, "policy.purpose_prohibited");
            assert!(refusal.hint.contains("4-1"));
        }
    }

    #[test]
    fn a_pseudonymous_register_is_refused_by_name_wherever_it_stands() {
        let register = |register: &'static str| move |q: &mut Query| q.cohort.register = name(register);
        let refusal = refused(register("SSB"), as_is, "policy.blind_linkage");
        assert!(refusal.hint.contains("SSB (section_9b)"), "{}", refusal.hint);
        refused(|q| q.outcomes[2].register = name("SSB"), as_is, "policy.blind_linkage");
        refused(register("IPLOS-2006"), as_is, "policy.blind_linkage");
        let records = |a: &mut Approval| a.tier = Tier::AnonymousMicrodata;
        let refusal = refused(register("IPLOS-2006"), records, "policy.statistics_only");
        assert!(refusal.hint.contains("6-1"), "{}", refusal.hint);
    }

    #[test]
    fn a_query_asks_for_what_its_approval_is_for() {
        refused(as_is, |a| a.tier = Tier::DirectIdentifiers, "policy.direct_identifiers");
        refused(as_is, |a| a.tier = Tier::AnonymousMicrodata, "approval.tier");
        refused(as_is, |a| a.tier = Tier::IndirectMicrodata, "policy.indirect_conditions");
        let records = |q: &mut Query| q.result = Answer::Microdata;
        let refusal = refused(records, as_is, "approval.tier");
        assert!(refusal.hint.contains("microdata needs tier anonymous_microdata"), "{}", refusal.hint);
        refused(records, |a| a.tier = Tier::IndirectMicrodata, "policy.indirect_conditions");
        refused(records, |a| a.tier = Tier::AnonymousMicrodata, "rule.other_tier");
        let anonymous = |a: &mut Approval| {
            a.tier = Tier::AnonymousMicrodata;
            a.rule = name("records-5");
        };
        let approved = decide(records, anonymous).unwrap();
        assert!(matches!(approved.method(), Method::Generalise(_)));
        assert_ne!(approved.query().question(approved.rule()), query().question(approved.rule()));
        refused(as_is, anonymous, "approval.tier");
    }

    /// KPR regulation 4-4.
    #[test]
    fn records_as_they_are_need_the_tier_the_terms_and_the_rule_together() {
        let records = |q: &mut Query| q.result = Answer::Microdata;
        let approved = decide(records, indirect).unwrap();
        assert_eq!((approved.method(), approved.domain_method()), (Method::AsApproved, Method::AsApproved));
        let grant = approved.indirect().unwrap();
        assert_eq!((grant.small(), grant.rule()), (5, approved.rule().id()));
        assert_eq!(Some(grant.terms()), approved.approval().approval().indirect.as_ref());
        // A table is not what such an approval is for.
        refused(as_is, indirect, "approval.tier");
        // Each of the three without the others.
        let without = |changed: fn(&mut Approval)| {
            move |a: &mut Approval| {
                indirect(a);
                changed(a);
            }
        };
        refused(records, without(|a| a.indirect = None), "policy.indirect_conditions");
        refused(records, without(|a| a.rule = name("records-5")), "rule.other_tier");
        refused(records, without(|a| a.tier = Tier::AnonymousMicrodata), "rule.other_tier");
        let anonymous_with_terms = without(|a| {
            a.tier = Tier::AnonymousMicrodata;
            a.rule = name("records-5");
        });
        refused(records, anonymous_with_terms, "approval.indirect");
        let other = |a: &mut Approval| a.indirect = Some(terms());
        refused(as_is, other, "approval.indirect");
        // No promise of a least number can be asked for, since there is none.
        let refusal = refused(
            |q| {
                records(q);
                q.min_persons = Some(8);
            },
            indirect,
            "rule.no_least_number",
        );
        assert!(refusal.hint.contains("leave it out"), "{}", refusal.hint);
        // Nothing else gives the right.
        assert_eq!(decide(as_is, as_is).unwrap().indirect(), None);
    }

    #[test]
    fn an_approval_holds_on_its_days_only() {
        for (from, to) in [("2020-01-01", "2026-11-21"), ("2026-11-23", "2027-01-01")] {
            refused(as_is, |a| a.valid = period(from, to), "approval.not_valid_today");
        }
        assert!(decide(as_is, |a| a.valid = period("2026-11-22", "2026-11-22")).is_ok());
    }

    #[test]
    fn a_list_of_queries_admits_no_other() {
        let digest = query().digest().unwrap();
        assert!(decide(as_is, |a| a.queries = vec![digest]).is_ok());
        refused(
            |q| q.title = "Another".to_owned(),
            |a| a.queries = vec![digest],
            "approval.query_not_listed",
        );
    }

    #[test]
    fn datasets_and_variables_must_be_granted() {
        let refusal = refused(|q| q.cohort.dataset = name("referral"), as_is, "approval.dataset_not_granted");
        assert!(refusal.hint.contains("NPR/episode"), "{}", refusal.hint);
        refused(|q| q.outcomes[1].register = name("DAR"), as_is, "approval.dataset_not_granted");
        let refusal = refused(
            |q| q.cohort.conditions.push(condition("hovedtilstand", &["F20"])),
            as_is,
            "approval.variable_not_granted",
        );
        assert!(refusal.hint.contains("fagomrade"), "{}", refusal.hint);
        refused(|q| q.cohort.index_date = name("inndato"), as_is, "approval.variable_not_granted");
        refused(|q| q.outcomes[0].date = name("klokkeslett"), as_is, "approval.variable_not_granted");
        refused(
            |q| q.outcomes[2].conditions.push(condition("fritakskode", &["1"])),
            as_is,
            "approval.variable_not_granted",
        );
    }

    #[test]
    fn rows_must_be_within_those_granted() {
        refused(|q| q.cohort.conditions.clear(), as_is, "approval.rows_not_granted");
        let refusal = refused(
            |q| q.cohort.conditions[0].any_of.push("2".to_owned()),
            as_is,
            "approval.rows_not_granted",
        );
        assert!(refusal.hint.contains("omsorgsniva in 1"), "{}", refusal.hint);
        assert!(
            decide(
                |q| {
                    q.cohort.conditions[1].any_of.pop();
                },
                as_is
            )
            .is_ok()
        );
    }

    #[test]
    fn follow_up_must_end_within_the_data_period() {
        assert!(decide(as_is, |a| a.data_period = period("2024-01-01", "2025-06-29")).is_ok());
        let refusal = refused(
            as_is,
            |a| a.data_period = period("2024-01-01", "2025-06-28"),
            "approval.period_not_granted",
        );
        assert!(refusal.hint.contains("2025-06-29"), "{}", refusal.hint);
        refused(as_is, |a| a.data_period = period("2024-01-02", "2025-12-31"), "approval.period_not_granted");
    }

    #[test]
    fn dimensions_must_be_granted_with_their_code_list() {
        let refusal = refused(
            |q| q.by[1] = By { variable: name("age"), code_list: name("age_10") },
            as_is,
            "approval.dimension_not_granted",
        );
        assert!(refusal.hint.contains("age by age_4"), "{}", refusal.hint);
    }

    #[test]
    fn a_rule_can_be_made_stricter_never_looser() {
        assert_eq!(decide(|q| q.min_persons = Some(8), as_is).unwrap().rule().min_persons(), 8);
        assert_eq!(decide(|q| q.min_persons = Some(5), as_is).unwrap().rule().min_persons(), 5);
        refused(|q| q.min_persons = Some(4), as_is, "rule.looser");
        refused(|q| q.min_persons = Some(0), as_is, "rule.looser");
        refused(|q| q.min_persons = Some(Rule::MOST + 1), as_is, "rule.out_of_range");
        refused(as_is, |a| a.rule = name("none"), "rule.unknown");
    }
}
