//! The engine beside a plain computation of the same question.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use chrono::{Datelike, Days, NaiveDate, TimeDelta};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::ParquetSource;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::source::DataSourceExec;
use proptest::prelude::*;

use super::sources::Register;
use super::testing::{Contact, Home, World, refund};
use super::{Counted, Engine, ExecuteError};
use crate::authorise::fixtures::{approved, approved_with_noise, condition, name, query};
use crate::domain::ids::PersonNo;
use crate::domain::order::LinkageOrder;
use crate::domain::query::{OutcomeValue, Query, Statistic, ValueOf};
use crate::domain::table::TableShape;
use crate::linkage::testing::{linked_persons, now};
use crate::plan::{Catalogue, QueryPlan, plan};
use crate::registers::Snapshot;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn planned(query: Query, municipalities: &BTreeSet<String>) -> QueryPlan {
    let catalogue = Catalogue::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies"))).unwrap();
    plan(approved(query), &catalogue, municipalities).unwrap()
}

fn engine(folder: &Path) -> Engine {
    Engine::new(256, folder, NonZeroUsize::new(2).unwrap()).unwrap()
}

fn order(plan: &QueryPlan) -> LinkageOrder {
    plan.order(
        name(&format!("o-{}", "a".repeat(32))),
        name(&format!("r-{}", "b".repeat(32))),
        now(),
        TimeDelta::minutes(5),
    )
}

async fn run(
    plan: &QueryPlan,
    events: &[(u32, NaiveDate)],
    snapshot: &Snapshot,
) -> Result<super::Protected<Counted>, ExecuteError> {
    let scratch = tempfile::tempdir().unwrap();
    engine(scratch.path()).run(plan, linked_persons(order(plan), events).await, snapshot).await
}

/// The count at the codes of a cell, for a measure.
fn at(shape: &TableShape, counts: &[u64], codes: &[&str], measure: usize) -> u64 {
    let positions = shape.dimensions.iter().zip(codes).map(|(d, code)| d.codes.position(code).unwrap());
    counts[shape.cell(&positions.collect::<Vec<_>>()) * shape.measures.len() + measure]
}

/// The same question the plain way: person by person, margins by membership.
fn plain(world: &World, events: &[(u32, NaiveDate)], shape: &TableShape) -> (Vec<u64>, u64, u64) {
    let mut index: HashMap<u32, NaiveDate> = HashMap::new();
    for (person, date) in events.iter().filter(|e| !PersonNo(e.0).is_unknown()) {
        let first = index.entry(*person).or_insert(*date);
        *first = (*first).min(*date);
    }
    let unknown: BTreeSet<u32> = events.iter().map(|e| e.0).filter(|p| PersonNo(*p).is_unknown()).collect();
    let (mut counts, mut matched, mut nowhere) = (vec![0; shape.cells() * shape.measures.len()], 0, 0);
    for (person, index) in index {
        let Some((_, sex, born)) = world.population.iter().find(|p| p.0 == person) else {
            nowhere += 1;
            continue;
        };
        matched += 1;
        let had_birthday = (index.month(), index.day()) >= (born.month(), born.day());
        let age = index.year() - born.year() - i32::from(!had_birthday);
        let band = match age {
            0..=17 => "0-17",
            18..=44 => "18-44",
            45..=66 => "45-66",
            _ => "67+",
        };
        let there = |h: &&Home| h.0 == person && h.2 <= index && h.3.is_none_or(|to| to >= index);
        let home = world.homes.iter().filter(there).max_by_key(|h| (h.2, std::cmp::Reverse(h.1)));
        let home = home.map_or("9999", |h| h.1);
        let codes = [
            ["Total", if *sex == 1 { "1" } else { "2" }, ""],
            ["Total", band, ""],
            ["Total", if home == "9999" { "99" } else { &home[..2] }, home],
        ];
        let seen = |within: u64| {
            world.contacts.iter().any(|c| {
                c.0 == Some(person)
                    && c.2 == 1
                    && c.3 == 3
                    && c.1 >= index
                    && c.1 <= index + Days::new(within)
            })
        };
        let has = [true, seen(30), seen(90), seen(180)];
        for sex in &codes[0][..2] {
            for age in &codes[1][..2] {
                for region in codes[2] {
                    let at = [(0, *sex), (1, *age), (2, region)];
                    let at = at.map(|(d, code)| shape.dimensions[d].codes.position(code).unwrap());
                    for (measure, has) in has.iter().enumerate() {
                        counts[shape.cell(&at) * has_len(shape) + measure] += u64::from(*has);
                    }
                }
            }
        }
    }
    (counts, matched, unknown.len() as u64 + nowhere)
}

