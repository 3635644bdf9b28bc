//! Privacy losses that are too small for what is asked, found out from the plan alone.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::authorise::fixtures::{approved_with_noise, query};
use crate::domain::query::{Query, ValueOf};
use crate::plan::{Catalogue, plan};

/// The example question with this privacy loss, and statistics of the first outcome's values.
fn asked(loss: &str, statistics: &[Statistic], high: i64) -> Query {
    let mut query = query();
    query.privacy_loss = Some(loss.parse().unwrap());
    query.outcomes.truncate(1);
    let first = query.outcomes[0].clone();
    for (at, &statistic) in statistics.iter().enumerate() {
        let mut outcome = first.clone();
        outcome.name = format!("value_{at}").try_into().unwrap();
        let of = ValueOf::Variable("refusjon_ore".to_owned().try_into().unwrap());
        outcome.value = Some(OutcomeValue { of, statistic, low: 0, high, events: Some(1000) });
        query.outcomes.push(outcome);
    }
    query
}

fn checked(query: Query) -> Result<(), TooLittleLoss> {
    let catalogue = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies"));
    let places = BTreeSet::from(["0301".to_owned()]);
    suffices(&plan(approved_with_noise(query), &Catalogue::load(catalogue).unwrap(), &places).unwrap())
}

#[test]
fn a_loss_that_cannot_be_divided_among_the_measures_is_refused_by_name() {
    assert_eq!(checked(asked("0.000000001", &[], 10)), Ok(()));
    let refused = checked(asked("0.000000002", &[Statistic::Sum], 10)).unwrap_err();
    assert_eq!((refused.rho.to_string().as_str(), refused.measures), ("0.000000002", 3));
    assert!(refused.to_string().contains("rho = 0.000000002 for 3 measures"), "{refused}");
    // A median has seven parts, a mean two.
    assert!(checked(asked("0.000000018", &[Statistic::Median], 1_000_000)).is_err());
    assert_eq!(checked(asked("0.000000021", &[Statistic::Median], 1_000_000)), Ok(()));
    assert!(checked(asked("0.000000005", &[Statistic::Mean], 10)).is_err());
    assert_eq!(checked(asked("0.000000006", &[Statistic::Mean], 10)), Ok(()));
}

/// A thousand events a person of up to ten million each: at a small loss noise beyond 2^38.
#[test]
fn a_loss_too_small_for_the_bounds_is_refused_and_a_greater_one_not() {
    for statistic in [Statistic::Sum, Statistic::Mean] {
        assert!(checked(asked("0.00001", &[statistic], 1_000_000)).is_err(), "{statistic:?}");
        assert_eq!(checked(asked("0.01", &[statistic], 1_000_000)), Ok(()), "{statistic:?}");
    }
    // Narrower bounds, as the refusal says.
    assert_eq!(checked(asked("0.00001", &[Statistic::Sum], 10_000)), Ok(()));
}
