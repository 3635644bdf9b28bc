//! Every endpoint has an audit test: a row here that calls it and finds its leaf in the log, or says why it
//! leaves none. A method of the descriptors without a row fails.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use kpr::app::stage::{example_approval, example_query};
use kpr::app::system::SystemClock;
use kpr::audit::Leaf;
use kpr::authorise::Role;
use kpr::domain::canonical::Canonical;
use kpr::domain::clock::Clock;
use kpr::domain::held::HeldRefusal;
use kpr::domain::ids::{OrganisationId, RequestId, RunId, TableId};
use kpr::domain::lifecycle::Step;
use kpr::domain::person::{Restriction, Ticket};
use kpr::domain::words::Words;
use kpr::linkage::{DeclineCode, DeclineReason};
use kpr::partner::GatewayLink;
use kpr::statistics::Format;
use kpr::store::Phase;
use kpr::wire::gateway_client::GatewayClient;
use kpr::wire::pki::{Authority, CertificateRequest, Validity, demo};

use crate::access::described;
use crate::faults::liar::Liar;
use crate::feed;
use crate::microdata;
use crate::person;
use crate::resolve;
use crate::world::{Making, World};

/// What a call leaves in the log.
enum Leaves {
    /// A leaf of this type, by this role.
    A(u16, &'static str, Case),
    /// None, for this reason.
    Nothing(&'static str),
}
use Leaves::{A, Nothing};

/// Calls the method.
type Case = for<'a> fn(&'a mut Played) -> BoxFuture<'a, ()>;

struct Played {
    world: World,
    run: Option<RunId>,
}

const STATISTICS: &str = "reads published tables, as anybody may over HTTPS";
const LOG: &str = "reads the log itself";
const IDENTITY: &str = "of the identity service, which has no Merkle log: its vault keeps run or look-up and its telemetry tells";
const WITNESS: &str = "of a witness, whose cosignature is the trace";

/// In the order of a project.
const ROWS: &[(&str, Leaves)] = &[
    ("/kpr.v1.Projects/Enter", A(3, "steward", |p| p.enter().boxed())),
    ("/kpr.v1.Projects/Sign", A(4, "steward", |p| p.sign().boxed())),
    ("/kpr.v1.Projects/Get", A(12, "researcher", |p| p.get_refused().boxed())),
    ("/kpr.v1.Projects/List", Nothing("reads approvals; its roles are refused nothing by the policies")),
    ("/kpr.v1.Queries/Check", A(12, "researcher", |p| p.check_refused().boxed())),
    ("/kpr.v1.Microdata/ListHeld", Nothing("reads the reports of what waits; its role is refused nothing")),
    ("/kpr.v1.Microdata/SignHeld", A(16, "steward", |p| p.sign_held().boxed())),
    ("/kpr.v1.Microdata/RefuseHeld", A(8, "steward", |p| p.refuse_held().boxed())),
    ("/kpr.v1.Queries/Submit", A(5, "researcher", |p| p.ask("submit").boxed())),
    ("/kpr.v1.Queries/Watch", A(12, "researcher", |p| p.watch_refused().boxed())),
    ("/kpr.v1.Queries/Fetch", A(10, "researcher", |p| p.fetch().boxed())),
    ("/kpr.v1.Queries/ReadDisclosureReport", A(17, "steward", |p| p.read_report().boxed())),
    ("/kpr.v1.Linkage/TakeOrders", A(6, "researcher", |p| p.ask("orders").boxed())),
    ("/kpr.v1.Linkage/SendRows", A(7, "researcher", |p| p.ask("rows").boxed())),
    ("/kpr.v1.Linkage/Decline", A(8, "researcher", |p| p.decline().boxed())),
    ("/kpr.v1.Statistics/Publish", A(11, "steward", |p| p.publish().boxed())),
    ("/kpr.v1.Statistics/ListTables", Nothing(STATISTICS)),
    ("/kpr.v1.Statistics/GetTable", Nothing(STATISTICS)),
    ("/kpr.v1.Audit/GetCheckpoint", Nothing(LOG)),
    ("/kpr.v1.Audit/ReadEntries", Nothing(LOG)),
    ("/kpr.v1.Identity/Resolve", Nothing(IDENTITY)),
    ("/kpr.v1.Identity/IssueKey", Nothing(IDENTITY)),
    ("/kpr.v1.Identity/MapCodes", Nothing(IDENTITY)),
    ("/kpr.v1.Witness/AddCheckpoint", Nothing(WITNESS)),
    ("/kpr.v1.Witness/GetHeld", Nothing(WITNESS)),
    ("/kpr.v1.Projects/RegisterHours", A(28, "steward", |p| p.hours().boxed())),
    ("/kpr.v1.Projects/Cost", A(29, "steward", |p| p.cost().boxed())),
    (
        "/kpr.v1.Projects/Worklist",
        Nothing("reads applications; its roles are refused nothing by the policies"),
    ),
    ("/kpr.v1.Projects/Record", A(27, "steward", |p| p.record().boxed())),
    ("/kpr.v1.Identity/OpenTicket", Nothing(IDENTITY)),
    ("/kpr.v1.Identity/RedeemTicket", Nothing(IDENTITY)),
    ("/kpr.v1.Identity/ReadUses", Nothing(IDENTITY)),
    ("/kpr.v1.Person/ReadLog", A(32, "portal", |p| p.read_log().boxed())),
    ("/kpr.v1.Person/ReadRows", A(32, "portal", |p| p.read_rows().boxed())),
    ("/kpr.v1.Person/RequestCorrection", A(33, "portal", |p| p.request_correction().boxed())),
    ("/kpr.v1.Person/SetRestriction", A(34, "portal", |p| p.restrict().boxed())),
    ("/kpr.v1.Person/ReadRestrictions", A(32, "portal", |p| p.read_restrictions().boxed())),
    ("/kpr.v1.Person/Erase", A(35, "portal", |p| p.erase().boxed())),
    ("/kpr.v1.Disclosures/ListCorrections", A(37, "steward", |p| p.list_corrections().boxed())),
    ("/kpr.v1.Disclosures/ListReservations", A(37, "steward", |p| p.list_reservations().boxed())),
    ("/kpr.v1.Resolutions/Sign", A(12, "steward", |p| p.ask_resolution().boxed())),
    ("/kpr.v1.Resolutions/List", Nothing("reads what waits; its role is refused nothing")),
    ("/kpr.v1.Identity/DepositResolution", Nothing(IDENTITY)),
    ("/kpr.v1.Identity/CollectResolution", Nothing(IDENTITY)),
    ("/kpr.v1.Disclosures/FetchCorrections", A(60, "sender", |p| p.fetch_corrections().boxed())),
    ("/kpr.v1.Disclosures/List", Nothing("reads definitions and digests; its roles are refused nothing")),
    ("/kpr.v1.Queries/ReadConditions", A(12, "researcher", |p| p.conditions_refused().boxed())),
    ("/kpr.v1.Feeds/Take", A(55, "partner", |p| p.take_feed().boxed())),
    ("/kpr.v1.Feeds/Fetch", A(10, "partner", |p| p.fetch_feed().boxed())),
];

impl Played {
    async fn enter(&mut self) {
        self.world.client("anna").await.enter_project(&example_approval().unwrap(), None).await.unwrap();
    }