fn has_len(shape: &TableShape) -> usize {
    shape.measures.len()
}

#[tokio::test]
async fn each_person_counts_once_at_the_first_event_and_without_contacts_too() {
    let born = day("1980-03-01");
    let always = |person, municipality| (person, municipality, day("1990-01-01"), None);
    let world = World {
        population: vec![(1, 1, born), (2, 2, born), (3, 2, day("2006-05-01")), (4, 1, born), (5, 1, born)],
        homes: vec![
            always(1, "0301"),
            // Moved on the index date: the residence that began last holds.
            (2, "0301", day("2000-01-01"), Some(day("2024-03-01"))),
            (2, "1103", day("2024-03-01"), None),
            // Moved in only after the index date.
            (3, "1103", day("2024-05-02"), None),
            always(4, "0301"),
        ],
        contacts: vec![
            (Some(1), day("2024-01-31"), 1, 3),
            (Some(2), day("2024-02-29"), 1, 3),
            (Some(2), day("2024-03-01"), 2, 3),
            (Some(2), day("2024-03-01"), 1, 2),
            (Some(2), day("2024-05-30"), 1, 3),
            (Some(3), day("2024-10-28"), 1, 3),
            (Some(4), day("2025-06-29"), 1, 3),
            (None, day("2024-02-01"), 1, 3),
        ],
    };
    let events = [
        (1, day("2024-06-01")),
        (1, day("2024-01-01")),
        (2, day("2024-03-01")),
        (3, day("2024-05-01")),
        (4, day("2024-12-31")),
        // In no population; and unknown to the identity service, twice.
        (77, day("2024-01-01")),
        (PersonNo::FIRST_UNKNOWN, day("2024-01-01")),
        (PersonNo::FIRST_UNKNOWN, day("2024-02-01")),
    ];
    let folder = tempfile::tempdir().unwrap();
    let snapshot = world.snapshot(folder.path(), 2024..=2025);
    let plan = planned(query(), snapshot.municipalities());
    let sealed = run(&plan, &events, &snapshot).await.unwrap();
    let Counted { counts, tally, persons, .. } = sealed.peek();
    assert_eq!(persons.len(), 4);
    let at = |codes: &[&str], measure| at(plan.shape(), counts, codes, measure);
    assert_eq!([0, 1, 2, 3].map(|m| at(&["Total", "Total", "Total"], m)), [4, 1, 2, 4]);
    assert_eq!(at(&["1", "18-44", "0301"], 0), 2);
    assert_eq!(at(&["1", "18-44", "0301"], 1), 1);
    assert_eq!(at(&["2", "18-44", "1103"], 0), 1);
    assert_eq!(at(&["2", "18-44", "1103"], 1), 0);
    assert_eq!(at(&["2", "18-44", "11"], 2), 1);
    // Eighteen on the day itself, and with no known residence.
    assert_eq!(at(&["2", "18-44", "9999"], 3), 1);
    assert_eq!((tally.matched, tally.unknown), (4, 2));
    assert_eq!(plain(&world, &events, plan.shape()), (counts.clone(), 4, 2));
}

#[tokio::test]
async fn fewer_dimensions_and_an_empty_cohort_are_counted_too() {
    let world = World {
        population: vec![(1, 1, day("1980-03-01")), (2, 0, day("1980-03-01"))],
        homes: vec![(1, "0301", day("1990-01-01"), None)],
        contacts: vec![(Some(1), day("2024-01-31"), 1, 3)],
    };
    let folder = tempfile::tempdir().unwrap();
    let snapshot = world.snapshot(folder.path(), 2024..=2025);
    let events = [(1, day("2024-01-01")), (2, day("2024-01-01"))];
    for (by, expected, unknown) in [(vec![], 2, 0), (vec![0], 1, 1), (vec![1], 2, 0), (vec![2], 2, 0)] {
        let all = query();
        let by = by.into_iter().map(|d: usize| all.by[d].clone()).collect();
        let plan = planned(Query { by, ..query() }, snapshot.municipalities());
        let sealed = run(&plan, &events, &snapshot).await.unwrap();
        assert_eq!(sealed.peek().counts[..2], [expected, 1]);
        assert_eq!(
            sealed.peek().tally.unknown,
            unknown,
            "a person of unknown sex is in no cell of a table by sex"
        );
        let nobody = run(&plan, &[], &snapshot).await.unwrap();
        assert!(nobody.peek().counts.iter().all(|n| *n == 0));
        assert_eq!(nobody.peek().tally.matched, 0);
    }
}

