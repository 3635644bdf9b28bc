//! From an approved feed to what is read for it.

use super::catalogue::{Catalogue, RegisterSource, VariableKind, VariableRole};
use super::error::PlanError;
use super::validate;
use crate::authorise::ApprovedFeed;
use crate::domain::approval::Grant;
use crate::domain::ids::{DatasetId, VariableId};
use crate::domain::query::Condition;

/// What is read of a dataset for a feed: what the approval grants, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedDataset {
    /// The dataset.
    pub dataset: DatasetId,
    /// Its granted variables, in the order of the approval.
    pub variables: Vec<VariableId>,
    /// What a row must fulfil: every condition.
    pub conditions: Vec<Condition>,
    /// The date that must lie in the data period: the first that is granted.
    pub date: VariableId,
}

/// An approved feed, every name of which is in the catalogue. Made only by [`plan_feed`]:
///
/// ```compile_fail,E0451
/// fn forge(honest: kpr::plan::FeedPlan) -> kpr::plan::FeedPlan {
///     kpr::plan::FeedPlan { datasets: Vec::new(), ..honest }
/// }
/// ```
///
/// ```compile_fail,E0308
/// fn of_query(query: kpr::authorise::ApprovedQuery, catalogue: &kpr::plan::Catalogue) {
///     let _ = kpr::plan::plan_feed(query, catalogue);
/// }
/// ```
#[derive(Debug, Clone)]
pub struct FeedPlan {
    approved: ApprovedFeed,
    datasets: Vec<FeedDataset>,
}

impl FeedPlan {
    /// The feed that it is for.
    #[must_use]
    pub const fn approved(&self) -> &ApprovedFeed {
        &self.approved
    }

    /// What is read.
    #[must_use]
    pub fn datasets(&self) -> &[FeedDataset] {
        &self.datasets
    }
}

/// Checks every name that the approval of a feed grants.
///
/// # Errors
/// [`PlanError`]: what is unknown or identifies persons, and what would be accepted.
pub fn plan_feed(approved: ApprovedFeed, catalogue: &Catalogue) -> Result<FeedPlan, PlanError> {
    let grants = &approved.approval().approval().grants;
    let datasets = grants.iter().map(|grant| granted(grant, catalogue)).collect::<Result<_, _>>()?;
    Ok(FeedPlan { approved, datasets })
}

fn granted(grant: &Grant, catalogue: &Catalogue) -> Result<FeedDataset, PlanError> {
    let register = validate::register(&grant.register, catalogue)?;
    if register.source != RegisterSource::Own {
        let own = catalogue.registers().filter(|r| r.source == RegisterSource::Own).map(|r| &r.id);
        return Err(PlanError::Register { asked: register.id.clone(), accepted: validate::listed(own) });
    }
    let dataset = validate::dataset(register, &grant.dataset)?;
    let mut date = None;
    for id in &grant.variables {
        let usable = dataset.variables.iter().filter(|v| v.role != VariableRole::Identifying);
        let variable = usable.clone().find(|v| v.id == *id).ok_or_else(|| PlanError::Variable {
            dataset: dataset.id.clone(),
            asked: id.clone(),
            accepted: validate::listed(usable.map(|v| &v.id)),
        })?;
        if variable.kind == VariableKind::Date {
            date = date.or(Some(id));
        }
    }
    grant.conditions.iter().try_for_each(|condition| validate::condition(dataset, condition))?;
    let date = date.cloned().ok_or_else(|| PlanError::NoDate {
        dataset: dataset.id.clone(),
        accepted: validate::listed(
            dataset.variables.iter().filter(|v| v.kind == VariableKind::Date).map(|v| &v.id),
        ),
    })?;
    Ok(FeedDataset {
        dataset: dataset.id.clone(),
        variables: grant.variables.clone(),
        conditions: grant.conditions.clone(),
        date,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::authorise::fixtures::{active, name, policies, sections};
    use crate::authorise::{Caller, Role, authorise_feed};
    use crate::domain::approval::Approval;
    use crate::domain::feed::tests::approval;

    fn planned(change: impl FnOnce(&mut Approval)) -> Result<FeedPlan, PlanError> {
        let mut granted = approval();
        change(&mut granted);
        let caller = Caller::from_certificate(granted.recipients[0].clone(), Role::Partner, "NPR".to_owned());
        let approved = authorise_feed(&caller, &active(granted).unwrap(), &policies(), &sections()).unwrap();
        let catalogue = Catalogue::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap();
        plan_feed(approved, &catalogue)
    }

    #[test]
    fn what_is_granted_is_read_and_must_exist() {
        let plan = planned(|_| ()).unwrap();
        let [contacts] = plan.datasets() else { panic!("one dataset is granted") };
        assert_eq!(contacts.date.as_str(), "dato");
        assert_eq!(contacts.variables, approval().grants[0].variables);
        let code = |change: fn(&mut Approval)| {
            crate::domain::refusal::Refusal::from(planned(change).unwrap_err()).code
        };
        assert_eq!(code(|a| a.grants[0].dataset = name("kuhr")), "plan.unknown_dataset");
        assert_eq!(code(|a| a.grants[0].variables.push(name("fnr"))), "plan.unknown_variable");
        assert_eq!(code(|a| a.grants[0].variables.retain(|v| v.as_str() != "dato")), "plan.no_date");
        assert_eq!(code(|a| a.grants[0].conditions[0].any_of.push("99".to_owned())), "plan.unknown_code");
    }
}
