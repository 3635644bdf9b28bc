//! The plan against the catalogue that the project ships.

use std::collections::BTreeSet;
use std::path::Path;

use super::query_plan::Parts;
use super::*;
use crate::authorise::fixtures::{approved, condition, query};
use crate::domain::codelist::{Code, CodeList};
use crate::domain::ids::{CodeListId, DatasetId, RegisterId, VariableId};
use crate::domain::order::OrderError;
use crate::domain::query::{By, Outcome, OutcomeValue, Query, Statistic, ValueOf};
use crate::domain::table::TableShape;

fn catalogue() -> Catalogue {
    Catalogue::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies"))).unwrap()
}

fn variable(text: &str) -> VariableId {
    VariableId::new(text).unwrap()
}

fn by(name: &str, list: &str) -> By {
    By { variable: variable(name), code_list: CodeListId::new(list).unwrap() }
}

fn outcome(days: u16) -> Outcome {
    let first = query().outcomes.remove(0);
    Outcome { name: variable(&format!("gp_{days}")), within_days: days, ..first }
}

fn parts(change: impl Fn(&mut Query)) -> Result<Parts, PlanError> {
    let mut query = query();
    change(&mut query);
    Parts::of(&query, &catalogue(), &BTreeSet::from(["0301".to_owned(), "1103".to_owned()]))
}

fn refused(change: impl Fn(&mut Query)) -> String {
    parts(change).err().expect("a refusal").to_string()
}

#[test]
fn the_main_question_has_its_shape() {
    let parts = parts(|_| {}).unwrap();
    let region = &parts.shape.dimensions[2].codes;
    let codes: Vec<&str> = region.codes().iter().map(|c| c.code.as_str()).collect();
    assert_eq!(codes, [CodeList::TOTAL, "03", "0301", "11", "1103", "99", "9999"]);
    assert_eq!(parts.shape.cells(), 3 * 5 * 7);
    let nested: Vec<_> = parts.shape.measures.iter().map(|m| m.nested_in.clone()).collect();
    assert_eq!(nested, [vec![], vec![0, 2, 3], vec![0, 3], vec![0]]);
    assert_eq!(parts.follows.len(), 1);
    assert_eq!(parts.follows[0].windows, [(1, 30), (2, 90), (3, 180)]);
    assert_eq!(parts.follows[0].longest(), 180);
    assert_eq!(parts.groupings.len(), 3);
}

#[test]
fn the_plan_orders_index_dates_only_under_the_signed_approval() {
    let plan =
        |query: Query| plan(approved(query), &catalogue(), &BTreeSet::from(["0301".to_owned()])).unwrap();
    let made = plan(query());
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    let order = made.order(
        format!("o-{}", "a".repeat(32)).try_into().unwrap(),
        format!("r-{}", "b".repeat(32)).try_into().unwrap(),
        now,
        chrono::TimeDelta::minutes(5),
    );
    assert_eq!(order.columns, [variable("utdato")]);
    assert_eq!(order.date, variable("utdato"));
    let verified = made.approved().approval();
    assert_eq!(order.check(verified, now), Ok(()));
    assert_eq!(order.check(verified, now + chrono::TimeDelta::minutes(6)), Err(OrderError::Stale));
    assert_eq!(order.approval.signatures.len(), 2);
    assert_eq!(made.digest(), plan(query()).digest());
    assert_ne!(made.digest(), plan(Query { min_persons: Some(7), ..query() }).digest());
    assert!(made.steps().iter().any(|s| s.contains("kuhr_contact") && s.contains("30, 90, 180")));
}

#[test]
fn outcomes_of_wider_conditions_are_followed_apart() {
    let values = |values: &[&str]| values.iter().map(|&v| v.to_owned()).collect::<Vec<_>>();
    let parts = parts(|q| q.outcomes[2].conditions[0].any_of = values(&["1", "2"])).unwrap();
    assert_eq!(parts.follows.len(), 2);
    let nested: Vec<_> = parts.shape.measures.iter().map(|m| m.nested_in.clone()).collect();
    assert_eq!(nested, [vec![], vec![0, 2, 3], vec![0, 3], vec![0]]);
}

#[test]
fn outcomes_that_overlap_without_nesting_are_refused() {
    let refusal = refused(|q| q.outcomes[1].conditions[0].any_of = vec!["2".to_owned()]);
    assert!(refusal.contains("not nested") && refusal.contains("gp_30"), "{refusal}");
    // The same outcome in other words is the same outcome.
    let refusal = refused(|q| {
        let mut again = q.outcomes[0].clone();
        again.name = variable("again");
        let same = again.conditions[0].any_of.clone();
        again.conditions[0].any_of.extend(same);
        q.outcomes.push(again);
    });
    assert!(refusal.contains("are the same"), "{refusal}");
}

