//! `policies/disclosure.toml`: which rule and which method apply to whom.
//!
//! A rule follows from legal basis, tier and class of recipient; a method from data domain and class. A register
//! lies in one domain, a query keeps to one, and where tables of a domain are published, which everyone knows, all
//! classes have the same method: nobody ever holds true counts and noisy ones of the same data.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::method::{cellkey, covers, tightened};
use crate::domain::approval::{Approval, Tier};
use crate::domain::ids::{DomainId, OrganisationId, RecipientClassId, RegisterId, RuleId};
use crate::domain::method::{Cellkey, Method};
use crate::domain::query::Query;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::rho::Rho;
use crate::domain::rule::{Microdata, Rule};

/// A class of recipients.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipients {
    class: RecipientClassId,
    /// Those in it; one class names none and has everyone else.
    #[serde(default)]
    organisations: BTreeSet<OrganisationId>,
}

/// On which legal basis what may go to whom, and by which rule at least.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Basis {
    legal_basis: String,
    tier: Tier,
    recipients: RecipientClassId,
    rule: RuleId,
}

/// Registers whose data are released by one method to each class.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Domain {
    id: DomainId,
    registers: BTreeSet<RegisterId>,
    /// Whether tables of it may be published.
    published: bool,
    methods: BTreeMap<RecipientClassId, Method>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rules: Vec<Rule>,
    recipients: Vec<Recipients>,
    bases: Vec<Basis>,
    domains: Vec<Domain>,
}

/// What is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DisclosurePolicyError {
    #[error("{0}")]
    Parse(String),
    #[error("rule {0} occurs twice")]
    RuleTwice(RuleId),
    #[error("at least one rule is needed")]
    NoRule,
    #[error("class {0} occurs twice")]
    ClassTwice(RecipientClassId),
    #[error("exactly one class of recipients must name no organisations: it has everyone else")]
    Others,
    #[error("{0} is in two classes of recipients")]
    InTwoClasses(OrganisationId),
    #[error("there is no class of recipients {0}")]
    NoClass(RecipientClassId),
    #[error("legal basis \"{basis}\" names rule {rule}, which there is not")]
    NoSuchRule { basis: String, rule: RuleId },
    #[error(
        "legal basis \"{basis}\" is for tier {tier}, and its rule {rule} is not for results of that kind"
    )]
    OtherKind { basis: String, tier: &'static str, rule: RuleId },
    #[error("legal basis \"{0}\" stands twice for the same tier and class, or is empty or several")]
    Basis(String),
    #[error("domain {0} occurs twice")]
    DomainTwice(DomainId),
    #[error("register {0} lies in two domains: its data would be released by two methods")]
    InTwoDomains(RegisterId),
    #[error("domain {domain} has no method for class {class}")]
    NoMethod { domain: DomainId, class: RecipientClassId },
    #[error(
        "domain {0} is published, and what is published everyone knows: all classes must have the same method, or \
         true counts would stand beside noisy ones"
    )]
    TwoMethods(DomainId),
    #[error("domain {0}: noise must cost more than nothing")]
    NoLoss(DomainId),
    #[error(
        "domain {0}: all its classes with the method cellkey must have the same noise, or the same cell would have two \
         values"
    )]
    TwoNoises(DomainId),
}

/// The rules and methods in force.
#[derive(Debug)]
pub(super) struct DisclosurePolicy {
    rules: BTreeMap<RuleId, Rule>,
    recipients: Vec<Recipients>,
    bases: Vec<Basis>,
    domains: Vec<Domain>,
}

/// What applies to a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) rule: Rule,
    pub(super) domain: DomainId,
    /// The method by which the recipient knows the domain with it: that of the domain's tables, if records are not given
    /// as they are.
    pub(super) of_domain: Method,
    /// The method of what is asked for.
    pub(super) method: Method,
}

