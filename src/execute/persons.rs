//! The one relation that the table is counted from: one row a person.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, UInt32Type};
use arrow::record_batch::RecordBatch;
use datafusion::functions_aggregate::expr_fn::{first_value, min};
use datafusion::logical_expr::{JoinType, ScalarUDF, cast, lit};
use datafusion::prelude::{DataFrame, Expr, SessionContext, col};

use super::cells::{AGE, MUNICIPALITY, PERSON, SEX, days};
use super::error::ExecuteError;
use super::expressions;
use super::sources::Register;
use crate::domain::ids::{DatasetId, VariableId};
use crate::domain::query::Condition;
use crate::linkage::Linked;
use crate::plan::{Follow, QueryPlan};

/// The columns of an event: the days since the index date, and the value of a variable.
pub(super) const SINCE: &str = "since";
pub(super) const VALUE: &str = "value";

/// The datasets that say who persons are and where they live.
pub(super) const OF_PERSONS: [&str; 2] = ["population", "residence"];

/// The cohort: each person once, with the index date.
pub(super) struct Cohort {
    index: DataFrame,
    in_cohort: ScalarUDF,
    /// How many persons it has.
    pub(super) persons: u64,
}

/// Brings linked rows together: a person's index date is the earliest date in the period, whatever
/// number the person had at each event.
pub(super) async fn cohort(
    context: &SessionContext,
    plan: &QueryPlan,
    linked: Linked,
) -> Result<Cohort, ExecuteError> {
    let asked = &plan.approved().query().cohort;
    let batches: Vec<RecordBatch> = linked.batches().iter().map(|b| b.record_batch().clone()).collect();
    let rows = context.read_batch(RecordBatch::new_empty(linked.schema()))?;
    let rows = if batches.is_empty() { rows } else { context.read_batches(batches)? };
    let date = || col(asked.index_date.as_str());
    let first = rows
        .filter(date().between(expressions::date(asked.period.from()), expressions::date(asked.period.to())))?
        .aggregate(vec![col("person_no").alias(PERSON)], vec![min(date()).alias("index_date")])?;
    let schema = Arc::new(first.schema().as_arrow().clone());
    let batches = first.collect().await?;

    let persons = batches
        .iter()
        .map(|b| b.column_by_name(PERSON).and_then(|c| c.as_primitive_opt::<UInt32Type>()))
        .collect::<Option<Vec<_>>>()
        .ok_or(ExecuteError::Engine("a column is missing or of another type"))?;
    let in_cohort = expressions::in_cohort(persons.iter().flat_map(|c| c.values().iter().copied()));
    let persons = persons.iter().map(|c| c.values().len() as u64).sum();
    let index = if batches.is_empty() {
        context.read_batch(RecordBatch::new_empty(schema))?
    } else {
        context.read_batches(batches)?
    };
    Ok(Cohort { index, in_cohort, persons })
}

/// The rows of a dataset that belong to the cohort and fulfil `conditions`.
async fn rows(
    context: &SessionContext,
    register: &Register,
    cohort: &Cohort,
    dataset: &DatasetId,
    date: Option<&str>,
    conditions: impl FnOnce(&DataFrame) -> Result<Vec<Expr>, ExecuteError>,
) -> Result<DataFrame, ExecuteError> {
    let rows = register.dataset(context, dataset, date).await?;
    let member = cohort.in_cohort.call(vec![col("person_no")]);
    let all = conditions(&rows)?.into_iter().fold(member, Expr::and);
    Ok(rows.filter(all)?)
}

/// Each person of the cohort that the population knows: sex, age and municipality (those of them that are
/// dimensions), and the days to the first event of each search.
pub(super) async fn rows_of_persons(
    context: &SessionContext,
    plan: &QueryPlan,
    register: &Register,
    cohort: &Cohort,
) -> Result<DataFrame, ExecuteError> {
    let has = |name: &str| plan.shape().dimensions.iter().any(|d| d.variable.as_str() == name);

    let population = population(context, register, cohort).await?;
    let mut persons =
        cohort.index.clone().join(population, JoinType::Inner, &[PERSON], &["known_person"], None)?;
    if has(MUNICIPALITY) {
        let homes = homes(context, register, cohort).await?;
        persons = persons.join(homes, JoinType::Left, &[PERSON], &["home_person"], None)?;
    }
    for (number, follow) in plan.follows().iter().enumerate() {
        let events = events(context, plan, register, cohort, number, follow).await?;
        let person = format!("event_person_{number}");
        persons = persons.join(events, JoinType::Left, &[PERSON], &[person.as_str()], None)?;
    }

    let mut columns = vec![col(PERSON)];
    if has(SEX) {
        columns.push(col(SEX));
    }
    if has(AGE) {
        columns.push(expressions::age_at().call(vec![col("birth_date"), col("index_date")]).alias(AGE));
    }
    if has(MUNICIPALITY) {
        columns.push(col(MUNICIPALITY));
    }
    columns.extend((0..plan.follows().len()).map(|number| col(days(number))));
    Ok(persons.select(columns)?)
}