#[test]
fn what_is_measured_exists_and_keeps_to_the_bounds_of_the_catalogue() {
    let value = |of: &str, low, high, events| {
        let of = ValueOf::try_from(of.to_owned()).unwrap();
        Some(OutcomeValue { of, statistic: Statistic::Mean, low, high, events })
    };
    let parts = parts(|q| {
        q.outcomes[0].value = value("events", 0, 20, None);
        q.outcomes[1].value = value("refusjon_ore", 0, 500_000, Some(5));
    })
    .unwrap();
    assert_eq!((parts.measured.len(), parts.follows.len()), (2, 1));
    assert_eq!(parts.follows[0].windows, [(3, 180)]);
    assert_eq!((parts.measured[1].measure, parts.measured[1].follow.windows[0]), (2, (2, 90)));
    assert_eq!(parts.shape.measures[1].statistic, Some(Statistic::Mean));
    assert!(
        parts.shape.measures[2].label.contains("Reimbursement, in øre, of the first 5 events of a person")
    );
    // Only what counts persons is nested, and only in what counts persons.
    assert_eq!(parts.shape.measures[3].nested_in, [0]);
    for (asked, says) in [
        (value("events", 0, 20, Some(3)), "leave `events` out"),
        (value("events", -1, 20, None), "from 0 to 1000"),
        (value("events", 5, 5, None), "`low` less than `high`"),
        (value("refusjon_ore", 0, 1_000_001, Some(3)), "from 0 to 1000000"),
        (value("refusjon_ore", 0, 10, None), "from 1 to 1000"),
        (value("refusjon_ore", 0, 10, Some(0)), "from 1 to 1000"),
        (
            value("fodselsar", 1900, 2000, Some(1)),
            "one of klokkeslett, egenandel_ore, refusjon_ore; not of fodselsar",
        ),
        (value("tjenestetype", 0, 10, Some(1)), "not of tjenestetype"),
        (value("nothing", 0, 10, Some(1)), "not of nothing"),
    ] {
        let refusal = refused(|q| q.outcomes[0].value = asked.clone());
        assert!(refusal.contains(says), "{refusal}");
    }
    let twice = refused(|q| {
        q.outcomes[0].value = value("events", 0, 20, None);
        q.outcomes[1] = Outcome { name: variable("again"), ..q.outcomes[0].clone() };
    });
    assert!(twice.contains("are the same"), "{twice}");
}

#[test]
fn dimensions_stand_in_the_order_of_the_catalogue() {
    assert!(refused(|q| q.by.reverse()).contains("sex, age, municipality"));
}

#[test]
fn a_wrong_code_names_its_variable_and_the_accepted_codes_but_not_itself() {
    let refusal = refused(|q| q.cohort.conditions[0].any_of.push("02813299997".to_owned()));
    assert!(refusal.contains("omsorgsniva") && refusal.contains("1, 2, 3, 8"), "{refusal}");
    assert!(!refusal.contains("02813299997"), "{refusal}");
    let refusal = refused(|q| q.outcomes[0].conditions[0].any_of = vec!["15".to_owned()]);
    assert!(refusal.contains("tjenestetype") && refusal.contains("13, 14"), "{refusal}");
    let refusal = refused(|q| q.cohort.conditions.push(condition("hovedtilstand", &["02813299997"])));
    assert!(refusal.contains("hovedtilstand") && !refusal.contains("02813299997"), "{refusal}");
    // A total is a margin, not a value that a row has.
    assert!(refused(|q| q.cohort.conditions.push(condition("kommunenr", &["Total"]))).contains("kommunenr"));
}

#[test]
fn names_that_do_not_exist_are_refused_with_those_that_do() {
    let freg = RegisterId::new("FREG").unwrap();
    for (refusal, expected) in [
        (refused(|q| q.cohort.register = RegisterId::new("XYZ").unwrap()), "FREG, KPR, NPR"),
        (refused(|q| q.cohort.register = RegisterId::new("KPR").unwrap()), "partner register: NPR"),
        (refused(|q| q.outcomes[0].register = freg.clone()), "outcomes come from KPR"),
        (refused(|q| q.outcomes[0].dataset = DatasetId::new("x").unwrap()), "kuhr_contact, kuhr_diagnosis"),
        (refused(|q| q.cohort.index_date = variable("dato")), "inndato, utdato"),
        (refused(|q| q.cohort.index_date = variable("sektor")), "takes one of inndato, utdato"),
        (refused(|q| q.cohort.conditions[0].variable = variable("utdato")), "takes one of omsorgsniva"),
        (refused(|q| q.cohort.conditions[0].any_of.clear()), "from 1 to 1000"),
        (refused(|q| q.by[1] = by("age", "region")), "age_4, age_10"),
        (refused(|q| q.by[1] = by("income", "age_4")), "sex, age, municipality"),
        (refused(|q| q.by[1] = by("sex", "sex")), "sex occurs twice"),
        (refused(|q| q.outcomes[1].name = variable("gp_30")), "gp_30"),
        (refused(|q| q.outcomes[1].name = variable("persons")), "persons"),
        (refused(|q| q.outcomes[1].name = variable("gp_30_share")), "_share"),
        (refused(|q| q.outcomes[1].name = variable("gp_30_low")), "_low"),
        (refused(|q| q.outcomes[1].within_days = 30), "gp_30 and gp_90 are the same"),
        (refused(|q| q.title = "x\ny".to_owned()), "title"),
        (refused(|q| q.outcomes = vec![outcome(1); 9]), "at most 8 outcomes"),
    ] {
        assert!(refusal.contains(expected), "{refusal}");
    }
}

