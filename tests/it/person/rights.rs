//! What a person can do: read the own rows, ask for a correction, restrict, have erased.

use std::collections::BTreeSet;
use std::path::Path;
use std::slice;
use std::time::Duration;

use kpr::app::stage::example_query;
use kpr::authorise::Role;
use kpr::domain::approval::Approval;
use kpr::domain::canonical::Digest;
use kpr::domain::held::HeldRefusal;
use kpr::domain::microdata::RiskReport;
use kpr::domain::person::{CorrectionOf, OwnRows, Restriction};
use kpr::statistics::Format;
use kpr::store::Phase;
use kpr::wire::gateway_client::GatewayClient;
use kpr::wire::pki::demo;

use super::{certificate, correction_of, in_and_out, lines, population, running, ticket};
use crate::attack::{self, K};
use crate::microdata::{self, code};
use crate::oracle;
use crate::world::{Making, World};

const KUHR: [&str; 2] = ["kuhr-2024", "kuhr-2025"];

/// The numbers of a person's contacts, as a delivery has them.
fn delivered(world: &World, delivery: &str, numbers: &[String]) -> BTreeSet<String> {
    let serials: BTreeSet<String> = lines(world, &format!("{delivery}/KPR_IDE.csv"))
        .into_iter()
        .filter(|line| numbers.contains(&line[1]))
        .map(|line| line[0].clone())
        .collect();
    let contacts = lines(world, &format!("{delivery}/ENKELTREGNING.csv")).into_iter();
    contacts.filter(|line| serials.contains(&line[1])).map(|line| line[0].clone()).collect()
}

async fn own(world: &World, number: &str) -> Vec<OwnRows> {
    world.client("portal").await.person_rows(&ticket(world, number).await).await.unwrap()
}

fn contacts(own: &[OwnRows]) -> BTreeSet<String> {
    let of = own.iter().filter(|rows| rows.dataset.as_str() == "kuhr_contact");
    let number = |rows: &OwnRows| rows.columns.iter().position(|c| c == "contact_no").unwrap();
    of.flat_map(|rows| rows.rows.iter().map(|row| row[number(rows)].clone())).collect()
}

/// Persons with contacts, each with all identity numbers.
fn patients(world: &World) -> Vec<Vec<String>> {
    let persons = population(world).into_values();
    persons.filter(|of| KUHR.iter().all(|kuhr| delivered(world, kuhr, of).len() > 1)).take(2).collect()
}

