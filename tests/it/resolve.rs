//! A serial number of released records, resolved by two stewards together; and what fewer, others and a gateway that is
//! taken over get.

use kpr::app::system::SystemClock;
use kpr::authorise::Role;
use kpr::config::TlsFiles;
use kpr::domain::canonical::Canonical;
use kpr::domain::clock::Clock;
use kpr::domain::ids::{OrganisationId, PersonNo, ProjectId, RunId, StewardId};
use kpr::domain::microdata::SerialNumber;
use kpr::domain::person::Restriction;
use kpr::domain::resolution::{ResolutionReason, ResolutionStatement, Subject};
use kpr::linkage::ResolutionDesk;
use kpr::statistics::Format;
use kpr::store::Phase;
use kpr::wire::gateway_client::{ClientError, GatewayClient};
use kpr::wire::identity_client::IdentityLink;
use kpr::wire::pki::{self, Authority, CertificateRequest, Validity, demo};

use crate::microdata::{self, code};
use crate::person;
use crate::world::{Making, World};

fn link(world: &World, party: &str) -> IdentityLink {
    IdentityLink::new(&world.stage.identity(), &world.stage.tls(party)).unwrap()
}

/// Has a statement signed with the key of `key` in the name of `steward`, and sent by `caller`.
async fn send(
    world: &World,
    statement: &ResolutionStatement,
    [caller, steward, key]: [&str; 3],
) -> Result<bool, ClientError> {
    let key = pki::read_signing_key(&demo::signing_key(&world.stage.path("pki"), key)).unwrap();
    let signature = statement.sign(StewardId::new(steward).unwrap(), &key).unwrap();
    world.client(caller).await.sign_resolution(statement, &signature).await
}

pub async fn sign(
    world: &World,
    statement: &ResolutionStatement,
    steward: &str,
) -> Result<bool, ClientError> {
    send(world, statement, [steward; 3]).await
}

pub async fn collect(
    world: &World,
    party: &str,
    statement: &ResolutionStatement,
) -> Result<Vec<String>, String> {
    let numbers = link(world, party).collect_resolution(&statement.digest().unwrap()).await;
    let text = |number: &[u8]| String::from_utf8(number.to_vec()).unwrap();
    numbers.map(|all| all.iter().map(|number| text(number)).collect()).map_err(|refusal| refusal.code)
}

/// The files of a certificate with a steward's name and role, of another organisation than the steward's.
fn namesake(world: &World, steward: &str) -> TlsFiles {
    let folder = world.stage.path("pki");
    let request = CertificateRequest {
        organisation: OrganisationId::new(demo::UNIVERSITY).unwrap(),
        role: Role::Steward,
        name: steward.to_owned(),
        dns: vec![],
        validity: Validity::days(SystemClock.now(), 1),
    };
    let issued = Authority::read(&folder).unwrap().issue(&request).unwrap();
    issued.write(&folder.join("namesake"), &folder.join(Authority::CERTIFICATE)).unwrap()
}

/// The serial numbers of released records.
pub fn serials(csv: &[u8]) -> Vec<SerialNumber> {
    let mut reader = csv::Reader::from_reader(csv);
    reader.records().map(|record| SerialNumber::try_from(record.unwrap()[0].to_owned()).unwrap()).collect()
}

/// How often the register keeper has looked a person up, as the person is told.
pub async fn looked_up(world: &World, number: &str) -> usize {
    let uses = link(world, "portal").uses(&person::ticket(world, number).await).await.unwrap();
    uses.look_ups.iter().filter(|used| used.organisation.as_str() == demo::KEEPER).count()
}

/// A statement about a serial number that nobody has.
pub fn of_nobody() -> ResolutionStatement {
    let run = RunId::new(format!("r-{}", "ab".repeat(16))).unwrap();
    of_record(microdata::approval().project, run, &[7; 20])
}

/// A statement about a serial number of a run's records.
pub fn of_record(project: ProjectId, run: RunId, serial: &[u8]) -> ResolutionStatement {
    let (serial, reason) = (SerialNumber::new(serial).unwrap(), ResolutionReason::HealthRisk);
    let subject = Subject::Serial { project, run, serial, reason };
    ResolutionStatement { subject, asked: SystemClock.now() }
}