#[test]
fn the_finest_national_table_is_made_and_a_larger_one_refused() {
    let mut catalogue = catalogue();
    let region = CodeListId::new("region").unwrap();
    let codes = |c: &Catalogue| -> BTreeSet<String> {
        c.code_list(&region).unwrap().codes().iter().map(|c| c.code.clone()).collect()
    };
    let mut finest = query();
    finest.by[1] = by("age", "age_10");
    finest.outcomes = (1..=8).map(outcome).collect();
    assert!(Parts::of(&finest, &catalogue, &codes(&catalogue)).is_ok());

    let list = catalogue.code_list(&region).unwrap();
    let extra = (0..2000).map(|n| Code { code: format!("x{n}"), label: "x".to_owned(), parent: Some(0) });
    let codes_of_larger = list.codes().iter().cloned().chain(extra).collect();
    let larger = CodeList::new(region.clone(), String::new(), codes_of_larger).unwrap();
    catalogue.code_lists.insert(region.clone(), larger);
    let refusal = Parts::of(&finest, &catalogue, &codes(&catalogue)).err().unwrap();
    assert!(matches!(refusal, PlanError::Cells { cells: 705_375, most: 400_000 }), "{refusal}");
}

#[test]
fn a_file_with_an_unknown_field_or_an_unknown_list_is_refused() {
    let register = "register = \"FREG\"\nlabel = \"x\"\nparagraph = \"x\"\nsection = \"section_8\"\nsource = \"population\"\n";
    let variable =
        "[[dataset]]\nid = \"d\"\nlabel = \"x\"\n[[dataset.variable]]\nid = \"v\"\nlabel = \"x\"\n";
    let load = |text: String| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("registers")).unwrap();
        std::fs::create_dir(dir.path().join("codelists")).unwrap();
        std::fs::write(dir.path().join("registers/freg.toml"), text).unwrap();
        std::fs::write(dir.path().join("codelists/sex.csv"), "code,label,parent\nTotal,All,\n1,Men,Total\n")
            .unwrap();
        Catalogue::load(dir.path()).map(|c| c.digest())
    };
    let rest = "kind = \"code\"\nrole = \"quasi\"\n";
    let good = load(format!("{register}{variable}{rest}code_list = \"sex\"\n")).unwrap();
    let other = load(format!("{register}{variable}{rest}open = true\n")).unwrap();
    assert_ne!(good, other);
    for (text, expected) in [
        (format!("colour = 1\n{register}{variable}{rest}open = true\n"), "unknown field"),
        (format!("{register}{variable}{rest}code_list = \"nothing\"\n"), "no code list nothing"),
        (format!("{register}{variable}{rest}"), "exactly one of"),
        (format!("{register}{variable}kind = \"date\"\nrole = \"quasi\"\nopen = true\n"), "only a code"),
        (format!("{register}{variable}kind = \"date\"\nrole = \"secret\"\n"), "unknown variant"),
        (
            format!("{}{variable}{rest}open = true\n", register.replace("population", "own")),
            "exactly one register",
        ),
    ] {
        let refusal = load(text).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
    }
}