fn restricted() -> [Restriction; 2] {
    [Restriction::ReleaseWithIdentity, Restriction::AllUse]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_the_own_rows_and_asks_the_sender_for_a_correction() {
    let world = World::running(&Making { persons: 800, ..Making::default() }).await;
    let [first, second] = patients(&world).try_into().unwrap();
    let expected: BTreeSet<String> = KUHR.iter().flat_map(|kuhr| delivered(&world, kuhr, &first)).collect();
    let rows = own(&world, &first[0]).await;
    assert_eq!(contacts(&rows), expected);
    // Whichever of the numbers the portal knows the person by.
    for number in &first {
        assert_eq!(own(&world, number).await, rows);
    }
    assert!(rows.iter().all(|own| !own.columns.iter().any(|column| column == "person_no")));
    let datasets: BTreeSet<&str> = rows.iter().map(|own| own.dataset.as_str()).collect();
    assert!(datasets.is_superset(&["kuhr_contact", "kuhr_diagnosis", "population", "residence"].into()));
    let of_second = own(&world, &second[0]).await;
    assert!(contacts(&of_second).is_disjoint(&expected) && !contacts(&of_second).is_empty());
    assert!(own(&world, "30908299996").await.is_empty());

    // To the sender of a delivery in which the person is, and in words without an identity number.
    let portal = world.client("portal").await;
    let contact = rows.iter().find(|own| own.dataset.as_str() == "kuhr_contact").unwrap();
    let ask = async |number: &str, of: &CorrectionOf, text: &str| {
        portal.request_correction(&ticket(&world, number).await, of, text).await
    };
    let key = contacts(slice::from_ref(contact)).pop_first();
    let of = CorrectionOf { record: key, field: Some("dato".to_owned()), ..correction_of(contact) };
    let text = "I was not there on that day: the contact is somebody else's.";
    assert_eq!(ask(&first[0], &of, text).await.unwrap(), 1);
    let with_number = format!("my number is {}", first[0]);
    assert_eq!(code(ask(&first[0], &of, &with_number).await), "correction.text");
    let unknown = ask("30908299996", &of, text).await.unwrap_err().to_string();
    for other in [
        CorrectionOf { delivery: Digest::from_bytes([7; 32]), ..of.clone() },
        CorrectionOf { record: contacts(&of_second).pop_first(), ..of.clone() },
        CorrectionOf { field: Some("person_no".to_owned()), ..of.clone() },
    ] {
        assert_eq!(ask(&first[0], &other, text).await.unwrap_err().to_string(), unknown);
    }
    // One of another sender.
    let population = rows.iter().find(|own| own.dataset.as_str() == "population").unwrap();
    assert_ne!(population.sender, contact.sender);
    assert_eq!(ask(&first[0], &correction_of(population), "My year of birth is wrong.").await.unwrap(), 2);
    let listed = world.client("anna").await.corrections(None).await.unwrap();
    assert_eq!(
        listed.iter().map(|asked| &asked.sender).collect::<Vec<_>>(),
        [&contact.sender, &population.sender]
    );
    assert_eq!((listed[0].text.as_str(), &listed[0].of), (text, &of));
    assert_eq!(code(portal.corrections(None).await), "access.role");

    // The sender of the contacts fetches what it is asked for: its own record, the words, and nothing of others.
    let helfo = world.client("helfo").await;
    assert_eq!(helfo.fetch_corrections(None).await.unwrap(), listed[..1]);
    assert!(helfo.fetch_corrections(Some(1)).await.unwrap().is_empty());
    assert_eq!(world.client("anna").await.corrections(Some(1)).await.unwrap(), listed[1..]);
    assert_eq!(code(helfo.corrections(None).await), "access.role");
    for party in ["portal", "anna", "ingest", "npr"] {
        assert_eq!(code(world.client(party).await.fetch_corrections(None).await), "access.role", "{party}");
    }
    let files = certificate(&world, demo::PARTNER, Role::Sender);
    let stranger = GatewayClient::connect(&world.stage.gateway(), &files).await.unwrap();
    assert_eq!(code(stranger.fetch_corrections(None).await), "corrections.no_sender");
    let control = ["gateway/control.sqlite", "gateway/control.sqlite-wal"]
        .map(|file| std::fs::read(world.stage.path(file)).unwrap())
        .concat();
    assert!(!control.windows(text.len()).any(|window| window == text.as_bytes()));
    world.end().await;
}

async fn restrict(world: &World, number: &str, restriction: Restriction, active: bool) -> bool {
    let ticket = ticket(world, number).await;
    world.client("portal").await.restrict(&ticket, restriction, active).await.unwrap()
}

/// The report on the records of the example, which are refused again.
async fn records(world: &World, request: &str) -> RiskReport {
    let (run, phase, why) = microdata::until_held(world, request, &microdata::question()).await;
    assert_eq!((phase, why.as_str()), (Phase::Held, ""));
    let risk = microdata::held(world, &run).await.unwrap().risk;
    world.client("anna").await.refuse_held(&run, HeldRefusal::Need).await.unwrap();
    risk
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_holds_at_once_and_changes_neither_tables_nor_records() {
    let world = running().await;
    let [inside, outside] = in_and_out(&world);
    let (person, reserved) = (&inside[0], Restriction::ReleaseWithIdentity);
    let before = records(&world, "before").await;
    assert!(restrict(&world, person, reserved, true).await);
    assert!(!restrict(&world, person, reserved, true).await);
    let listed = world.client("anna").await.reservations().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(records(&world, "after").await, before);
    let (_, with) = world.answer("with").await;
    assert!(restrict(&world, person, reserved, false).await);
    assert!(world.client("bjorn").await.reservations().await.unwrap().is_empty());
    let (_, without) = world.answer("without").await;
    assert_eq!(with, without);

    let portal = world.client("portal").await;
    let history = portal.restrictions(&ticket(&world, person).await).await.unwrap();
    let lines: Vec<_> = history.iter().map(|c| (c.restriction, c.active, c.portal.as_str())).collect();
    assert_eq!(lines, [(reserved, true, "NTRNO-310000051"), (reserved, false, "NTRNO-310000051")]);
    assert!(history[0].at <= history[1].at);
    for nobody in [outside[0].as_str(), "30908299996"] {
        let ticket = ticket(&world, nobody).await;
        assert!(portal.restrictions(&ticket).await.unwrap().is_empty());
    }
    for restriction in restricted() {
        let ticket = ticket(&world, "30908299996").await;
        assert_eq!(code(portal.restrict(&ticket, restriction, true).await), "person.not_known");
    }
    assert_eq!(code(portal.reservations().await), "access.role");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_person_is_in_no_result() {
    let world = running().await;
    let [inside, _] = in_and_out(&world);
    let everyone = oracle::answer(&world.stage.path("deliveries"), 2024).await;
    let everyone = everyone[&["Total", "Total", "Total"].map(str::to_owned)][0];
    // Records that wait and have the person in them are not released any more.
    let (run, phase, _) = microdata::until_held(&world, "waits", &microdata::question()).await;
    assert_eq!(phase, Phase::Held);
    let waiting = microdata::held(&world, &run).await.unwrap();
    assert_eq!(waiting.risk.rows, everyone);
    let statement = waiting.statement;
    assert!(!microdata::sign(&world, "anna", &statement).await.unwrap());
    assert!(restrict(&world, &inside[0], Restriction::AllUse, true).await);
    assert_eq!(code(microdata::sign(&world, "bjorn", &statement).await), "microdata.changed");
    assert_eq!(world.end_of(&run).await.phase, Phase::Refused);
    assert!(microdata::held(&world, &run).await.is_none());

    assert_eq!(records(&world, "records").await.rows, everyone - 1);
    let (_, csv) = world.answer("table").await;
    let without = attack::read(&csv);
    // The person comes back in, and the recipient subtracts one table from the other: what differs by one person is
    // withheld, or the table refused.
    assert!(restrict(&world, &inside[0], Restriction::AllUse, false).await);
    let again = world.submit("again", &example_query().unwrap()).await.unwrap();
    let end = world.end_of(&again).await;
    if end.phase == Phase::Released {
        let csv = world.client("researcher").await.fetch(&again, Format::Csv).await.unwrap();
        let differing = attack::read(&csv).differing(&without);
        assert!(differing.iter().all(|(a, b)| a.abs_diff(*b) >= K), "{differing:?}");
    } else {
        assert_eq!(end.code, "disclosure.not_beside_earlier");
    }
    world.end().await;
}

/// Waits until a person has no contact any more.
async fn until_gone(world: &World, number: &str) -> Vec<OwnRows> {
    for _ in 0..200 {
        let rows = own(world, number).await;
        if contacts(&rows).is_empty() {
            return rows;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the rows are still there")
}

fn parts(world: &World) -> usize {
    std::fs::read_dir(world.stage.register().join("parts")).unwrap().count()
}

/// The same delivery, made a day later, as a correction of it.
fn corrected(world: &World, delivery: &str, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(world.stage.path("deliveries").join(delivery)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    let description = to.join("delivery.toml");
    let text = std::fs::read_to_string(&description).unwrap();
    let created = text.lines().find(|line| line.starts_with("created")).unwrap().to_owned();
    let day: chrono::NaiveDate = created.split('"').nth(1).unwrap().parse().unwrap();
    let later = created.replace(&day.to_string(), &day.succ_opt().unwrap().to_string());
    std::fs::write(&description, text.replace(&created, &later)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn erased_rows_are_gone_from_the_register_and_do_not_come_back() {
    let world = World::running(&Making { persons: 800, ..Making::default() }).await;
    let [first, second] = patients(&world).try_into().unwrap();
    let kept = own(&world, &second[0]).await;
    let before = parts(&world);
    let portal = world.client("portal").await;
    portal.erase_person(&ticket(&world, &first[0]).await).await.unwrap();
    let history = portal.restrictions(&ticket(&world, &first[0]).await).await.unwrap();
    assert_eq!(history.iter().map(|c| c.restriction).collect::<Vec<_>>(), [Restriction::AllUse]);
    let left = until_gone(&world, &first[0]).await;
    let datasets: BTreeSet<&str> = left.iter().map(|own| own.dataset.as_str()).collect();
    assert_eq!(datasets, ["population", "residence"].into());
    assert_eq!(own(&world, &second[0]).await, kept);
    // The snapshots that held them are deleted, not only put aside.
    assert_eq!(parts(&world), before);
    assert_eq!(std::fs::read_dir(world.stage.register().join("snapshots")).unwrap().count(), 1);

    // A delivery that is sent again for the same days does not bring them back.
    let again = world.stage.path("deliveries/kuhr-2024-corrected");
    corrected(&world, "kuhr-2024", &again);
    world.stage.deliver(&again).await.unwrap();
    assert!(contacts(&own(&world, &first[0]).await).is_empty());
    assert_eq!(contacts(&own(&world, &second[0]).await), contacts(&kept));

    // Questions go on being answered on what is left.
    let approval: Approval = world.approve().await;
    assert!(!approval.grants.is_empty());
    world.answer("after").await;
    world.end().await;
}
