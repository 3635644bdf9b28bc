//! The checks of a query against its approval, one rule each. A refusal names the rule and what the
//! approval would accept, in names of the approval and the catalogue.

use chrono::Days;

use crate::domain::approval::{Approval, Grant, Tier};
use crate::domain::canonical::Digest;
use crate::domain::ids::{DatasetId, RegisterId, VariableId};
use crate::domain::method::Method;
use crate::domain::period::Period;
use crate::domain::query::{Answer, Condition, Query, ValueOf};
use crate::domain::refusal::{Refusal, RefusalKind};

use super::caller::Caller;

fn unmet(code: &'static str, hint: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Precondition, code, hint)
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// The approval is the one of the project that the query names.
pub(super) fn project(query: &Query, approval: &Approval) -> Result<(), Refusal> {
    if query.project == approval.project {
        Ok(())
    } else {
        Err(unmet(
            "approval.other_project",
            format!("the approval is of project {}; the query must name that project", approval.project),
        ))
    }
}

/// The caller's organisation is a recipient. The policies say so too; this holds whatever they say.
pub(super) fn recipient(caller: &Caller, approval: &Approval) -> Result<(), Refusal> {
    if approval.recipients.contains(caller.organisation()) {
        Ok(())
    } else {
        Err(Refusal::new(
            RefusalKind::Denied,
            "approval.not_a_recipient",
            format!(
                "{} is not a recipient of project {}; the approval must name it",
                caller.organisation(),
                approval.project
            ),
        ))
    }
}

/// The approval is for the kind of result that the query asks for.
pub(super) fn tier(query: &Query, approval: &Approval) -> Result<(), Refusal> {
    let needed: &[Tier] = match query.result {
        Answer::Table => &[Tier::ProtectedTables],
        Answer::Microdata => &[Tier::AnonymousMicrodata, Tier::IndirectMicrodata],
        Answer::Feed => {
            return Err(unmet(
                "query.feed",
                "no query is answered with a feed: the register's own node takes it, under an approval of tier register_feed",
            ));
        }
    };
    if needed.contains(&approval.tier) {
        return Ok(());
    }
    let needed: Vec<&str> = needed.iter().map(|tier| tier.as_str()).collect();
    Err(unmet(
        "approval.tier",
        format!(
            "the approval is for tier {}; a query with the result {} needs tier {}",
            approval.tier.as_str(),
            query.result.as_str(),
            needed.join(" or ")
        ),
    ))
}

/// If the approval lists queries, this is one of them.
pub(super) fn listed(digest: &Digest, approval: &Approval) -> Result<(), Refusal> {
    if approval.queries.is_empty() || approval.queries.contains(digest) {
        Ok(())
    } else {
        Err(unmet(
            "approval.query_not_listed",
            format!(
                "the approval admits only the queries with these digests: {}; this one has {digest}",
                joined(&approval.queries)
            ),
        ))
    }
}

/// Every dataset is granted, with the variables used and the rows asked for.
pub(super) fn datasets(query: &Query, approval: &Approval) -> Result<(), Refusal> {
    let cohort = &query.cohort;
    dataset(approval, &cohort.register, &cohort.dataset, &[&cohort.index_date], &cohort.conditions)?;
    query.outcomes.iter().try_for_each(|outcome| {
        let measured = outcome.value.as_ref().and_then(|value| match &value.of {
            ValueOf::Events => None,
            ValueOf::Variable(variable) => Some(variable),
        });
        let used: Vec<&VariableId> = [&outcome.date].into_iter().chain(measured).collect();
        dataset(approval, &outcome.register, &outcome.dataset, &used, &outcome.conditions)
    })
}

fn dataset(
    approval: &Approval,
    register: &RegisterId,
    dataset: &DatasetId,
    used: &[&VariableId],
    conditions: &[Condition],
) -> Result<(), Refusal> {
    let grant = approval.grant(register, dataset).ok_or_else(|| {
        let granted = approval.grants.iter().map(|g| format!("{}/{}", g.register, g.dataset));
        unmet(
            "approval.dataset_not_granted",
            format!("{register}/{dataset} is not granted; granted are: {}", joined(granted)),
        )
    })?;
    let mut used = conditions.iter().map(|c| &c.variable).chain(used.iter().copied());
    if let Some(variable) = used.find(|variable| !grant.variables.contains(variable)) {
        return Err(unmet(
            "approval.variable_not_granted",
            format!(
                "{register}/{dataset}: variable {variable} is not granted; granted are: {}",
                joined(&grant.variables)
            ),
        ));
    }
    if grant.admits(conditions) {
        return Ok(());
    }
    Err(unmet(
        "approval.rows_not_granted",
        format!(
            "{register}/{dataset}: the query must keep to the rows granted, with each of these conditions \
             or a narrower one: {}",
            rows(grant)
        ),
    ))
}

fn rows(grant: &Grant) -> String {
    let conditions = grant.conditions.iter().map(|c| format!("{} in {}", c.variable, c.any_of.join("|")));
    conditions.collect::<Vec<_>>().join(" and ")
}

/// The cohort's period and the longest follow-up after it lie within the data period.
pub(super) fn period(query: &Query, approval: &Approval) -> Result<(), Refusal> {
    let asked = query.cohort.period;
    let follow_up = query.outcomes.iter().map(|o| o.within_days).max().unwrap_or(0);
    let needed = asked
        .to()
        .checked_add_days(Days::new(follow_up.into()))
        .and_then(|end| Period::new(asked.from(), end).ok())
        .ok_or_else(|| Refusal::new(RefusalKind::Invalid, "query.period", "the period is not a real one"))?;
    if approval.data_period.covers(&needed) {
        return Ok(());
    }
    Err(unmet(
        "approval.period_not_granted",
        format!(
            "the query is about {} to {}, {follow_up} days of follow-up included; the approval covers {} to {}",
            needed.from(),
            needed.to(),
            approval.data_period.from(),
            approval.data_period.to()
        ),
    ))
}

/// Every dimension is granted with its code list.
pub(super) fn dimensions(query: &Query, approval: &Approval) -> Result<(), Refusal> {
    match query.by.iter().find(|by| !approval.dimensions.contains(by)) {
        None => Ok(()),
        Some(by) => {
            let granted = approval.dimensions.iter().map(|g| format!("{} by {}", g.variable, g.code_list));
            Err(unmet(
                "approval.dimension_not_granted",
                format!(
                    "dimension {} by {} is not granted; granted are: {}",
                    by.variable,
                    by.code_list,
                    joined(granted)
                ),
            ))
        }
    }
}

/// A project whose results have noise has a budget for them.
pub(super) fn budget(method: Method, approval: &Approval) -> Result<(), Refusal> {
    match method {
        Method::Noise(noise) if approval.privacy_budget.is_none() => Err(unmet(
            "approval.no_privacy_budget",
            format!(
                "the approval has no privacy budget, and its data are released with noise that costs up to rho = {} a \
                 query; an approval with a privacy_budget would be accepted",
                noise.rho
            ),
        )),
        _ => Ok(()),
    }
}
