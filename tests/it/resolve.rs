//! A serial number of released records, resolved by two stewards together; and what fewer, others and a gateway that is
//! taken over get.

use kpr::domain::canonical::Canonical;
use kpr::domain::clock::Clock;
use kpr::domain::ids::{ProjectId, RunId, StewardId};
use kpr::domain::microdata::SerialNumber;
use kpr::domain::resolution::{ResolutionReason, ResolutionStatement};
use kpr::linkage::ResolutionDesk;
use kpr::statistics::Format;
use kpr::store::Phase;
use kpr::wire::gateway_client::ClientError;
use kpr::wire::identity_client::IdentityLink;
use kpr::wire::pki;
use kpr::wire::pki::demo;

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
    ResolutionStatement {
        project: microdata::approval().project,
        run: RunId::new(format!("r-{}", "ab".repeat(16))).unwrap(),
        serial: SerialNumber::new(&[7; 20]).unwrap(),
        reason: ResolutionReason::HealthRisk,
        asked: kpr::app::system::SystemClock.now(),
    }
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
    let statement = ResolutionStatement { run: run.clone(), serial: serials[0].clone(), ..of_nobody() };

    // What is not there reads like what is another project's or another run's, and like a changed serial number.
    let mut changed = serials[0].as_bytes().to_vec();
    changed[0] ^= 1;
    let mut said = Vec::new();
    for other in [
        ResolutionStatement { project: ProjectId::new("P-2026-0001").unwrap(), ..statement.clone() },
        ResolutionStatement { run: of_nobody().run, ..statement.clone() },
        ResolutionStatement { serial: SerialNumber::new(&changed).unwrap(), ..statement.clone() },
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
    let person = kpr::domain::ids::PersonNo(3);
    for forged in [
        vec![signed("anna", "anna")],
        vec![signed("anna", "anna"), signed("anna", "anna")],
        vec![signed("anna", "anna"), signed("bjorn", "anna")],
    ] {
        let refused = gateway.deposit(&statement, &forged, person).await.unwrap_err();
        assert!(refused.hint.contains("identity.approval"), "{}", refused.hint);
    }

    // Both, and only the second is told.
    let [waiting] = world.client("bjorn").await.waiting_resolutions().await.unwrap().try_into().unwrap();
    assert_eq!(waiting.signed_by, [StewardId::new("anna").unwrap()]);
    assert!(sign(&world, &waiting.statement, "bjorn").await.unwrap());
    assert_eq!(code(sign(&world, &statement, "bjorn").await), "resolution.used");
    assert_eq!(collect(&world, "anna", &statement).await.unwrap_err(), "identity.resolution");
    for party in ["gateway", "researcher", "portal", "npr", "auditor"] {
        assert_eq!(collect(&world, party, &statement).await.unwrap_err(), "access.role", "{party}");
    }
    let numbers = collect(&world, "bjorn", &statement).await.unwrap();
    assert_eq!(collect(&world, "bjorn", &statement).await.unwrap_err(), "identity.resolution");
    // What a gateway still has of it is good for nothing more.
    let both = [signed("anna", "anna"), signed("bjorn", "bjorn")];
    let replayed = gateway.deposit(&statement, &both, person).await.unwrap_err();
    assert!(replayed.hint.contains("identity.resolution_used"), "{}", replayed.hint);

    // It is a person of the records, and another serial number is another person.
    let [inside, _] = person::in_and_out(&world);
    assert!(numbers.iter().all(|number| inside.contains(number)));
    let second = ResolutionStatement { serial: serials[1].clone(), ..statement.clone() };
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
