//! The state machine against a table of all its transitions.

use super::*;
use crate::domain::refusal::Refusal;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn words() -> Words {
    Words::new("a reason").unwrap()
}

fn steward(name: &str) -> StewardId {
    StewardId::new(name).unwrap()
}

/// The steps that the tables speak of, on the second of March, with applications of the first.
fn step(name: &str) -> Step {
    let (kind, version) = name.split_at(name.len() - 1);
    let version = version.parse().unwrap();
    match kind {
        "r" => Step::Received { version, day: day("2026-03-01") },
        "i" => Step::Incomplete { version, missing: words() },
        "c" => Step::Complete { version, day: day("2026-03-02") },
        "p" => Step::Preliminary { version, reason: words(), likely: day("2026-05-01") },
        "sa" => Step::Signed { version, steward: steward("anna") },
        "sb" => Step::Signed { version, steward: steward("bjorn") },
        "x" => Step::Rejected { version, reason: words() },
        "w" => Step::Withdrawn { version, reason: words() },
        "suspend" => Step::Suspended { reason: words() },
        "lift" => Step::Lifted { reason: words() },
        "close" => Step::Closed { reason: words() },
        other => panic!("{other}"),
    }
}

const TODAY: &str = "2026-03-02";

fn lived(steps: &str) -> Life {
    steps.split_whitespace().fold(Life::default(), |life, name| {
        life.after(&step(name), day(TODAY)).unwrap_or_else(|error| panic!("{steps}: {name}: {error}"))
    })
}

/// Every step that the machine knows, about the first and the second version.
const STEPS: [&str; 19] = [
    "r1", "i1", "c1", "p1", "sa1", "sb1", "x1", "w1", "r2", "i2", "c2", "p2", "sa2", "sb2", "x2", "w2",
    "suspend0", "lift0", "close0",
];

/// States, by the steps that lead there, and every step that each accepts. What is not here is refused.
const TABLE: [(&str, &str); 19] = [
    ("", "r1 close0"),
    ("r1", "i1 c1 x1 w1 close0"),
    ("r1 i1", "i1 c1 x1 w1 close0"),
    ("r1 c1", "p1 sa1 sb1 x1 w1 close0"),
    ("r1 c1 p1", "p1 sa1 sb1 x1 w1 close0"),
    ("r1 c1 sa1", "p1 sb1 x1 w1 close0"),
    ("r1 c1 sa1 sb1", "r2 suspend0 close0"),
    ("r1 x1", "r2 close0"),
    ("r1 c1 sa1 x1", "r2 close0"),
    ("r1 w1", "r2 close0"),
    ("r1 c1 sa1 sb1 suspend0", "r2 lift0 close0"),
    ("r1 c1 sa1 sb1 suspend0 lift0", "r2 suspend0 close0"),
    ("r1 c1 sa1 sb1 r2", "i2 c2 x2 w2 suspend0 close0"),
    ("r1 c1 sa1 sb1 r2 c2 sb2", "p2 sa2 x2 w2 suspend0 close0"),
    ("r1 c1 sa1 sb1 suspend0 r2 c2", "p2 sa2 sb2 x2 w2 lift0 close0"),
    ("r1 c1 sa1 sb1 r2 c2 sb2 sa2", "suspend0 close0"),
    ("r1 x1 r2 c2 sa2 sb2", "suspend0 close0"),
    ("close0", ""),
    ("r1 c1 sa1 sb1 suspend0 close0", ""),
];

#[test]
fn each_state_accepts_the_steps_of_the_table_and_no_other() {
    for (state, accepted) in TABLE {
        let life = lived(state);
        for name in STEPS {
            let after = life.after(&step(name), day(TODAY));
            let listed = accepted.split_whitespace().any(|a| a == name);
            assert_eq!(after.is_ok(), listed, "{state:?} then {name}: {after:?}");
            match after {
                Ok(after) => assert_eq!(after.steps(), life.steps() + 1),
                Err(error) => assert!(error.to_string().len() > 20, "{error}"),
            }
        }
    }
}

#[test]
fn a_wrong_step_is_refused_by_name() {
    let refused = |state: &str, name: &str| {
        Refusal::from(lived(state).after(&step(name), day(TODAY)).unwrap_err()).to_string()
    };
    for (state, name, words) in [
        ("r1", "sa1", "application.not_complete: version 1 is not marked complete"),
        ("r1 c1", "c1", "application.not_now: version 1 is complete, so complete cannot"),
        ("r1 c1 sa1", "sa1", "approval.signed_already: anna has signed it; another"),
        ("r1 c1", "r2", "project.application_open: version 1 is still to be decided (complete)"),
        ("r1 c1 sa1 sb1", "r1", "project.version: the next version to enter is 2"),
        ("r1 c1", "suspend0", "project.not_in_force"),
        ("r1 c1 sa1 sb1", "lift0", "project.not_suspended"),
        ("r1 c1 sa1 sb1 suspend0", "suspend0", "project.suspended_already"),
        ("r1 x1", "sa1", "application.not_now: version 1 is rejected"),
        ("close0", "r1", "project.closed"),
        ("r1", "c2", "project.no_version"),
    ] {
        let refusal = refused(state, name);
        assert!(refusal.starts_with(words), "{state} then {name}: {refusal}");
    }
}