/// The codes that nobody can have in a dimension of the example question, with these values of a variable as a
/// condition more.
fn impossible(name: &'static str, values: &'static [&'static str], age: &'static str) -> Vec<String> {
    let parts = parts(|q| {
        q.cohort.conditions.retain(|c| c.variable.as_str() != name);
        q.cohort.conditions.push(condition(name, values));
        q.by[1] = by("age", age);
    })
    .unwrap();
    let dimension = &parts.shape.dimensions[1];
    let codes = dimension.codes.codes().iter().enumerate();
    codes.filter(|(at, _)| dimension.is_impossible(*at)).map(|(_, code)| code.code.clone()).collect()
}

#[test]
fn what_the_catalogue_says_is_impossible_follows_from_the_conditions_of_the_cohort() {
    assert_eq!(impossible("fagomrade", &["310"], "age_4"), ["45-66", "67+"]);
    assert_eq!(impossible("fagomrade", &["310"], "age_10").len(), 7);
    assert_eq!(impossible("sektor", &["BUP"], "age_4"), ["45-66", "67+"]);
    // Of a classification by the beginning of its codes; letters of another case are other codes.
    assert_eq!(impossible("hovedtilstand", &["O800", "O14"], "age_4"), ["67+"]);
    for (name, values) in [
        ("fagomrade", &["310", "320"][..]),
        ("fagomrade", &["320"]),
        ("hovedtilstand", &["O800", "F321"]),
        ("hovedtilstand", &["o800"]),
        ("omsorgsniva", &["1"]),
    ] {
        assert_eq!(impossible(name, values, "age_4"), [""; 0], "{name} {values:?}");
    }
}

#[test]
fn a_cell_is_impossible_by_any_of_its_codes_and_a_shape_without_such_cells_is_encoded_as_before() {
    let parts = |values: &'static [&'static str]| {
        parts(|q| q.cohort.conditions.push(condition("fagomrade", values))).unwrap()
    };
    let plain = parts(&["320"]);
    assert!(!plain.shape.has_impossible());
    assert!(!serde_json::to_string(&plain.shape).unwrap().contains("impossible"));
    let Parts { shape, groupings, .. } = parts(&["310"]);
    let named = |cell: usize| [3, 4].contains(&shape.positions(cell)[1]);
    assert!((0..shape.cells()).all(|cell| shape.is_impossible(cell) == named(cell)));
    assert_eq!(
        [17, 44, 45, 67].map(|age| groupings[1].leaf(None, Some(age), None)),
        [Some(1), Some(2), None, None]
    );
    let again: TableShape = serde_json::from_str(&serde_json::to_string(&shape).unwrap()).unwrap();
    assert_eq!(again, shape);
}

#[test]
fn two_conditions_that_leave_no_age_are_refused() {
    let mut catalogue = catalogue();
    let npr = catalogue.registers.get_mut(&RegisterId::new("NPR").unwrap()).unwrap();
    let statement = npr.datasets[0].impossible[0].clone();
    let young = Impossible {
        any_of: vec!["360".to_owned()],
        codes: vec!["0-17".to_owned(), "18-44".to_owned()],
        ..statement
    };
    npr.datasets[0].impossible.push(young);
    let mut query = query();
    query.cohort.conditions = vec![condition("fagomrade", &["310"]), condition("fagomrade", &["360"])];
    let refusal = Parts::of(&query, &catalogue, &BTreeSet::new()).err().unwrap();
    assert!(matches!(refusal, PlanError::Nobody { .. }), "{refusal}");
}

#[test]
fn a_statement_of_impossibility_names_what_exists() {
    let good =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/registers/npr.toml")).unwrap();
    let load = |from: &str, to: &str| {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["registers", "codelists"] {
            let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(folder);
            std::fs::create_dir(dir.path().join(folder)).unwrap();
            for file in std::fs::read_dir(shipped).unwrap().map(|entry| entry.unwrap()) {
                std::fs::copy(file.path(), dir.path().join(folder).join(file.file_name())).unwrap();
            }
        }
        assert!(good.contains(from));
        std::fs::write(dir.path().join("registers/npr.toml"), good.replacen(from, to, 1)).unwrap();
        Catalogue::load(dir.path()).map(|_| ())
    };
    load("[\"310\"]", "[\"310\", \"360\"]").unwrap();
    for (from, to, expected) in [
        ("any_of = [\"310\"]", "any_of = [\"311\"]", "`any_of` must list codes of fagomrade"),
        ("any_of = [\"310\"]", "any_of = []", "`any_of` must list codes of fagomrade"),
        ("any_of = [\"O\"]", "any_of = [\"O 8\"]", "`any_of` must list codes of hovedtilstand"),
        ("variable = \"fagomrade\"", "variable = \"utdato\"", "utdato is no variable with codes"),
        ("variable = \"fagomrade\"", "variable = \"field\"", "field is no variable with codes"),
        ("code_list = \"age_4\"", "code_list = \"age_5\"", "no dimension is grouped by a code list age_5"),
        ("code_list = \"age_4\"", "code_list = \"iplos_score\"", "no dimension is grouped by"),
        ("codes = [\"45-66\", \"67+\"]", "codes = [\"67\"]", "`codes` must list codes of age_4"),
        ("codes = [\"45-66\", \"67+\"]", "codes = []", "`codes` must list codes of age_4"),
        ("codes = [\"45-66\", \"67+\"]", "codes = [\"Total\"]", "some code of age_4 must be left possible"),
        ("any_of = [\"310\"]", "any_of = [\"310\"]\nwhy = \"x\"", "unknown field"),
        ("source = \"partner\"", "source = \"own\"", "only datasets of a partner"),
    ] {
        let refusal = load(from, to).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
    }
}