/// Asks, as one steward, for what nobody has.
pub async fn ask_for_nobody(world: &World) {
    assert_eq!(code(sign(world, &of_nobody(), "anna").await), "resolution.serial");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stewards_together_have_a_person_named_and_nobody_less_does() {
    let world = World::running(&Making { persons: 2500, discharge_rate: 0.3, ..Making::default() }).await;
    world.approve().await;
    world.approve_this(&microdata::approval()).await;
    let (run, phase, why) = microdata::until_held(&world, "records", &microdata::question()).await;
    assert_eq!((phase, why.as_str()), (Phase::Held, ""));
    let release = microdata::held(&world, &run).await.unwrap().statement;
    assert!(!microdata::sign(&world, "anna", &release).await.unwrap());
    assert!(microdata::sign(&world, "bjorn", &release).await.unwrap());
    let csv = world.client("researcher").await.fetch(&run, Format::Csv).await.unwrap();
    let serials = serials(&csv);
    let project = microdata::approval().project;
    let of = |serial: &SerialNumber| of_record(project.clone(), run.clone(), serial.as_bytes());
    let statement = of(&serials[0]);

    // What is not there reads like what is another project's or another run's, and like a changed serial number.
    let mut changed = serials[0].as_bytes().to_vec();
    changed[0] ^= 1;
    let mut said = Vec::new();
    for other in [
        of_record(ProjectId::new("P-2026-0001").unwrap(), run.clone(), serials[0].as_bytes()),
        of_record(
            project.clone(),
            RunId::new(format!("r-{}", "ab".repeat(16))).unwrap(),
            serials[0].as_bytes(),
        ),
        of(&SerialNumber::new(&changed).unwrap()),
        of_nobody(),
    ] {
        match sign(&world, &other, "anna").await {
            Err(ClientError::Refused(refusal)) => said.push((refusal.code, refusal.hint)),
            other => panic!("{other:?}"),
        }
    }
    said.dedup();
    assert_eq!(said.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), ["resolution.serial"]);

    // One steward, in every way.
    assert_eq!(code(send(&world, &statement, ["researcher", "anna", "anna"]).await), "access.role");
    assert!(!sign(&world, &statement, "anna").await.unwrap());
    assert_eq!(code(sign(&world, &statement, "anna").await), "resolution.signed_already");
    assert_eq!(code(send(&world, &statement, ["anna", "bjorn", "anna"]).await), "resolution.other_steward");
    assert_eq!(code(send(&world, &statement, ["bjorn", "bjorn", "anna"]).await), "resolution.bad_signature");
    for party in ["anna", "bjorn"] {
        assert_eq!(collect(&world, party, &statement).await.unwrap_err(), "identity.resolution");
    }
    // A gateway that is taken over makes up the second signature, or gives the first one twice.
    let signed = |name: &str, key: &str| {
        let key = pki::read_signing_key(&demo::signing_key(&world.stage.path("pki"), key)).unwrap();
        statement.sign(StewardId::new(name).unwrap(), &key).unwrap()
    };
    let gateway = link(&world, "gateway");
    let person = PersonNo(3);
    for forged in [
        vec![signed("anna", "anna")],
        vec![signed("anna", "anna"), signed("anna", "anna")],
        vec![signed("anna", "anna"), signed("bjorn", "anna")],
    ] {
        let refused = gateway.deposit(&statement, &forged, &[person]).await.unwrap_err();
        assert!(refused.hint.contains("identity.approval"), "{}", refused.hint);
    }

    // Nor is anybody a steward who has a steward's name and even the signing key, and is of another organisation.
    let namesake = namesake(&world, "bjorn");
    let at_gateway = GatewayClient::connect(&world.stage.gateway(), &namesake).await.unwrap();
    let by_bjorn = signed("bjorn", "bjorn");
    assert_eq!(code(at_gateway.sign_resolution(&statement, &by_bjorn).await), "access.steward");
    assert_eq!(code(at_gateway.waiting_resolutions().await), "access.steward");

    // Both, and only the second is told.
    let [waiting] = world.client("bjorn").await.waiting_resolutions().await.unwrap().try_into().unwrap();
    assert_eq!(waiting.signed_by, [StewardId::new("anna").unwrap()]);
    assert!(sign(&world, &waiting.statement, "bjorn").await.unwrap());
    assert_eq!(code(sign(&world, &statement, "bjorn").await), "resolution.used");
    assert_eq!(collect(&world, "anna", &statement).await.unwrap_err(), "identity.resolution");
    let at_identity = IdentityLink::new(&world.stage.identity(), &namesake).unwrap();
    let refused = at_identity.collect_resolution(&statement.digest().unwrap()).await.err().unwrap();
    assert_eq!(refused.code, "access.steward");
    for party in ["gateway", "researcher", "portal", "npr", "auditor"] {
        assert_eq!(collect(&world, party, &statement).await.unwrap_err(), "access.role", "{party}");
    }
    let numbers = collect(&world, "bjorn", &statement).await.unwrap();
    assert_eq!(collect(&world, "bjorn", &statement).await.unwrap_err(), "identity.resolution");
    // What a gateway still has of it is good for nothing more.
    let both = [signed("anna", "anna"), signed("bjorn", "bjorn")];
    let replayed = gateway.deposit(&statement, &both, &[person]).await.unwrap_err();
    assert!(replayed.hint.contains("identity.resolution_used"), "{}", replayed.hint);

    // It is a person of the records, and another serial number is another person.
    let [inside, _] = person::in_and_out(&world);
    assert!(numbers.iter().all(|number| inside.contains(number)));
    let second = of(&serials[1]);
    assert!(!sign(&world, &second, "bjorn").await.unwrap());
    assert!(sign(&world, &second, "anna").await.unwrap());
    let others = collect(&world, "anna", &second).await.unwrap();
    assert!(inside.contains(&others[0]) && !numbers.contains(&others[0]));

    // The person sees it; the log tells who ordered it; no identity number came to the gateway.
    assert_eq!(looked_up(&world, &numbers[0]).await, 1);
    let disk = microdata::on_disk(&world);
    for number in numbers.iter().chain(&others) {
        assert!(!disk.windows(11).any(|window| window == number.as_bytes()));
    }
    let entries = world.client("auditor").await.entries(0, 10_000).await.unwrap();
    let kinds: Vec<u16> = entries
        .iter()
        .map(|entry| kpr::audit::Leaf::from_canonical(&entry.leaf).unwrap().kind)
        .filter(|kind| *kind >= 50)
        .collect();
    assert_eq!(kinds, [50, 51, 53, 50, 51, 53]);
    world.end().await;
}