#[tokio::test]
async fn days_that_nobody_delivered_are_not_days_without_contacts() {
    let world = World { population: vec![(1, 1, day("1980-03-01"))], ..World::default() };
    let folder = tempfile::tempdir().unwrap();
    let snapshot = world.snapshot(folder.path(), 2024..=2024);
    let plan = planned(query(), snapshot.municipalities());
    let refusal = run(&plan, &[(1, day("2024-01-01"))], &snapshot).await.err().unwrap();
    assert!(refusal.to_string().contains("2025-06-29"), "{refusal}");
}

#[tokio::test]
async fn a_code_that_its_column_cannot_hold_is_refused_without_being_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = World::default().snapshot(folder.path(), 2024..=2025);
    let plan = planned(query(), snapshot.municipalities());
    let mut follow = plan.follows()[0].clone();
    follow.conditions = vec![condition("tjenestetype", &["1a"])];
    let context = datafusion::prelude::SessionContext::new();
    let register = Register { snapshot, indexes: Arc::default() };
    let rows = register.dataset(&context, &follow.dataset, Some("dato")).await.unwrap();
    let refusal = super::persons::holds(&rows, &follow.conditions[0], &follow).unwrap_err().to_string();
    assert!(refusal.contains("tjenestetype") && !refusal.contains("1a"), "{refusal}");
}

#[test]
fn the_engine_empties_its_own_scratch_folder_and_no_other() {
    let scratch = tempfile::tempdir().unwrap();
    let (own, other) = (scratch.path().join("engine/left"), scratch.path().join("other"));
    std::fs::create_dir(scratch.path().join("engine")).unwrap();
    std::fs::write(&own, "rows").unwrap();
    std::fs::write(&other, "kept").unwrap();
    engine(scratch.path());
    assert!(!own.exists() && other.exists());
}

/// Plans outside the engine's own threads, with room for it.
fn with_stack(work: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(16 * 1024 * 1024)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(runtime.spawn(work)).unwrap();
}