    async fn sign(&mut self) {
        self.world.approve().await;
    }

    /// What reads only leaves a leaf where it is refused: to a researcher of another organisation.
    async fn get_refused(&mut self) {
        let project = example_approval().unwrap().project;
        self.stranger().await.project(&project).await.unwrap_err();
    }

    async fn check_refused(&mut self) {
        self.stranger().await.check(&example_query().unwrap()).await.unwrap_err();
    }

    async fn sign_held(&mut self) {
        self.world.approve_this(&microdata::approval()).await;
        let (run, phase, code) = microdata::until_held(&self.world, "held", &microdata::question()).await;
        assert_eq!(phase, Phase::Held, "{code}");
        let statement = microdata::held(&self.world, &run).await.unwrap().statement;
        assert!(!microdata::sign(&self.world, "anna", &statement).await.unwrap());
        self.run = Some(run);
    }

    async fn refuse_held(&mut self) {
        let run = self.run.take().unwrap();
        self.world.client("bjorn").await.refuse_held(&run, HeldRefusal::Need).await.unwrap();
    }

    async fn ask(&mut self, request: &str) {
        self.run = Some(self.world.answer(request).await.0);
    }

    async fn watch_refused(&mut self) {
        let run = self.run.clone().unwrap();
        self.stranger().await.wait(&run).await.unwrap_err();
    }

    async fn fetch(&mut self) {
        let run = self.run.clone().unwrap();
        self.world.client("researcher").await.fetch(&run, Format::Csv).await.unwrap();
    }

    /// That conditions are accepted, and leave their leaf, is shown in `indirect`.
    async fn conditions_refused(&mut self) {
        let run = self.run.clone().unwrap();
        self.stranger().await.conditions(&run).await.unwrap_err();
    }

    async fn read_report(&mut self) {
        let run = self.run.clone().unwrap();
        self.world.client("anna").await.disclosure_report(&run).await.unwrap();
    }

