//! A partner that lies, stalls, refuses, or is another than it should be.

use kpr::app::stage::{Process, StageOptions, example_approval, example_query};
use kpr::app::system::SystemClock;
use kpr::authorise::Role;
use kpr::domain::clock::Clock;
use kpr::domain::ids::{OrganisationId, ProjectId, RegisterId, RunId};
use kpr::domain::order::LinkageOrder;
use kpr::domain::refusal::RefusalKind;
use kpr::linkage::{DeclineCode, DeclineReason};
use kpr::partner::{GatewayLink, KeySource};
use kpr::statistics::Format;
use kpr::store::Phase;
use kpr::wire::pki::{Authority, CertificateRequest, Validity};

use super::liar::{Liar, answer, batch, rows};
use super::lies::{LIES, Lie};
use super::{ends, forged, in_order, kill, releases, small, start};
use crate::world::{Making, World};

async fn ordered(world: &World, liar: &mut Liar, request: &str) -> (RunId, LinkageOrder) {
    let run = world.submit(request, &example_query().unwrap()).await.unwrap();
    let order = liar.order().await;
    assert_eq!(order.run, run);
    (run, order)
}

async fn tells(world: &World, liar: &mut Liar, number: usize, lie: &Lie) {
    let request = format!("lie-{number}");
    let (run, order) = ordered(world, liar, &request).await;
    let told = liar.send(&order.id, (lie.parts)(&order)).await;
    assert!(told.is_err(), "{} is taken", lie.what);
    let hint = ends(world, &request, &run, Phase::Failed, lie.code).await;
    assert!(!hint.contains("02813299997"), "{}: {hint}", lie.what);
    // The order has gone with the first fault: a better answer comes too late.
    let late = liar.send(&order.id, answer(&order)).await.unwrap_err();
    assert_eq!((late.kind, late.code.as_str()), (RefusalKind::NotFound, "linkage.unknown_order"));
}

/// A partner of another register, certified by the same authority.
async fn another_register(world: &World, liar: &mut Liar) {
    let folder = world.stage.path("pki");
    let request = CertificateRequest {
        organisation: OrganisationId::new("NTRNO-310000051").unwrap(),
        role: Role::Partner,
        name: "DAR".to_owned(),
        dns: Vec::new(),
        validity: Validity::days(SystemClock.now(), 1),
    };
    let issued = Authority::read(&folder).unwrap().issue(&request).unwrap();
    let certificate = issued.write(&folder.join("dar"), &folder.join(Authority::CERTIFICATE)).unwrap();
    let spied = Liar::with(world, "NPR", &certificate).await.err().unwrap();
    assert_eq!((spied.kind, spied.code.as_str()), (RefusalKind::Denied, "policy.not_permitted"));
    let other = Liar::with(world, "DAR", &certificate).await.unwrap();

    let (run, order) = ordered(world, liar, "another-register").await;
    let sent = other.send(&order.id, answer(&order)).await.unwrap_err();
    assert_eq!(sent.code, "linkage.unknown_order");
    let code = DeclineCode::new("policy.project");
    let declined = other.gateway.decline(&order.id, DeclineReason::Policy, code.clone()).await.unwrap_err();
    assert_eq!(declined.code, "linkage.unknown_order");
    let key = other.keys.linkage_key(&order).await.unwrap_err();
    assert_eq!((key.kind, key.code.as_str()), (RefusalKind::Denied, "identity.other_register"));
    let mut own = order.clone();
    own.register = RegisterId::new("DAR").unwrap();
    let key = other.keys.linkage_key(&own).await.unwrap_err();
    assert_eq!((key.kind, key.code.as_str()), (RefusalKind::Denied, "identity.order"));

    // None of this has touched the order. Its own partner can still refuse it, and the researcher is told.
    liar.gateway.decline(&order.id, DeclineReason::Policy, code).await.unwrap();
    let end = ends(world, "another-register", &run, Phase::Refused, "linkage.declined_by_policy").await;
    assert!(end.contains("policy.project"), "{end}");
}