/// Sex and date of birth of those of the cohort who are in the population: one row a person, whatever
/// the snapshot holds.
async fn population(
    context: &SessionContext,
    register: &Register,
    cohort: &Cohort,
) -> Result<DataFrame, ExecuteError> {
    let rows = rows(context, register, cohort, &dataset("population")?, None, |_| Ok(Vec::new())).await?;
    Ok(rows.aggregate(
        vec![col("person_no").alias("known_person")],
        vec![min(col(SEX)).alias(SEX), min(col("birth_date")).alias("birth_date")],
    )?)
}

/// The municipality of each person on the index date: the residence that began last, where several are
/// stated.
async fn homes(
    context: &SessionContext,
    register: &Register,
    cohort: &Cohort,
) -> Result<DataFrame, ExecuteError> {
    let rows = rows(context, register, cohort, &dataset("residence")?, Some("from_date"), |_| Ok(Vec::new()))
        .await?;
    let on_index = col("from_date")
        .lt_eq(col("index_date"))
        .and(col("to_date").is_null().or(col("to_date").gt_eq(col("index_date"))));
    let latest = vec![col("from_date").sort(false, false), col(MUNICIPALITY).sort(true, false)];
    Ok(cohort
        .index
        .clone()
        .join(rows, JoinType::Inner, &[PERSON], &["person_no"], Some(on_index))?
        .aggregate(
            vec![col(PERSON).alias("home_person")],
            vec![first_value(col(MUNICIPALITY), latest).alias(MUNICIPALITY)],
        )?)
}

/// The days from the index date to the first event, of those who have one within the longest window.
async fn events(
    context: &SessionContext,
    plan: &QueryPlan,
    register: &Register,
    cohort: &Cohort,
    number: usize,
    follow: &Follow,
) -> Result<DataFrame, ExecuteError> {
    let events = followed(context, plan, register, cohort, follow, None).await?;
    Ok(events.aggregate(
        vec![col(PERSON).alias(format!("event_person_{number}"))],
        vec![min(col(SINCE)).alias(days(number))],
    )?)
}

/// The events of a search within its longest window: each with its person, the days since the index date
/// and, where one is asked for, the value of a variable.
pub(super) async fn followed(
    context: &SessionContext,
    plan: &QueryPlan,
    register: &Register,
    cohort: &Cohort,
    follow: &Follow,
    variable: Option<&VariableId>,
) -> Result<DataFrame, ExecuteError> {
    let date = follow.date.as_str();
    let period = plan.approved().query().cohort.period;
    let last = period.to() + chrono::Days::new(u64::from(follow.longest()));
    let in_time = col(date).between(expressions::date(period.from()), expressions::date(last));
    let conditions = |rows: &DataFrame| {
        let coded = follow.conditions.iter().map(|c| holds(rows, c, follow));
        coded.chain([Ok(in_time)]).collect()
    };
    let rows = rows(context, register, cohort, &follow.dataset, Some(date), conditions).await?;
    let value = variable.map(|variable| cast(col(variable.as_str()), DataType::Int64).alias(VALUE));
    let event = [col("person_no").alias("event_person"), col(date).alias("event_date")];
    let rows = rows.select(event.into_iter().chain(value).collect::<Vec<_>>())?;
    let day = |name: &str| cast(col(name), DataType::Int32);
    let since = day("event_date") - day("index_date");
    let followed = since.clone().gt_eq(lit(0)).and(since.clone().lt_eq(lit(i32::from(follow.longest()))));
    let value = variable.map(|_| col(VALUE));
    let events =
        cohort.index.clone().join(rows, JoinType::Inner, &[PERSON], &["event_person"], Some(followed))?;
    Ok(events.select([col(PERSON), since.alias(SINCE)].into_iter().chain(value).collect::<Vec<_>>())?)
}

/// That a condition holds, its codes as values of the column's own type.
pub(super) fn holds(rows: &DataFrame, condition: &Condition, follow: &Follow) -> Result<Expr, ExecuteError> {
    let name = condition.variable.as_str();
    let wrong = || ExecuteError::CodeType { dataset: follow.dataset.clone(), variable: name.to_owned() };
    let field = rows.schema().field_with_unqualified_name(name).map_err(|_| wrong())?;
    let codes = condition.any_of.iter().map(|code| expressions::code(code, field.data_type()));
    let codes = codes.collect::<Option<Vec<Expr>>>().ok_or_else(wrong)?;
    Ok(col(name).in_list(codes, false))
}

fn dataset(name: &str) -> Result<DatasetId, ExecuteError> {
    DatasetId::new(name).map_err(|_| ExecuteError::Engine("a dataset has no valid name"))
}
