//! What is measured of events, one value a person or some of a person's events. The bounds of what one person can
//! contribute are part of the plan that is carried out: what goes beyond them is never in a result.

use std::collections::HashMap;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, UInt32Type};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{ExprFunctionExt, lit, when};
use datafusion::prelude::{DataFrame, Expr, SessionContext, col};
use futures::TryStreamExt;

use super::cells::{PERSON, Placed, PlacedValue};
use super::error::ExecuteError;
use super::persons::{Cohort, SINCE, VALUE, followed};
use super::sources::Register;
use crate::domain::query::{OutcomeValue, ValueOf};
use crate::plan::{Measured, QueryPlan};

/// The number of an event among those of its person.
const NUMBER: &str = "number";

/// The values of the persons who are counted, each with its inner cell. A person without an event has no events, and
/// no value of a variable.
pub(super) async fn values(
    context: &SessionContext,
    plan: &QueryPlan,
    register: &Register,
    cohort: &Cohort,
    asked: &Measured,
    persons: &[Placed],
) -> Result<Vec<PlacedValue>, ExecuteError> {
    let (follow, value) = (&asked.follow, &asked.value);
    let variable = match &value.of {
        ValueOf::Events => None,
        ValueOf::Variable(variable) => Some(variable),
    };
    let events = followed(context, plan, register, cohort, follow, variable).await?;
    let rows = match variable {
        None => events.aggregate(vec![col(PERSON)], vec![count(col(SINCE)).alias(VALUE)])?,
        Some(_) => first_events(events, value)?,
    };
    let rows = rows.select(vec![col(PERSON), clamped(value)?.alias(VALUE)])?;

    let leaves: HashMap<u32, u32> = persons.iter().map(|placed| (placed.person.0, placed.leaf)).collect();
    let (mut values, mut seen) = (Vec::new(), HashMap::new());
    let mut stream = rows.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        let person = batch.column_by_name(PERSON).and_then(|c| c.as_primitive_opt::<UInt32Type>());
        let number = batch.column_by_name(VALUE).and_then(|c| c.as_primitive_opt::<Int64Type>());
        let wrong = ExecuteError::Engine("a column is missing or of another type");
        let (person, number) = person.zip(number).ok_or(wrong)?;
        for (person, value) in person.values().iter().zip(number.values()) {
            // One who is in no cell of the table counts in none of its measures.
            let Some(leaf) = leaves.get(person) else { continue };
            values.push((*leaf, *value));
            *seen.entry(*person).or_insert(0_u32) += 1;
        }
    }
    if seen.values().any(|values| *values > value.per_person().get()) {
        return Err(ExecuteError::Engine("a person has more values than the plan allows"));
    }
    if value.of == ValueOf::Events {
        let none = 0_i64.clamp(value.low, value.high);
        let without = leaves.iter().filter(|(person, _)| !seen.contains_key(*person));
        values.extend(without.map(|(_, leaf)| (*leaf, none)));
    }
    Ok(values)
}

/// The first events of each person that have a value, as many as count. The order is one of the person's own rows, so
/// nobody's rows change what is kept of another's.
fn first_events(events: DataFrame, value: &OutcomeValue) -> Result<DataFrame, ExecuteError> {
    let order = vec![col(SINCE).sort(true, false), col(VALUE).sort(true, false)];
    let number = row_number().partition_by(vec![col(PERSON)]).order_by(order).build()?;
    Ok(events
        .filter(col(VALUE).is_not_null())?
        .window(vec![number.alias(NUMBER)])?
        .filter(col(NUMBER).lt_eq(lit(u64::from(value.per_person().get()))))?)
}

/// The value, or the bound that it lies beyond.
fn clamped(value: &OutcomeValue) -> Result<Expr, ExecuteError> {
    let (low, high) = (lit(value.low), lit(value.high));
    Ok(when(col(VALUE).lt(low.clone()), low).when(col(VALUE).gt(high.clone()), high).otherwise(col(VALUE))?)
}