    async fn decline(&mut self) {
        self.world.npr.take().unwrap().kill().await;
        let mut node = Liar::new(&self.world).await;
        let run = self.world.submit("decline", &example_query().unwrap()).await.unwrap();
        let (order, code) = (node.order().await, DeclineCode::new("order.stale"));
        node.gateway.decline(&order.id, DeclineReason::Approval, code).await.unwrap();
        self.world.end_of(&run).await;
    }

    async fn publish(&mut self) {
        let (run, table) = (self.run.clone().unwrap(), TableId::new("audited").unwrap());
        self.world.client("anna").await.publish(&run, &table).await.unwrap();
    }

    async fn hours(&mut self) {
        let (project, entry) = (example_approval().unwrap().project, RequestId::new("hours").unwrap());
        let worked = (SystemClock.today(), 30);
        let what = Words::new("reading the application").unwrap();
        self.world.client("anna").await.register_hours(&project, &entry, worked, &what).await.unwrap();
    }

    async fn cost(&mut self) {
        self.world.client("anna").await.cost(&example_approval().unwrap().project).await.unwrap();
    }

    /// Every kind of step, each with the leaf of its own.
    async fn record(&mut self) {
        let anna = self.world.client("anna").await;
        let mut approval = example_approval().unwrap();
        approval.version = 2;
        let project = approval.project.clone();
        let (today, words) = (SystemClock.today(), || Words::new("a reason").unwrap());
        let steps = [
            (Step::Incomplete { version: 2, missing: words() }, 21),
            (Step::Complete { version: 2, day: today }, 22),
            (Step::Preliminary { version: 2, reason: words(), likely: today }, 23),
            (Step::Rejected { version: 2, reason: words() }, 24),
            (Step::Suspended { reason: words() }, 25),
            (Step::Lifted { reason: words() }, 26),
            (Step::Closed { reason: words() }, 27),
        ];
        let from = self.leaves(0).await.len() as u64;
        anna.enter_project(&approval, None).await.unwrap();
        for (step, _) in &steps {
            anna.record_step(&project, step).await.unwrap();
        }
        // What does not follow is refused, and that is recorded too.
        anna.record_step(&project, &steps[6].0).await.unwrap_err();
        let kinds: Vec<u16> = self.leaves(from).await.iter().map(|leaf| leaf.kind).collect();
        let steps: Vec<u16> = steps.iter().map(|(_, kind)| *kind).collect();
        assert_eq!(kinds, [&[3, 20], steps.as_slice(), &[12]].concat());
    }

    /// A ticket for some person, and the portal it is for.
    async fn portal(&self) -> (GatewayClient, Ticket) {
        let ticket = person::ticket(&self.world, &person::number(&self.world, 0)).await;
        (self.world.client("portal").await, ticket)
    }

    async fn read_log(&mut self) {
        let (portal, ticket) = self.portal().await;
        portal.person_log(&ticket).await.unwrap();
    }

    async fn read_rows(&mut self) {
        let (portal, ticket) = self.portal().await;
        portal.person_rows(&ticket).await.unwrap();
    }

    async fn request_correction(&mut self) {
        let (portal, ticket) = self.portal().await;
        let rows = portal.person_rows(&ticket).await.unwrap();
        let (portal, ticket) = self.portal().await;
        let of = person::correction_of(&rows[0]);
        portal.request_correction(&ticket, &of, "the date is wrong").await.unwrap();
    }

    async fn restrict(&mut self) {
        let (portal, ticket) = self.portal().await;
        portal.restrict(&ticket, Restriction::ReleaseWithIdentity, true).await.unwrap();
    }

    async fn read_restrictions(&mut self) {
        let (portal, ticket) = self.portal().await;
        portal.restrictions(&ticket).await.unwrap();
    }

    async fn erase(&mut self) {
        let (portal, ticket) = self.portal().await;
        portal.erase_person(&ticket).await.unwrap();
    }

    async fn list_corrections(&mut self) {
        self.world.client("anna").await.corrections(None).await.unwrap();
    }

    async fn fetch_corrections(&mut self) {
        self.world.client("helfo").await.fetch_corrections(None).await.unwrap();
    }

    async fn list_reservations(&mut self) {
        self.world.client("anna").await.reservations().await.unwrap();
    }

    /// What a resolution that is carried out leaves is shown in `resolve`.
    async fn ask_resolution(&mut self) {
        resolve::ask_for_nobody(&self.world).await;
    }

