//! Resolution by two stewards at the identity service, which believes nobody.

use tempfile::tempdir;

use super::*;
use crate::domain::canonical::Canonical;
use crate::domain::microdata::SerialNumber;
use crate::domain::person::Portal;
use crate::domain::refusal::Refusal;
use crate::domain::resolution::{ResolutionReason, ResolutionStatement, Subject};

fn statement() -> ResolutionStatement {
    let subject = Subject::Serial {
        project: ProjectId::new("P-1").unwrap(),
        run: order("P-1", 1).run,
        serial: SerialNumber::new(&[7; 20]).unwrap(),
        reason: ResolutionReason::Withdrawal,
    };
    ResolutionStatement { subject, asked: now() - TimeDelta::days(1) }
}

fn by(statement: &ResolutionStatement, names: &[&str]) -> Vec<StewardSignature> {
    let sign = |name: &&str| {
        let (id, key) = steward(name);
        statement.sign(id, &key).unwrap()
    };
    names.iter().map(sign).collect()
}

fn caller(name: &str) -> Portal {
    Portal { organisation: OrganisationId::new("NTRNO-310000019").unwrap(), name: name.to_owned() }
}

async fn at(dir: &Path, time: DateTime<Utc>) -> IdentityService {
    let (clock, entropy) = (Arc::new(FixedClock(time)), Arc::new(Counting::default()));
    IdentityService::open(&dir.join("vault.db"), ring(&[1]), stewards(), clock, entropy).await.unwrap()
}

fn code<T>(outcome: Result<T, IdentityError>) -> &'static str {
    outcome.map(|_| panic!("not refused")).map_err(Refusal::from).unwrap_or_else(|refusal| refusal.code)
}

