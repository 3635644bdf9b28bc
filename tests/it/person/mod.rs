//! The registered person through a citizen portal: what was released about one, and what nobody learns of another.

mod rights;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kpr::app::stage::{Process, example_query};
use kpr::app::system::SystemClock;
use kpr::authorise::Role;
use kpr::config::TlsFiles;
use kpr::domain::clock::Clock;
use kpr::domain::ids::{OrganisationId, RunId};
use kpr::domain::person::{CorrectionOf, OwnRows, PersonLog, Restriction, Ticket};
use kpr::domain::query::{Answer, Query};
use kpr::store::Phase;
use kpr::wire::gateway_client::GatewayClient;
use kpr::wire::identity_client::IdentityLink;
use kpr::wire::pki::{Authority, CertificateRequest, Validity};
use kpr::wire::status::PeerRefusal;

use crate::microdata::{self, code};
use crate::world::{Making, World};

/// The lines of a delivered file, without the header, split.
fn lines(world: &World, file: &str) -> Vec<Vec<String>> {
    let path = world.stage.path("deliveries").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{}", path.display()));
    text.lines().skip(1).map(|line| line.split(';').map(str::to_owned).collect()).collect()
}

/// The identity numbers of each person of the population.
fn population(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut persons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines(world, "folkeregisteret/identitet.csv") {
        persons.entry(line[0].clone()).or_default().push(line[1].clone());
    }
    persons
}

/// An identity number of the population.
pub fn number(world: &World, nth: usize) -> String {
    population(world).into_values().nth(nth).unwrap().remove(0)
}

/// Numbers of persons whom the question is about, and of others, by the delivered files.
pub fn in_and_out(world: &World) -> [Vec<String>; 2] {
    let asked: BTreeSet<String> = lines(world, "npr-2024/EPISODE.csv")
        .into_iter()
        .filter(|e| e[2] == "1" && ["310", "320"].contains(&e[6].as_str()) && e[5].starts_with("2024-"))
        .map(|e| e[1].clone())
        .collect();
    let numbers: BTreeSet<String> = lines(world, "npr-2024/NPR_IDE.csv")
        .into_iter()
        .filter(|line| asked.contains(&line[0]))
        .map(|line| line[1].clone())
        .collect();
    let (inside, outside): (Vec<_>, Vec<_>) =
        population(world).into_values().partition(|of| of.iter().any(|number| numbers.contains(number)));
    [inside, outside].map(|persons| persons.into_iter().flatten().collect())
}

fn link(world: &World, party: &str) -> IdentityLink {
    IdentityLink::new(&world.stage.identity(), &world.stage.tls(party)).unwrap()
}

/// A ticket of the portal for a person.
pub async fn ticket(world: &World, number: &str) -> Ticket {
    link(world, "portal").open_ticket(number).await.unwrap()
}

pub async fn log(world: &World, number: &str) -> PersonLog {
    world.client("portal").await.person_log(&ticket(world, number).await).await.unwrap()
}

/// All that a delivery has of a person in one dataset.
pub fn correction_of(own: &OwnRows) -> CorrectionOf {
    CorrectionOf { delivery: own.delivery, dataset: own.dataset.clone(), record: None, field: None }
}

/// Does all that a portal can for a person. Returns how many tickets it has asked for.
pub async fn everything(world: &World, number: &str) -> usize {
    let (portal, identity) = (world.client("portal").await, link(world, "portal"));
    let ticket = async || identity.open_ticket(number).await.unwrap();
    portal.person_log(&ticket().await).await.unwrap();
    let rows = portal.person_rows(&ticket().await).await.unwrap();
    portal.request_correction(&ticket().await, &correction_of(&rows[0]), "the date is wrong").await.unwrap();
    portal.restrict(&ticket().await, Restriction::ReleaseWithIdentity, true).await.unwrap();
    portal.restrictions(&ticket().await).await.unwrap();
    identity.uses(&ticket().await).await.unwrap();
    portal.erase_person(&ticket().await).await.unwrap();
    7
}

/// Has the example's records made and released by both stewards.
async fn release(world: &World, request: &str) {
    let (run, phase, why) = microdata::until_held(world, request, &microdata::question()).await;
    assert_eq!((phase, why.as_str()), (Phase::Held, ""));
    let statement = microdata::held(world, &run).await.unwrap().statement;
    assert!(!microdata::sign(world, "anna", &statement).await.unwrap());
    assert!(microdata::sign(world, "bjorn", &statement).await.unwrap());
}