    /// The order that comes before has a leaf of its own, and so have the receipt and the overview.
    async fn take_feed(&mut self) {
        let from = self.leaves(0).await.len() as u64;
        self.world.approve_this(&feed::approval()).await;
        let taken = feed::take(&self.world, &feed::approval().project);
        assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
        let kinds: Vec<u16> = self.leaves(from).await.iter().map(|leaf| leaf.kind).collect();
        let of_feed: Vec<u16> = kinds.into_iter().filter(|kind| [54, 55, 7, 30, 10].contains(kind)).collect();
        assert_eq!(of_feed, [54, 55, 7, 30, 10]);
        let released = self.world.client("auditor").await.disclosures(None).await.unwrap();
        self.run = released.last().map(|disclosure| disclosure.run.clone());
    }

    async fn fetch_feed(&mut self) {
        feed::fetched(&self.world, &self.run.clone().unwrap()).await;
    }

    /// A researcher of an organisation that no approval names.
    async fn stranger(&self) -> GatewayClient {
        let folder = self.world.stage.path("pki");
        let request = CertificateRequest {
            organisation: OrganisationId::new("NTRNO-310000094").unwrap(),
            role: Role::Researcher,
            name: "stranger".to_owned(),
            dns: vec![],
            validity: Validity::days(SystemClock.now(), 1),
        };
        let issued = Authority::read(&folder).unwrap().issue(&request).unwrap();
        let prefix = tempfile::tempdir().unwrap();
        let authority = folder.join(Authority::CERTIFICATE);
        let files = issued.write(&prefix.path().join("stranger"), &authority).unwrap();
        GatewayClient::connect(&self.world.stage.gateway(), &files).await.unwrap()
    }

    /// The leaves from an index on.
    async fn leaves(&self, from: u64) -> Vec<Leaf> {
        let entries = self.world.client("auditor").await.entries(from, 10_000).await.unwrap();
        entries.iter().map(|entry| Leaf::from_canonical(&entry.leaf).unwrap()).collect()
    }
}

#[test]
fn every_endpoint_has_an_audit_test_or_a_reason() {
    let described = described();
    for method in &described {
        let rows = ROWS.iter().filter(|(row, _)| row == method).count();
        assert_eq!(rows, 1, "{method} must have one row: what it leaves in the audit log, or why nothing");
    }
    assert_eq!(described.len(), ROWS.len(), "a row is of no method");
    assert!(ROWS.iter().all(|(_, leaves)| !matches!(leaves, Nothing(why) if why.len() < 10)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_leaves_its_leaf() {
    let world = World::running(&Making { persons: 2500, discharge_rate: 0.3, ..Making::default() }).await;
    let mut played = Played { world, run: None };
    for (method, leaves) in ROWS {
        let A(kind, role, case) = leaves else { continue };
        let before = played.leaves(0).await.len() as u64;
        case(&mut played).await;
        let new = played.leaves(before).await;
        assert!(
            new.iter().any(|leaf| leaf.kind == *kind && leaf.role == *role),
            "{method} left {:?} and no leaf of type {kind} by a {role}",
            new.iter().map(|leaf| (leaf.kind, leaf.role.as_str())).collect::<Vec<_>>()
        );
    }
    played.world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_leaves_what_it_starts_with_and_a_stop_is_recorded() {
    let mut world = World::running(&Making { persons: 1500, ..Making::default() }).await;
    let played = |leaves: Vec<Leaf>| leaves.into_iter().map(|leaf| leaf.kind).collect::<Vec<_>>();
    let gateway = world.gateway.take().unwrap();
    assert!(gateway.stop().await);
    world.gateway = Some(world.stage.start(kpr::app::stage::Process::Gateway).await.unwrap());
    let state = Played { world, run: None };
    assert_eq!(played(state.leaves(0).await), [1, 18, 2, 1, 18]);
    state.world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_turned_away_leaves_a_leaf_and_a_flood_of_them_few() {
    let world = World::running(&Making { persons: 1500, ..Making::default() }).await;
    let state = Played { world, run: None };
    let researcher = state.world.client("researcher").await;
    for _ in 0..40 {
        researcher.list_projects().await.unwrap_err();
    }
    let found = async {
        loop {
            let leaves = state.leaves(0).await;
            let of = |l: &&Leaf| {
                l.kind == 45 && l.role == "researcher" && l.organisation.as_str() == demo::UNIVERSITY
            };
            if leaves.iter().any(|leaf| of(&leaf)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.unwrap();
    for _ in 0..40 {
        researcher.list_projects().await.unwrap_err();
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let leaves = state.leaves(0).await.into_iter().filter(|leaf| leaf.kind == 45).count();
    assert!(leaves <= 2, "{leaves} leaves for one minute of one caller");
    state.world.end().await;
}
