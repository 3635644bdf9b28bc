//! How a method fits a rule, and what a query may ask of it.

use super::disclosure::unmet;
use crate::domain::method::{Cellkey, Method};
use crate::domain::query::Query;
use crate::domain::refusal::Refusal;
use crate::domain::rho::Rho;
use crate::domain::rule::Rule;

/// The cell-key noise that a method is, if it is one.
pub(super) const fn cellkey(method: &Method) -> Option<Cellkey> {
    match method {
        Method::Cellkey(cellkey) => Some(*cellkey),
        _ => None,
    }
}

/// Cell-key noise is one for a whole domain, so it cannot be made stricter for a rule; and it does not hide that all of a
/// group have an outcome, since the same persons have the same number.
pub(super) fn covers(method: Method, rule: &Rule) -> Result<(), Refusal> {
    let Some(noise) = cellkey(&method) else { return Ok(()) };
    let wide = noise.min_persons >= rule.min_persons() && noise.bound >= rule.min_range();
    if wide && !rule.group_disclosure() {
        return Ok(());
    }
    Err(unmet(
        "rule.stricter_than_noise",
        format!(
            "rule {} asks for more than the noise of these data gives, which shows numbers from {} persons, is at most {} \
             in size and does not hide that all of a group have an outcome; an approval under a rule with no more persons \
             in a cell, no wider ranges and without group disclosure would be accepted",
            rule.id(),
            noise.min_persons,
            noise.bound
        ),
    ))
}

/// The method with what a query asks to be stricter.
pub(super) fn tightened(method: Method, query: &Query) -> Result<Method, Refusal> {
    if !matches!(method, Method::Noise(_))
        && let Some(outcome) = query.outcomes.iter().find(|outcome| outcome.value.is_some())
    {
        return Err(unmet(
            "rule.value_without_noise",
            format!(
                "outcome {} asks for a statistic of values; its data are protected by the method {}, which is for counts \
                 of persons: leave `value` out, to count the persons who have an event",
                outcome.name,
                method.as_str()
            ),
        ));
    }
    match (method, query.min_persons, query.privacy_loss) {
        (Method::Suppress | Method::Fold | Method::Generalise(_), _, None)
        | (Method::Cellkey(_) | Method::Noise(_) | Method::AsApproved, None, None) => Ok(method),
        (
            Method::Suppress | Method::Fold | Method::Generalise(_) | Method::Cellkey(_) | Method::AsApproved,
            _,
            Some(_),
        ) => Err(unmet(
            "rule.no_noise",
            format!(
                "the query states a privacy loss; its data are protected by the method {}, which has none: leave it out",
                method.as_str()
            ),
        )),
        (Method::Cellkey(noise), Some(_), None) => Err(unmet(
            "rule.no_least_number",
            format!(
                "the query states a least number of persons; its data have cell-key noise, which shows no number from 1 \
                 to {} and is the same in every table, so that nothing averages out: leave it out",
                noise.min_persons.saturating_sub(1)
            ),
        )),
        (Method::AsApproved, Some(_), None) => Err(unmet(
            "rule.no_least_number",
            "the query states a least number of persons; its records are given as the approval grants them, and a person can \
             be alone with its values: leave it out",
        )),
        (Method::Noise(_), Some(_), _) => Err(unmet(
            "rule.no_least_number",
            "the query states a least number of persons; its data are protected by noise, which hides every person \
             alike: leave it out, or ask for more noise by a smaller privacy loss",
        )),
        (Method::Noise(noise), None, Some(asked)) if asked > noise.rho || asked == Rho::ZERO => Err(unmet(
            "rule.looser",
            format!(
                "a query's table costs rho = {} at most, and the query asks for {asked}; it may ask for less, and \
                 more than 0",
                noise.rho
            ),
        )),
        (Method::Noise(mut noise), None, Some(asked)) => {
            noise.rho = asked;
            Ok(Method::Noise(noise))
        }
    }
}