fn shown(numbers: &[Fnr]) -> Vec<String> {
    numbers.iter().map(|number| String::from_utf8(number.to_wire().to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn the_second_steward_is_told_once_which_numbers_the_person_has() {
    let dir = tempdir().unwrap();
    let service = at(dir.path(), now()).await;
    // Person 1 had a number before the present one.
    let lines = [
        format!("5;{};FNR;;", number(0)),
        format!("6;{};FNR;2001-02-03;", number(1)),
        format!("6;{};FNR;2019-02-03;", number(2)),
    ];
    resolve(&service, Layout::Population, &lines, true).await;
    let (statement, person) = (statement(), PersonNo(1));
    let both = by(&statement, &["kari", "olga-b"]);
    let digest = statement.digest().unwrap();
    let deposit = async |signatures: &[StewardSignature], person| {
        service.deposit_resolution(&statement, signatures, &[person]).await
    };
    for (signatures, expected) in [
        (by(&statement, &["kari"]), "identity.approval"),
        (by(&statement, &["kari", "kari"]), "identity.approval"),
        (by(&statement, &["kari", "unknown"]), "identity.approval"),
        (
            by(&ResolutionStatement { asked: now(), ..statement.clone() }, &["kari", "olga-b"]),
            "identity.approval",
        ),
    ] {
        assert_eq!(code(deposit(&signatures, person).await), expected);
    }
    assert_eq!(code(deposit(&both, PersonNo(2)).await), "identity.resolution");
    assert_eq!(code(service.collect_resolution(&caller("olga-b"), &digest).await), "identity.resolution");
    deposit(&both, person).await.unwrap();
    // The same again is no error; another person for the same signatures is.
    deposit(&both, person).await.unwrap();
    assert_eq!(code(deposit(&both, PersonNo(0)).await), "identity.resolution_used");
    for other in ["kari", "unknown"] {
        assert_eq!(code(service.collect_resolution(&caller(other), &digest).await), "identity.resolution");
    }
    let numbers = service.collect_resolution(&caller("olga-b"), &digest).await.unwrap();
    assert_eq!(shown(&numbers), [number(2), number(1)]);
    assert_eq!(code(service.collect_resolution(&caller("olga-b"), &digest).await), "identity.resolution");
    assert_eq!(code(deposit(&both, person).await), "identity.resolution_used");
    // Used for good, also after a restart.
    drop(service);
    let service = at(dir.path(), now()).await;
    let again = service.deposit_resolution(&statement, &both, &[person]).await;
    assert_eq!(code(again), "identity.resolution_used");
    let uses = service.vault.uses(Some(person)).await.unwrap();
    assert_eq!(uses.look_ups.len(), 1);
    assert!(service.vault.uses(Some(PersonNo(0))).await.unwrap().look_ups.is_empty());
}

#[tokio::test]
async fn a_statement_and_an_answer_are_good_for_a_time() {
    let dir = tempdir().unwrap();
    let service = at(dir.path(), now()).await;
    resolve(&service, Layout::Serial, &serial_lines(&numbers(0..2)), true).await;
    for asked in [now() + TimeDelta::minutes(2), now() - TimeDelta::days(15)] {
        let stale = ResolutionStatement { asked, ..statement() };
        let both = by(&stale, &["kari", "olga-b"]);
        let refused = service.deposit_resolution(&stale, &both, &[PersonNo(1)]).await;
        assert_eq!(code(refused), "identity.resolution_stale");
    }
    let both = by(&statement(), &["kari", "olga-b"]);
    service.deposit_resolution(&statement(), &both, &[PersonNo(1)]).await.unwrap();
    drop(service);
    let late = at(dir.path(), now() + TimeDelta::hours(25)).await;
    let digest = statement().digest().unwrap();
    assert_eq!(code(late.collect_resolution(&caller("olga-b"), &digest).await), "identity.resolution");
}

/// KPR regulation 4-2 and 4-5: the list of reservations, for the register keeper's own route.
#[tokio::test]
async fn those_on_the_list_that_was_signed_are_named_and_nobody_else() {
    let dir = tempdir().unwrap();
    let service = at(dir.path(), now()).await;
    resolve(&service, Layout::Serial, &serial_lines(&numbers(0..6)), true).await;
    let (of_serial, reserved) = (statement(), [PersonNo(1), PersonNo(4)]);
    let statement = ResolutionStatement { subject: Subject::list(&reserved), ..statement() };
    let both = by(&statement, &["kari", "olga-b"]);
    let digest = statement.digest().unwrap();
    // A gateway that is taken over has others named than those that were signed, fewer, more, or somebody unknown.
    for persons in
        [&[PersonNo(1)][..], &[], &[PersonNo(1), PersonNo(3)], &[PersonNo(1), PersonNo(4), PersonNo(5)]]
    {
        let refused = service.deposit_resolution(&statement, &both, persons).await;
        assert_eq!(code(refused), "identity.resolution");
    }
    let unknown = [PersonNo(1), PersonNo(77)];
    let of_unknown = ResolutionStatement { subject: Subject::list(&unknown), ..statement.clone() };
    let refused =
        service.deposit_resolution(&of_unknown, &by(&of_unknown, &["kari", "olga-b"]), &unknown).await;
    assert_eq!(code(refused), "identity.resolution");
    let alone = by(&statement, &["kari"]);
    assert_eq!(code(service.deposit_resolution(&statement, &alone, &reserved).await), "identity.approval");
    // A signature on the list is none on a serial number, with as many persons.
    let one = ResolutionStatement { subject: Subject::list(&[PersonNo(1)]), ..statement.clone() };
    let of_list = by(&one, &["kari", "olga-b"]);
    assert_eq!(
        code(service.deposit_resolution(&of_serial, &of_list, &[PersonNo(1)]).await),
        "identity.approval"
    );

    service.deposit_resolution(&statement, &both, &reserved).await.unwrap();
    service.deposit_resolution(&statement, &both, &reserved).await.unwrap();
    drop(service);
    let service = at(dir.path(), now()).await;
    assert_eq!(code(service.collect_resolution(&caller("kari"), &digest).await), "identity.resolution");
    let numbers = service.collect_resolution(&caller("olga-b"), &digest).await.unwrap();
    // In an order that does not tell which is whose.
    let named: std::collections::BTreeSet<String> = shown(&numbers).into_iter().collect();
    assert_eq!(named, [number(1), number(4)].into());
    assert_eq!(code(service.collect_resolution(&caller("olga-b"), &digest).await), "identity.resolution");
    let again = service.deposit_resolution(&statement, &both, &reserved).await;
    assert_eq!(code(again), "identity.resolution_used");
    for (person, times) in [(1, 1), (4, 1), (3, 0)] {
        let uses = service.vault.uses(Some(PersonNo(person))).await.unwrap();
        assert_eq!(uses.look_ups.len(), times, "{person}");
    }
}