/// The legal bases of an approval, which it states separated by `;`.
fn provisions(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').map(str::trim).filter(|provision| !provision.is_empty())
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

pub(super) fn unmet(code: &'static str, hint: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Precondition, code, hint)
}

impl DisclosurePolicy {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`DisclosurePolicyError`], the first fault.
    pub(super) fn parse(text: &str) -> Result<Self, DisclosurePolicyError> {
        use DisclosurePolicyError as E;
        let file: File = toml::from_str(text).map_err(|e| E::Parse(e.message().to_owned()))?;
        let mut rules = BTreeMap::new();
        for rule in file.rules {
            if let Some(twice) = rules.insert(rule.id().clone(), rule) {
                return Err(E::RuleTwice(twice.id().clone()));
            }
        }
        if rules.is_empty() {
            return Err(E::NoRule);
        }
        let policy = Self { rules, recipients: file.recipients, bases: file.bases, domains: file.domains };
        policy.check_recipients()?;
        policy.check_bases()?;
        policy.check_domains()?;
        Ok(policy)
    }

    fn check_recipients(&self) -> Result<(), DisclosurePolicyError> {
        use DisclosurePolicyError as E;
        let (mut classes, mut members) = (BTreeSet::new(), BTreeSet::new());
        for recipients in &self.recipients {
            if !classes.insert(&recipients.class) {
                return Err(E::ClassTwice(recipients.class.clone()));
            }
            if let Some(twice) = recipients.organisations.iter().find(|o| !members.insert(*o)) {
                return Err(E::InTwoClasses(twice.clone()));
            }
        }
        let others = self.recipients.iter().filter(|r| r.organisations.is_empty()).count();
        if others == 1 { Ok(()) } else { Err(E::Others) }
    }

    fn check_bases(&self) -> Result<(), DisclosurePolicyError> {
        use DisclosurePolicyError as E;
        let mut seen = BTreeSet::new();
        for basis in &self.bases {
            self.known(&basis.recipients)?;
            let text = basis.legal_basis.clone();
            let Some(rule) = self.rules.get(&basis.rule) else {
                return Err(E::NoSuchRule { basis: text, rule: basis.rule.clone() });
            };
            if !is_for(rule, basis.tier) {
                return Err(E::OtherKind {
                    basis: text,
                    tier: basis.tier.as_str(),
                    rule: basis.rule.clone(),
                });
            }
            // One provision, written as an approval's are read.
            let one = provisions(&text).collect::<Vec<_>>() == [text.as_str()];
            if !one || !seen.insert((&basis.legal_basis, basis.tier.as_str(), &basis.recipients)) {
                return Err(E::Basis(text));
            }
        }
        Ok(())
    }

    fn check_domains(&self) -> Result<(), DisclosurePolicyError> {
        use DisclosurePolicyError as E;
        let (mut ids, mut registers) = (BTreeSet::new(), BTreeSet::new());
        for domain in &self.domains {
            if !ids.insert(&domain.id) {
                return Err(E::DomainTwice(domain.id.clone()));
            }
            if let Some(twice) = domain.registers.iter().find(|r| !registers.insert(*r)) {
                return Err(E::InTwoDomains(twice.clone()));
            }
            domain.methods.keys().try_for_each(|class| self.known(class))?;
            if let Some(without) = self.recipients.iter().find(|r| !domain.methods.contains_key(&r.class)) {
                return Err(E::NoMethod { domain: domain.id.clone(), class: without.class.clone() });
            }
            let kinds: BTreeSet<&str> = domain.methods.values().map(|method| method.as_str()).collect();
            if domain.published && kinds.len() > 1 {
                return Err(E::TwoMethods(domain.id.clone()));
            }
            if domain.methods.values().any(|m| matches!(m, Method::Noise(noise) if noise.rho == Rho::ZERO)) {
                return Err(E::NoLoss(domain.id.clone()));
            }
            let mut noises = domain.methods.values().filter_map(cellkey);
            let first = noises.next();
            if noises.any(|noise| Some(noise) != first) {
                return Err(E::TwoNoises(domain.id.clone()));
            }
        }
        Ok(())
    }

    fn known(&self, class: &RecipientClassId) -> Result<(), DisclosurePolicyError> {
        if self.recipients.iter().any(|r| r.class == *class) {
            Ok(())
        } else {
            Err(DisclosurePolicyError::NoClass(class.clone()))
        }
    }

    /// The class an organisation is in.
    fn class_of(&self, organisation: &OrganisationId) -> Option<&RecipientClassId> {
        let named = self.recipients.iter().find(|r| r.organisations.contains(organisation));
        named.or_else(|| self.recipients.iter().find(|r| r.organisations.is_empty())).map(|r| &r.class)
    }

    /// What applies to a query of an organisation under an approval.
    ///
    /// # Errors
    /// A [`Refusal`]: which rule, what was asked, and what would be accepted.
    pub(super) fn apply(
        &self,
        query: &Query,
        approval: &Approval,
        organisation: &OrganisationId,
    ) -> Result<Applied, Refusal> {
        let class = self
            .class_of(organisation)
            .ok_or_else(|| unmet("rule.no_class", "the policies have no class for this recipient"))?;
        let rule = self.rule(query, approval, class)?;
        let domain = self.domain(query)?;
        let of_domain = domain.methods.get(class).copied();
        let of_domain =
            of_domain.ok_or_else(|| unmet("rule.no_method", "the policies have no method for this class"))?;
        let (of_domain, method) = match (rule.microdata(), of_domain) {
            (Some(_), Method::Noise(_) | Method::Cellkey(_)) => return Err(no_records(domain)),
            (Some(Microdata::Generalised(records)), _) => (of_domain, Method::Generalise(records)),
            (Some(Microdata::AsApproved), _) => (Method::AsApproved, Method::AsApproved),
            (None, method) => (of_domain, method),
        };
        let method = tightened(method, query)?;
        covers(method, &rule)?;
        Ok(Applied { rule, domain: domain.id.clone(), of_domain, method })
    }

    /// The cell-key noises of all domains.
    pub(super) fn cellkeys(&self) -> impl Iterator<Item = Cellkey> + '_ {
        self.domains.iter().flat_map(|domain| domain.methods.values().filter_map(cellkey))
    }

    /// The approval's rule if it is strict enough for its legal basis, or a stricter one where the query asks for it.
    fn rule(&self, query: &Query, approval: &Approval, class: &RecipientClassId) -> Result<Rule, Refusal> {
        let rule = self.rules.get(&approval.rule).ok_or_else(|| {
            unmet(
                "rule.unknown",
                format!(
                    "the approval names rule {}, which the policies do not have; they have: {}",
                    approval.rule,
                    joined(self.rules.keys())
                ),
            )
        })?;
        if !is_for(rule, approval.tier) {
            let others = self.rules.values().filter(|other| is_for(other, approval.tier)).map(Rule::id);
            return Err(unmet(
                "rule.other_tier",
                format!(
                    "the approval is for tier {} and names rule {}, which is for results of another kind; rules for \
                     that tier are: {}",
                    approval.tier.as_str(),
                    rule.id(),
                    joined(others)
                ),
            ));
        }
        let fits = |basis: &&Basis| basis.tier == approval.tier && basis.recipients == *class;
        let stated = |basis: &&Basis| provisions(&approval.legal_basis).any(|p| p == basis.legal_basis);
        let covering = self.bases.iter().filter(fits).filter(stated);
        let mut asked = covering.filter_map(|basis| self.rules.get(&basis.rule)).peekable();
        if asked.peek().is_none() {
            let covered = joined(self.bases.iter().filter(fits).map(|b| format!("\"{}\"", b.legal_basis)));
            return Err(unmet(
                "rule.no_basis",
                format!(
                    "no disclosure rule covers tier {} for recipients of class {class} on the legal basis that the \
                     approval states; it must state one of these, separated from others by ';': {}",
                    approval.tier.as_str(),
                    if covered.is_empty() { "none" } else { &covered }
                ),
            ));
        }
        if let Some(least) = asked.find(|least| !rule.is_as_strict_as(least)) {
            return Err(unmet(
                "rule.looser_than_basis",
                format!(
                    "the approval names rule {} with at least {} persons in a cell; its legal basis asks for rule {} \
                     with at least {}, and for its ranges; an approval under that rule or one as strict in all would \
                     be accepted",
                    rule.id(),
                    rule.min_persons(),
                    least.id(),
                    least.min_persons()
                ),
            ));
        }
        match query.min_persons {
            Some(asked) if asked < rule.min_persons() => Err(unmet(
                "rule.looser",
                format!(
                    "rule {} asks for at least {} persons in a cell; a query may ask for more, not for fewer",
                    rule.id(),
                    rule.min_persons()
                ),
            )),
            Some(asked) if asked > Rule::MOST => Err(Refusal::new(
                RefusalKind::Invalid,
                "rule.out_of_range",
                format!("min_persons may be at most {}", Rule::MOST),
            )),
            asked => Ok(rule.tightened(asked)),
        }
    }

    /// The one domain that a query keeps to.
    fn domain(&self, query: &Query) -> Result<&Domain, Refusal> {
        self.domain_of(query.outcomes.iter().map(|o| &o.register).chain([&query.cohort.register]).collect())
    }

    /// The one domain that the data of a feed lie in.
    pub(super) fn feed_domain(&self, approval: &Approval) -> Result<DomainId, Refusal> {
        self.domain_of(approval.grants.iter().map(|grant| &grant.register).collect()).map(|of| of.id.clone())
    }

    fn domain_of(&self, registers: BTreeSet<&RegisterId>) -> Result<&Domain, Refusal> {
        let mut domains: Vec<&Domain> = Vec::new();
        for register in registers {
            let of = self.domains.iter().find(|d| d.registers.contains(register)).ok_or_else(|| {
                let covered = joined(self.domains.iter().flat_map(|d| &d.registers));
                unmet(
                    "rule.no_domain",
                    format!(
                        "no method is given for data of register {register}; there is one for: {covered}"
                    ),
                )
            })?;
            if !domains.iter().any(|d| d.id == of.id) {
                domains.push(of);
            }
        }
        match domains[..] {
            [one] => Ok(one),
            _ => Err(unmet(
                "rule.two_domains",
                format!(
                    "the query asks for registers of the domains {}, each released by a method of its own; ask a query \
                     of each",
                    joined(domains.iter().map(|d| &d.id))
                ),
            )),
        }
    }

    /// Whether tables from this query may be published.
    ///
    /// # Errors
    /// A [`Refusal`] if their domain is not published.
    pub(super) fn may_publish(&self, query: &Query) -> Result<(), Refusal> {
        let domain = self.domain(query)?;
        if domain.published {
            return Ok(());
        }
        Err(unmet(
            "rule.not_published",
            format!(
                "data of domain {} reach classes of recipients by different methods, and a published table everyone \
                 knows; its tables are released to projects only",
                domain.id
            ),
        ))
    }
}

/// Whether a rule is for results of this tier.
fn is_for(rule: &Rule, tier: Tier) -> bool {
    match tier {
        Tier::ProtectedTables => rule.microdata().is_none(),
        Tier::AnonymousMicrodata => matches!(rule.microdata(), Some(Microdata::Generalised(_))),
        Tier::IndirectMicrodata => rule.microdata() == Some(Microdata::AsApproved),
        Tier::DirectIdentifiers | Tier::RegisterFeed => false,
    }
}

fn no_records(domain: &Domain) -> Refusal {
    unmet(
        "rule.noise_only",
        format!(
            "the query asks for microdata; data of domain {} reach this class of recipients with noise, which true \
             records would take off; ask for a table",
            domain.id
        ),
    )
}

#[cfg(test)]
#[path = "disclosure_tests.rs"]
mod tests;
