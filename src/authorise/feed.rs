//! The step from a register that asks for its feed to an approved feed.

use crate::domain::approval::{Tier, VerifiedApproval};
use crate::domain::canonical::Digest;
use crate::domain::feed::Feed;
use crate::domain::ids::DomainId;
use crate::domain::lifecycle::ActiveApproval;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::section::Sections;

use super::action::{Action, Resource};
use super::caller::Caller;
use super::checks;
use super::policies::Policies;

/// A feed that its register may take today: under an approval of tier register_feed that two stewards have signed and
/// that is in force. Made only by [`authorise_feed`]:
///
/// ```compile_fail,E0451
/// fn forge(domain: kpr::domain::ids::DomainId, honest: kpr::authorise::ApprovedFeed) {
///     let forged = kpr::authorise::ApprovedFeed { domain, ..honest };
/// }
/// ```
///
/// An approved query is none:
///
/// ```compile_fail,E0308
/// fn of_query(query: kpr::authorise::ApprovedQuery) -> kpr::authorise::ApprovedFeed {
///     query
/// }
/// ```
///
/// What is public is reading one:
///
/// ```
/// fn months(approved: &kpr::authorise::ApprovedFeed) -> u32 {
///     approved.feed().every.months()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedFeed {
    approval: VerifiedApproval,
    feed: Feed,
    caller: Caller,
    domain: DomainId,
    policy_digest: Digest,
}

impl ApprovedFeed {
    /// The approval it falls under.
    #[must_use]
    pub const fn approval(&self) -> &VerifiedApproval {
        &self.approval
    }

    /// To which register, and how often.
    #[must_use]
    pub const fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The register's node.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The data domain that all of it lies in.
    #[must_use]
    pub const fn domain(&self) -> &DomainId {
        &self.domain
    }

    /// The digest of the policies that decided.
    #[must_use]
    pub const fn policy_digest(&self) -> Digest {
        self.policy_digest
    }
}

/// Decides whether `caller` may take the feed of `active`, the approval that is in force: the policies must permit it, and
/// the register be the one that the approval names, under the section that the catalogue has for it.
///
/// # Errors
/// A [`Refusal`] for the first rule that is broken: which rule, and what would be accepted.
pub fn authorise_feed(
    caller: &Caller,
    active: &ActiveApproval,
    policies: &Policies,
    sections: &Sections,
) -> Result<ApprovedFeed, Refusal> {
    let approval = active.approval();
    let granted = approval.approval();
    policies.may(caller, Action::TakeFeed, Resource::Project(granted))?;
    checks::recipient(caller, granted)?;
    let unmet = |code, hint: String| Refusal::new(RefusalKind::Precondition, code, hint);
    granted.check_texts().map_err(|error| unmet("approval.text", error.to_string()))?;
    let feed = match (granted.tier, &granted.feed) {
        (Tier::RegisterFeed, Some(feed)) => feed.clone(),
        (tier, _) => {
            let hint = format!("the approval is for tier {}; a feed needs tier register_feed", tier.as_str());
            return Err(unmet("approval.tier", hint));
        }
    };
    if caller.name() != feed.register.as_str() {
        let hint = format!("the feed is for the node of register {}", feed.register);
        return Err(Refusal::new(RefusalKind::Denied, "feed.other_register", hint));
    }
    // Nasjonal kjernejournal stands under no section, so a register that the catalogue has one for is another.
    if let Some(known) = sections.of_register(&feed.register)
        && feed.basis.section() != Some(known)
    {
        let hint = format!(
            "the approval says that {} stands under {}, the catalogue of registers says {}; the approval must say the \
             same",
            feed.register,
            feed.basis.as_str(),
            known.as_str()
        );
        return Err(unmet("feed.other_section", hint));
    }
    let domain = policies.feed_domain(granted)?;
    Ok(ApprovedFeed {
        approval: approval.clone(),
        feed,
        caller: caller.clone(),
        domain,
        policy_digest: policies.digest(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::super::fixtures::{active, name, policies, sections};
    use super::*;
    use crate::domain::approval::{Approval, Purpose};
    use crate::domain::feed::FeedBasis;
    use crate::domain::feed::tests::approval;

    fn caller(role: Role, organisation: &str, register: &str) -> Caller {
        Caller::from_certificate(name(organisation), role, register.to_owned())
    }

    fn decide(caller: &Caller, change: impl FnOnce(&mut Approval)) -> Result<ApprovedFeed, Refusal> {
        let mut granted = approval();
        change(&mut granted);
        authorise_feed(caller, &active(granted)?, &policies(), &sections())
    }

    fn as_is<T>(_: &mut T) {}

    fn own() -> Caller {
        caller(Role::Partner, approval().recipients[0].as_str(), "NPR")
    }

    #[test]
    fn the_register_takes_its_own_feed_and_nobody_elses() {
        let approved = decide(&own(), as_is).unwrap();
        assert_eq!(
            (approved.feed().register.as_str(), approved.domain().as_str()),
            ("NPR", "health-services")
        );
        let recipient = approval().recipients[0].clone();
        for other in [
            caller(Role::Partner, recipient.as_str(), "DAR"),
            caller(Role::Partner, "NTRNO-111111111", "NPR"),
            caller(Role::Researcher, recipient.as_str(), "NPR"),
            caller(Role::Steward, recipient.as_str(), "NPR"),
        ] {
            assert_eq!(decide(&other, as_is).unwrap_err().code, "policy.not_permitted");
        }
    }

    #[test]
    fn a_feed_is_taken_under_its_own_tier_for_a_lawful_purpose() {
        let code = |change: fn(&mut Approval)| decide(&own(), change).unwrap_err().code;
        assert_eq!(code(|a| a.tier = Tier::ProtectedTables), "policy.no_feed");
        assert_eq!(code(|a| a.feed = None), "policy.no_feed");
        assert_eq!(code(|a| a.purpose = Purpose::Insurance), "policy.purpose_prohibited");
        assert_eq!(code(|a| a.purpose = Purpose::NationalSummaryRecord), "policy.no_feed");
        assert_eq!(code(|a| a.rule = name("tables-5")), "approval.text");
        assert_eq!(code(|a| a.feed.as_mut().unwrap().basis = FeedBasis::Section10), "feed.other_section");
        // NPR is not Nasjonal kjernejournal, whatever two stewards have signed.
        let journal = |a: &mut Approval| {
            a.purpose = Purpose::NationalSummaryRecord;
            a.feed.as_mut().unwrap().basis = FeedBasis::NationalSummaryRecord;
        };
        let refusal = decide(&own(), journal).unwrap_err();
        assert_eq!(refusal.code, "feed.other_section");
        assert!(refusal.hint.contains("NPR stands under national_summary_record"), "{}", refusal.hint);
    }
}