async fn running() -> World {
    let world = World::running(&Making { persons: 2500, discharge_rate: 0.3, ..Making::default() }).await;
    world.approve().await;
    world.approve_this(&microdata::approval()).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_what_was_released_about_that_person_and_nothing_of_others() {
    let world = running().await;
    let [inside, outside] = in_and_out(&world);
    assert!(inside.len() > 100 && outside.len() > 100);
    // A table that tells no more than the records will.
    let query = Query { by: Vec::new(), ..example_query().unwrap() };
    let run = world.submit("table", &query).await.unwrap();
    let end = world.end_of(&run).await;
    assert_eq!(end.phase, Phase::Released, "{} {}", end.code, end.hint);
    let before = log(&world, &outside[0]).await;
    assert!(before.records.is_empty());
    let [table] = before.tables.as_slice() else { panic!("{before:?}") };
    assert_eq!((table.tables, table.facts.project.as_str()), (1, "P-2026-0001"));

    // Records are released: those who are in them see it, and for everybody else nothing has changed.
    release(&world, "records").await;
    let approval = microdata::approval();
    for number in inside.iter().step_by(inside.len() / 8) {
        let log = log(&world, number).await;
        let [released] = log.records.as_slice() else { panic!("{log:?}") };
        let facts = &released.facts;
        assert_eq!(released.day, SystemClock.today());
        assert_eq!((facts.result, &facts.project), (Answer::Microdata, &approval.project));
        assert_eq!((&facts.purpose, &facts.legal_basis), (&approval.purpose, &approval.legal_basis));
        assert_eq!((&facts.title, &facts.recipient), (&approval.title, &approval.recipients[0]));
        assert_eq!(facts.population, microdata::question().cohort);
        let sources: Vec<_> = facts.sources.iter().map(|s| s.dataset.as_str()).collect();
        assert_eq!(sources, ["kuhr_contact", "episode"]);
        assert_eq!(log.tables, before.tables);
    }
    for number in outside.iter().step_by(outside.len() / 8) {
        assert_eq!(log(&world, number).await, before);
    }
    // One whom nobody knows is answered like one about whom nothing was released.
    assert_eq!(log(&world, "30908299996").await, before);

    // Stewards and auditors see each release once, and of the persons a digest.
    let listed = world.client("anna").await.disclosures(None).await.unwrap();
    let results: Vec<_> = listed.iter().map(|d| (d.facts.result, d.persons.is_some())).collect();
    assert_eq!(results, [(Answer::Table, false), (Answer::Microdata, true)]);
    let rest = world.client("auditor").await.disclosures(Some(listed[0].receipt)).await.unwrap();
    assert_eq!(rest, listed[1..]);
    assert_eq!(code(world.client("portal").await.disclosures(None).await), "access.role");
    nothing_on_disk_tells(&world, &listed[1].run);

    // The same after a restart.
    let mut world = world;
    assert!(world.gateway.take().unwrap().stop().await);
    world.gateway = Some(world.stage.start(Process::Gateway).await.unwrap());
    assert_eq!(log(&world, &inside[0]).await.records.len(), 1);
    assert_eq!(log(&world, &outside[0]).await, before);
    world.end().await;
}

/// Without the key the database does not tell who is in records: no chunk is a bitmap that anybody reads.
fn nothing_on_disk_tells(world: &World, run: &RunId) {
    let key = |name: &str| std::fs::read(world.stage.path(name)).unwrap();
    assert_ne!(key("gateway/persons.key"), key("gateway/pattern.key"));
    let disk = [key("gateway/control.sqlite"), key("gateway/control.sqlite-wal")].concat();
    assert!(disk.windows(run.as_str().len()).any(|w| w == run.as_str().as_bytes()), "the search finds");
    for path in ["gateway/control.sqlite", "gateway/control.sqlite-wal"] {
        let found = roaring_at_start_of_anything(&world.stage.path(path));
        assert!(!found, "{path} holds a bitmap of persons");
    }
}

/// A roaring bitmap begins with a cookie (12346 or 12347, little-endian); with a container count or its key after it.
fn roaring_at_start_of_anything(path: &Path) -> bool {
    let bytes = std::fs::read(path).unwrap();
    bytes.windows(8).any(|w| w[..4] == [0x3a, 0x30, 0, 0] && w[4] == 1 && w[5..] == [0, 0, 0])
}

fn refused<T>(answer: Result<T, PeerRefusal>) -> String {
    answer.err().unwrap().code
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_for_one_call_of_the_portal_it_was_given_to() {
    let world = running().await;
    world.answer("table").await;
    let person = number(&world, 3);
    let portal = world.client("portal").await;

    let used = ticket(&world, &person).await;
    portal.person_log(&used).await.unwrap();
    let (other_gateway, other_identity) = another_portal(&world).await;
    let of_this = ticket(&world, &person).await;
    let of_other = other_identity.open_ticket(&person).await.unwrap();
    let bad = [
        portal.person_log(&used).await,
        other_gateway.person_log(&of_this).await,
        // Presented by another once, it is good for nobody.
        portal.person_log(&of_this).await,
        portal.person_log(&of_other).await,
        portal.person_log(&Ticket::from_bytes([0; 32])).await,
    ];
    let texts: BTreeSet<String> = bad.into_iter().map(|answer| answer.unwrap_err().to_string()).collect();
    assert_eq!(texts.len(), 1, "all that is wrong with a ticket reads alike: {texts:?}");
    assert!(texts.first().unwrap().starts_with("person.ticket: "));

    // Who is no portal gets no ticket, and with a portal's ticket nothing.
    for party in ["anna", "researcher", "auditor", "gateway", "ingest"] {
        assert_eq!(refused(link(&world, party).open_ticket(&person).await), "access.role", "{party}");
        let ticket = ticket(&world, &person).await;
        assert_eq!(code(world.client(party).await.person_log(&ticket).await), "access.role", "{party}");
    }
    for wrong in ["30908299997", "0281329999", "", "x"] {
        let refusal = link(&world, "portal").open_ticket(wrong).await.unwrap_err();
        assert_eq!(refusal.code, "identity.not_a_number");
        assert!(wrong.len() < 2 || !refusal.hint.contains(wrong));
    }

    // How the number was used: each look-up, and the run that derived codes.
    let identity = link(&world, "portal");
    let uses = identity.uses(&ticket(&world, &person).await).await.unwrap();
    assert_eq!(uses.look_ups.len(), 9);
    let by = |organisation: &str| {
        uses.look_ups.iter().filter(|look_up| look_up.organisation.as_str() == organisation).count()
    };
    assert_eq!((by("NTRNO-310000051"), by("NTRNO-310000078")), (8, 1));
    let [derived] = uses.derivations.as_slice() else { panic!("{uses:?}") };
    assert_eq!((derived.register.as_str(), derived.runs), ("NPR", 1));
    let another = identity.uses(&ticket(&world, &number(&world, 4)).await).await.unwrap();
    assert_eq!((another.look_ups.len(), &another.derivations), (1, &uses.derivations));

    // Without the identity service nothing is shown.
    let mut world = world;
    let ticket = ticket(&world, &person).await;
    world.identity.take().unwrap().kill().await;
    assert_eq!(code(portal.person_log(&ticket).await), "identity.refused");
    world.end().await;
}

/// The files of a certificate made for this organisation and role.
fn certificate(world: &World, organisation: &str, role: Role) -> TlsFiles {
    let folder = world.stage.path("pki");
    let request = CertificateRequest {
        organisation: OrganisationId::new(organisation).unwrap(),
        role,
        name: "another".to_owned(),
        dns: vec![],
        validity: Validity::days(SystemClock.now(), 1),
    };
    let issued = Authority::read(&folder).unwrap().issue(&request).unwrap();
    issued.write(&folder.join("another"), &folder.join(Authority::CERTIFICATE)).unwrap()
}

/// A second portal, of another organisation.
async fn another_portal(world: &World) -> (GatewayClient, IdentityLink) {
    let files = certificate(world, "NTRNO-310000078", Role::Portal);
    let gateway = GatewayClient::connect(&world.stage.gateway(), &files).await.unwrap();
    (gateway, IdentityLink::new(&world.stage.identity(), &files).unwrap())
}