/// KPR regulation 4-2 and 4-5: whom the register keeper must leave out of a release with identity.
#[tokio::test(flavor = "multi_thread")]
async fn two_stewards_together_are_told_who_has_reserved_and_the_gateway_is_not() {
    let world = World::running(&Making { persons: 1500, ..Making::default() }).await;
    let anna = world.client("anna").await;
    let now = SystemClock.now();
    let of = |persons: &[PersonNo]| ResolutionStatement { subject: Subject::list(persons), asked: now };
    assert_eq!(code(sign(&world, &of(&[]), "anna").await), "resolution.reservations");

    let reserve = async |number: &str, active| {
        let ticket = person::ticket(&world, number).await;
        world
            .client("portal")
            .await
            .restrict(&ticket, Restriction::ReleaseWithIdentity, active)
            .await
            .unwrap();
    };
    let [first, second, third] = [3, 30, 300].map(|nth| person::number(&world, nth));
    reserve(&first, true).await;
    reserve(&second, true).await;
    let listed = anna.reservations().await.unwrap();
    let statement = of(&listed);
    // Others than those on the list are not named, and one steward is told nothing.
    assert_eq!(code(sign(&world, &of(&[PersonNo(1)]), "anna").await), "resolution.reservations");
    assert!(!sign(&world, &statement, "anna").await.unwrap());
    assert_eq!(code(sign(&world, &statement, "anna").await), "resolution.signed_already");
    assert_eq!(collect(&world, "anna", &statement).await.unwrap_err(), "identity.resolution");
    // Who has reserved in the meantime is on another list; who has lifted the reservation is on none.
    reserve(&third, true).await;
    assert_eq!(code(sign(&world, &statement, "bjorn").await), "resolution.reservations");
    reserve(&third, false).await;
    // A gateway that is taken over has somebody else named under the same signatures.
    let both = ["anna", "bjorn"].map(|name| {
        let key = pki::read_signing_key(&demo::signing_key(&world.stage.path("pki"), name)).unwrap();
        statement.sign(StewardId::new(name).unwrap(), &key).unwrap()
    });
    let gateway = link(&world, "gateway");
    for others in [&[listed[0]][..], &[listed[0], PersonNo(listed[1].0 + 1)]] {
        let refused = gateway.deposit(&statement, &both, others).await.unwrap_err();
        assert!(refused.hint.contains("identity.resolution"), "{}", refused.hint);
    }

    let [waiting] = world.client("bjorn").await.waiting_resolutions().await.unwrap().try_into().unwrap();
    assert_eq!(waiting.statement, statement);
    assert!(sign(&world, &statement, "bjorn").await.unwrap());
    assert_eq!(collect(&world, "anna", &statement).await.unwrap_err(), "identity.resolution");
    let numbers = collect(&world, "bjorn", &statement).await.unwrap();
    assert!(numbers.contains(&first) && numbers.contains(&second) && !numbers.contains(&third));
    assert_eq!(collect(&world, "bjorn", &statement).await.unwrap_err(), "identity.resolution");
    assert_eq!(code(sign(&world, &statement, "bjorn").await), "resolution.used");

    // Each of them sees it, the third does not, and no identity number came to the gateway.
    for (number, times) in [(&first, 1), (&second, 1), (&third, 0)] {
        let uses = link(&world, "portal").uses(&person::ticket(&world, number).await).await.unwrap();
        let by_keeper = uses.look_ups.iter().filter(|used| used.organisation.as_str() == demo::KEEPER);
        assert_eq!(by_keeper.count(), times);
    }
    let disk = microdata::on_disk(&world);
    for number in &numbers {
        assert!(!disk.windows(11).any(|window| window == number.as_bytes()));
    }
    let entries = world.client("auditor").await.entries(0, 10_000).await.unwrap();
    let leaves = entries.iter().map(|entry| kpr::audit::Leaf::from_canonical(&entry.leaf).unwrap());
    let kinds: Vec<u16> = leaves.filter(|leaf| leaf.project.is_none()).map(|leaf| leaf.kind).collect();
    let of_resolutions: Vec<u16> = kinds.into_iter().filter(|kind| *kind >= 50).collect();
    assert_eq!(of_resolutions, [50, 51, 53]);
    world.end().await;
}