/// Rows of the right form with codes that were not made for their order.
async fn made_up_codes(world: &World, liar: &mut Liar) {
    let (run, order) = ordered(world, liar, "no-key").await;
    liar.send(&order.id, answer(&order)).await.unwrap();
    let hint = ends(world, "no-key", &run, Phase::Failed, "linkage.identity").await;
    assert!(hint.contains("identity.key_not_fetched"), "{hint}");

    // With the key fetched, codes of another project or run are codes of nobody: they count for none.
    let (run, order) = ordered(world, liar, "nobody").await;
    liar.keys.linkage_key(&order).await.unwrap();
    liar.send(&order.id, answer(&order)).await.unwrap();
    counts_nobody(world, &run).await;

    // So are the codes of real persons, made for another project.
    let mut approval = example_approval().unwrap();
    approval.project = ProjectId::new("P-2026-0002").unwrap();
    world.approve_this(&approval).await;
    let mut query = example_query().unwrap();
    query.project = approval.project;
    let (one, first) = ordered(world, liar, "project-1").await;
    let two = world.submit("project-2", &query).await.unwrap();
    let second = liar.order().await;
    let both = async {
        counts_nobody(world, &one).await;
        counts_nobody(world, &two).await;
    };
    forged::answer_swapped(world, [first, second], both).await;
}

/// A run that is released with no person in it.
async fn counts_nobody(world: &World, run: &RunId) {
    let end = world.end_of(run).await;
    assert_eq!(end.phase, Phase::Released, "{} {}", end.code, end.hint);
    let csv = world.client("researcher").await.fetch(run, Format::Csv).await.unwrap();
    let mut table = csv::Reader::from_reader(csv.as_slice());
    let persons = table.headers().unwrap().iter().position(|name| name == "persons").unwrap();
    assert!(table.records().all(|row| &row.unwrap()[persons] == "0"), "codes of nobody were counted");
}

/// One order is begun and left, another never begun; both expire.
async fn silence(world: &World, liar: &mut Liar) {
    let (stalled, order) = ordered(world, liar, "stalled").await;
    let (parts, told) = liar.begin(&order.id);
    parts.send(batch(0, rows(&order, 2))).await.unwrap();
    let (waiting, _) = ordered(world, liar, "not-taken").await;
    ends(world, "stalled", &stalled, Phase::Failed, "linkage.timed_out").await;
    ends(world, "not-taken", &waiting, Phase::Failed, "linkage.not_taken").await;
    assert_eq!(told.await.unwrap().unwrap_err().code, "linkage.unknown_order");
    drop(parts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_or_silent_partner_ends_its_run_and_nothing_else() {
    let stage = StageOptions { order_seconds: Some(30), ..StageOptions::default() };
    let mut world = World::running(&Making { stage, ..small() }).await;
    world.approve().await;
    let (released, table) = world.answer("honest").await;
    kill(&mut world.npr).await;

    let mut liar = Liar::new(&world).await;
    for (number, lie) in LIES.iter().enumerate() {
        tells(&world, &mut liar, number, lie).await;
    }
    another_register(&world, &mut liar).await;
    made_up_codes(&world, &mut liar).await;
    let (run, order) = ordered(&world, &mut liar, "forged").await;
    forged::orders(&world, &liar, &order).await;
    liar.gateway.decline(&order.id, DeclineReason::Approval, DeclineCode::new("order.stale")).await.unwrap();
    ends(&world, "forged", &run, Phase::Refused, "linkage.declined_for_approval").await;
    silence(&world, &mut liar).await;
    drop(liar);

    world.npr = start(&world, Process::Npr).await;
    releases(&world, &released, &table).await;
    let (_, after) = world.answer("honest-again").await;
    assert_eq!(after, table);
    in_order(&world).await;
    forged::superseded(&world, &order).await;
    world.end().await;
}