#[test]
fn days_lie_where_they_can() {
    let received = |on: &str| Life::default().after(&Step::Received { version: 1, day: day(on) }, day(TODAY));
    assert!(received("2026-03-02").is_ok() && received("2025-01-01").is_ok());
    assert!(matches!(received("2026-03-03"), Err(LifeError::Day { what: "received", .. })));
    let complete = |on: &str| lived("r1").after(&Step::Complete { version: 1, day: day(on) }, day(TODAY));
    assert!(complete("2026-03-01").is_ok() && complete("2026-03-02").is_ok());
    for wrong in ["2026-02-28", "2026-03-03"] {
        assert!(matches!(complete(wrong), Err(LifeError::Day { what: "complete", .. })));
    }
    let likely = Step::Preliminary { version: 1, reason: words(), likely: day("2026-03-01") };
    assert!(lived("r1 c1").after(&likely, day(TODAY)).is_err());
}

fn valid() -> Period {
    Period::new(day("2026-01-01"), day("2026-12-31")).unwrap()
}

#[test]
fn queries_are_permitted_under_the_version_in_force_while_it_is_valid() {
    let today = day("2026-06-01");
    let permits = |state: &str, version: u32| lived(state).permits(version, valid(), today);
    let active = "r1 c1 sa1 sb1";
    assert_eq!(permits(active, 1), Ok(()));
    for early in ["", "r1", "r1 c1", "r1 c1 sa1", "r1 c1 sa1 x1", "r1 w1"] {
        assert_eq!(permits(early, 1), Err(Inactive::NothingInForce), "{early}");
    }
    assert_eq!(permits(&format!("{active} suspend0"), 1), Err(Inactive::Suspended));
    assert_eq!(permits(&format!("{active} suspend0 lift0"), 1), Ok(()));
    assert_eq!(permits(&format!("{active} close0"), 1), Err(Inactive::Closed));
    assert_eq!(permits(&format!("{active} suspend0 close0"), 1), Err(Inactive::Closed));
    // An amendment takes force with its second signature and not before; rejected, it changes nothing.
    assert_eq!(permits(&format!("{active} r2 c2 sb2"), 1), Ok(()));
    assert_eq!(permits(&format!("{active} r2 c2 sb2 x2"), 1), Ok(()));
    let amended = format!("{active} r2 c2 sb2 sa2");
    assert_eq!(permits(&amended, 1), Err(Inactive::Superseded { version: 1, in_force: 2 }));
    assert_eq!(permits(&amended, 2), Ok(()));
    for (on, holds) in
        [("2025-12-31", false), ("2026-01-01", true), ("2026-12-31", true), ("2027-01-01", false)]
    {
        let expected =
            if holds { Ok(()) } else { Err(Inactive::NotValid { valid: valid(), today: day(on) }) };
        assert_eq!(lived(active).permits(1, valid(), day(on)), expected, "{on}");
    }
}

#[test]
fn where_a_project_stands() {
    for (state, in_force, on, standing) in [
        ("r1 c1", false, "2026-06-01", Standing::Application),
        ("r1 x1", false, "2026-06-01", Standing::Ended),
        ("r1 c1 sa1 sb1", true, "2026-06-01", Standing::Active),
        ("r1 c1 sa1 sb1 r2", true, "2026-06-01", Standing::Active),
        ("r1 c1 sa1 sb1", true, "2025-06-01", Standing::NotYetValid),
        ("r1 c1 sa1 sb1", true, "2027-06-01", Standing::Expired),
        ("r1 c1 sa1 sb1 suspend0", true, "2026-06-01", Standing::Suspended),
        ("r1 c1 sa1 sb1 suspend0 close0", true, "2026-06-01", Standing::Closed),
        ("r1 close0", false, "2026-06-01", Standing::Closed),
    ] {
        let life = lived(state);
        assert_eq!(life.in_force().is_some(), in_force, "{state}");
        assert_eq!(life.standing(in_force.then(valid), day(on)), standing, "{state} on {on}");
    }
    assert!(lived("r1 close0").open().is_none());
}

#[test]
fn what_can_never_be_otherwise() {
    assert!(Inactive::Closed.is_final() && Inactive::Superseded { version: 1, in_force: 2 }.is_final());
    assert!(!Inactive::Suspended.is_final() && !Inactive::NothingInForce.is_final());
    let on = |text: &str| Inactive::NotValid { valid: valid(), today: day(text) };
    assert!(on("2027-01-01").is_final() && !on("2025-12-31").is_final());
}

#[test]
fn a_step_has_exactly_its_own_fields() {
    for name in STEPS {
        let given = step(name);
        let fields = given.fields();
        assert_eq!(Step::try_from(fields.clone()), Ok(given));
        let changes: [fn(&mut StepFields); 4] = [
            |f| f.version = if f.version.is_some() { None } else { Some(1) },
            |f| f.day = if f.day.is_some() { None } else { Some(NaiveDate::MIN) },
            |f| f.words = if f.words.is_some() { None } else { Words::new("a").ok() },
            |f| f.steward = if f.steward.is_some() { None } else { StewardId::new("a").ok() },
        ];
        for change in changes {
            let mut other = fields.clone();
            change(&mut other);
            assert_eq!(Step::try_from(other), Err(BadStep), "{name}");
        }
        assert_eq!(Step::try_from(StepFields { kind: "approved".to_owned(), ..fields }), Err(BadStep));
    }
}