#[test]
fn the_reader_drops_other_persons_first_and_reads_no_other_column() {
    with_stack(async {
        let world = World {
            population: vec![(1, 1, day("1980-03-01"))],
            homes: vec![(1, "0301", day("1990-01-01"), None)],
            // Of 41 persons.
            contacts: (1..=41)
                .flat_map(|p| ["2024-01-31", "2025-01-31"].map(|d| (Some(p), day(d), 1, 3)))
                .collect(),
        };
        let (folder, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let snapshot = world.snapshot(folder.path(), 2024..=2025);
        let plan = planned(query(), snapshot.municipalities());
        let linked = linked_persons(order(&plan), &[(1, day("2024-01-01"))]).await;
        let engine = engine(scratch.path());
        let context = engine.context();
        let register = engine.register(&snapshot);
        let cohort = super::persons::cohort(&context, &plan, linked).await.unwrap();
        let rows = super::persons::rows_of_persons(&context, &plan, &register, &cohort).await.unwrap();
        let physical = rows.create_physical_plan().await.unwrap();
        let text = datafusion::physical_plan::displayable(physical.as_ref()).indent(true).to_string();
        let scans: Vec<&str> = text.lines().filter(|line| line.contains("file_type=parquet")).collect();
        assert_eq!(scans.len(), 3, "{text}");
        assert!(scans.iter().all(|scan| scan.contains("predicate=in_cohort(person_no@0)")), "{text}");
        let contacts = scans.iter().find(|scan| scan.contains("dato@1 as event_date")).unwrap();
        assert!(
            contacts.contains("projection=[person_no@0 as event_person, dato@1 as event_date]"),
            "{text}"
        );
        assert!(contacts.contains("predicate=in_cohort(person_no@0) AND "), "{text}");
        assert!(contacts.contains("tjenestetype@3 = 1"), "the code has the column's type: {text}");
        assert!(!text.contains("FilterExec"), "{text}");
        assert!(!text.contains("mode=Partitioned"), "{text}");

        let mut read = Vec::new();
        physical
            .apply(|node| {
                if let Some((scan, _)) = node
                    .downcast_ref::<DataSourceExec>()
                    .and_then(DataSourceExec::downcast_to_file_source::<ParquetSource>)
                {
                    let files = scan.file_groups.iter().flat_map(|group| group.iter());
                    read.extend(
                        files.map(|f| f.extension::<ParquetRowSelection>().unwrap().selection().row_count()),
                    );
                }
                Ok(TreeNodeRecursion::Continue)
            })
            .unwrap();
        read.sort_unstable();
        assert_eq!(read, [1, 1, 1, 1], "rows of others are not read");
    });
}

const MUNICIPALITIES: [&str; 4] = ["0301", "1103", "1108", "5601"];

fn dates(from: &str, days: u64) -> impl Strategy<Value = NaiveDate> {
    let from = day(from);
    (0..=days).prop_map(move |n| from + Days::new(n))
}

fn world() -> impl Strategy<Value = World> {
    let population =
        proptest::collection::btree_map(0_u32..40, (1_u8..=2, dates("1920-01-01", 37_000)), 0..40);
    let home = (0_u32..40, 0..4_usize, dates("2023-06-01", 700), proptest::option::of(0_u64..400));
    let home = home.prop_map(|(person, place, from, length)| {
        (person, MUNICIPALITIES[place], from, length.map(|n| from + Days::new(n)))
    });
    let homes = proptest::collection::vec(home, 0..60);
    let contact = (proptest::option::weighted(0.95, 0_u32..45), dates("2024-01-01", 730), 1_u8..3, 2_u8..4);
    let contacts = proptest::collection::vec(contact, 0..200);
    (population, homes, contacts).prop_map(|(people, homes, contacts)| World {
        population: people.into_iter().map(|(person, (sex, born))| (person, sex, born)).collect(),
        homes,
        contacts,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_engine_counts_as_the_plain_way(
        world in world(),
        events in proptest::collection::vec((0_u32..45, dates("2024-01-01", 365)), 0..60),
        strangers in 0_u32..3,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = world.snapshot(folder.path(), 2024..=2025);
        let places = MUNICIPALITIES.map(str::to_owned).into_iter().collect();
        let plan = planned(query(), &places);
        let strangers = (0..strangers).map(|n| (PersonNo::FIRST_UNKNOWN + n, day("2024-04-01")));
        let events: Vec<_> = events.into_iter().chain(strangers).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sealed = runtime.block_on(run(&plan, &events, &snapshot)).unwrap();
        let Counted { counts, tally, persons, .. } = sealed.peek();
        let distinct: BTreeSet<u32> = persons.iter().map(|placed| placed.person.0).collect();
        prop_assert_eq!((persons.len() as u64, distinct.len()), (counts[0], persons.len()));
        let (expected, matched, unknown) = plain(&world, &events, plan.shape());
        prop_assert_eq!(counts, &expected);
        prop_assert_eq!((tally.matched, tally.unknown), (matched, unknown));
    }
}

/// A mean of events and a median of refunds, with bounds that many a person is beyond.
fn measuring() -> Query {
    let mut query = query();
    query.outcomes.truncate(3);
    let value = |of, statistic, low, high, events| Some(OutcomeValue { of, statistic, low, high, events });
    query.outcomes[0].value = value(ValueOf::Events, Statistic::Mean, 1, 3, None);
    let refunds = ValueOf::Variable(name("refusjon_ore"));
    query.outcomes[1].value = value(refunds, Statistic::Median, 5_000, 20_000, Some(2));
    query
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The values of each person, worked out from its own contacts alone: no more of them than the bounds say, none
    /// beyond its own, in the person's cell; nothing for one who is in no cell.
    #[test]
    fn what_is_measured_keeps_to_the_bounds_of_one_person(
        world in world(),
        events in proptest::collection::vec((0_u32..45, dates("2024-01-01", 365)), 0..60),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = world.snapshot(folder.path(), 2024..=2025);
        let places = MUNICIPALITIES.map(str::to_owned).into_iter().collect();
        let catalogue = Catalogue::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies"))).unwrap();
        let plan = plan(approved_with_noise(measuring()), &catalogue, &places).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sealed = runtime.block_on(run(&plan, &events, &snapshot)).unwrap();
        let Counted { counts, persons, values, .. } = sealed.peek();
        prop_assert!(counts.chunks(4).all(|cell| cell[1] == 0 && cell[2] == 0));

        let (mut numbers, mut refunds) = (Vec::new(), Vec::new());
        for placed in persons {
            let person = placed.person.0;
            let index = events.iter().filter(|e| e.0 == person).map(|e| e.1).min().unwrap();
            let within = |days| {
                let fits = move |c: &&Contact| {
                    let last = index + Days::new(days);
                    c.0 == Some(person) && (c.2, c.3) == (1, 3) && (index..=last).contains(&c.1)
                };
                world.contacts.iter().filter(fits)
            };
            numbers.push((placed.leaf, (within(30).count() as i64).clamp(1, 3)));
            let mut paid: Vec<_> = within(90).filter_map(|c| Some((c.1, refund(c)?))).collect();
            paid.sort_unstable();
            refunds.extend(paid.iter().take(2).map(|(_, refund)| (placed.leaf, (*refund).clamp(5_000, 20_000))));
        }
        for (found, mut expected) in values.iter().zip([numbers, refunds]) {
            let mut found = found.clone();
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
        prop_assert_eq!(values.len(), 2);
    }
}
