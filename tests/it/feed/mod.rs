//! A register takes its feed with real processes: exactly the granted rows of the persons it holds, under its own keys, once
//! in a period; and what is left out, refused and recorded.

mod broken;
mod forged;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use kpr::app::stage::example_query;
use kpr::app::system::SystemClock;
use kpr::authorise::Role;
use kpr::config::TlsFiles;
use kpr::domain::approval::{Approval, Purpose, Tier};
use kpr::domain::canonical::Canonical;
use kpr::domain::clock::Clock;
use kpr::domain::feed::FeedBasis;
use kpr::domain::feed_data::FeedData;
use kpr::domain::ids::{OrganisationId, ProjectId, RequestId, RunId, TableId};
use kpr::domain::lifecycle::Step;
use kpr::domain::person::Restriction;
use kpr::domain::query::{Answer, Query};
use kpr::domain::words::Words;
use kpr::partner::{FeedDesk, FeedSession};
use kpr::statistics::Format;
use kpr::wire::feed_client::FeedChannel;
use kpr::wire::gateway_client::GatewayClient;
use kpr::wire::pki::{Authority, CertificateRequest, Validity, demo};

use crate::microdata::code;
use crate::person;
use crate::world::{Making, World, program};

/// The example approval of a feed.
pub fn approval() -> Approval {
    serde_saphyr::from_str(include_str!("../../../docs/examples/feed.yaml")).unwrap()
}

/// What a register hears while an earlier call of its organisation goes on. That one has ended, the gateway hears from its
/// connection, a moment later.
const UNDER_WAY: &str = "feed.one_at_a_time";

/// Has NPR take the feed of a project, once its calls before have ended.
pub fn take(world: &World, project: &ProjectId) -> Output {
    for _ in 0..200 {
        let output = Command::new(program())
            .args(["register", "feed", "--project", project.as_str()])
            .arg("--config")
            .arg(world.stage.configuration("npr"))
            .arg("--out")
            .arg(world.stage.path("npr/feeds"))
            .output()
            .unwrap();
        if !String::from_utf8_lossy(&output.stderr).contains(UNDER_WAY) {
            return output;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("a call that has ended keeps its organisation from taking a feed");
}

/// That a feed is not taken, and says why.
fn refused(world: &World, project: &ProjectId, why: &str) {
    let output = take(world, project);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(why), "{why}: {said}");
}

/// The run of a feed that was taken, and the folder with its files.
fn taken(output: &Output) -> (RunId, PathBuf) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let line = said.lines().find_map(|line| line.strip_prefix("run ")).unwrap();
    let (run, folder) = line.split_once(", written to ").unwrap();
    (RunId::new(run).unwrap(), PathBuf::from(folder))
}

/// The lines of a delivered file, without the header, split.
fn lines(world: &World, file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(world.stage.path("deliveries").join(file)).unwrap();
    text.lines().skip(1).map(|line| line.split(';').map(str::to_owned).collect()).collect()
}

/// What a row of the feed is: whose, by the population's serial number, the day, the type of service, the kind of contact.
type Fact = (String, [String; 3]);

/// The delivered files, joined the plain way by identity numbers.
struct Oracle {
    /// The rows that the feed must have, sorted; one for each row delivered.
    rows: Vec<Fact>,
    /// Whose each key of NPR's is.
    keys: BTreeMap<String, String>,
    /// The numbers of each person.
    numbers: BTreeMap<String, Vec<String>>,
}

impl Oracle {
    fn of(world: &World) -> Self {
        let mut numbers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut person_of = BTreeMap::new();
        for line in lines(world, "folkeregisteret/identitet.csv") {
            numbers.entry(line[0].clone()).or_default().push(line[1].clone());
            person_of.insert(line[1].clone(), line[0].clone());
        }
        let npr: BTreeMap<String, String> =
            lines(world, "npr-2024/NPR_IDE.csv").into_iter().map(|l| (l[0].clone(), l[1].clone())).collect();
        let mut least: BTreeMap<&str, u64> = BTreeMap::new();
        let episodes = lines(world, "npr-2024/EPISODE.csv");
        for episode in &episodes {
            let Some(number) = npr.get(&episode[1]) else { continue };
            let key = episode[0].parse().unwrap();
            let of = least.entry(number).or_insert(key);
            *of = key.min(*of);
        }
        let keys: BTreeMap<String, String> = least
            .iter()
            .filter_map(|(number, key)| Some((key.to_string(), person_of.get(*number)?.clone())))
            .collect();
        let held: BTreeSet<&String> = keys.values().collect();
        let mut rows = Vec::new();
        for year in [2024, 2025] {
            let sent: BTreeMap<String, String> = lines(world, &format!("kuhr-{year}/KPR_IDE.csv"))
                .into_iter()
                .map(|l| (l[0].clone(), l[1].clone()))
                .collect();
            for contact in lines(world, &format!("kuhr-{year}/ENKELTREGNING.csv")) {
                let person = sent.get(&contact[1]).and_then(|number| person_of.get(number));
                let Some(person) = person.filter(|person| held.contains(person)) else { continue };
                if ["1", "2"].contains(&contact[8].as_str()) {
                    let row = [contact[2].clone(), contact[8].clone(), contact[9].clone()];
                    rows.push((person.clone(), row));
                }
            }
        }
        rows.sort();
        Self { rows, keys, numbers }
    }

    /// Persons whom NPR holds and of whom there are rows.
    fn inside(&self) -> Vec<&String> {
        self.rows.iter().map(|(person, _)| person).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The rows of a feed's file, under the persons of the delivered files.
    fn read(&self, folder: &Path) -> Vec<Fact> {
        let mut reader = csv::Reader::from_path(folder.join("kuhr_contact.csv")).unwrap();
        assert_eq!(reader.headers().unwrap(), vec!["key", "dato", "tjenestetype", "kontakttype"]);
        let mut rows: Vec<Fact> = reader
            .records()
            .map(|row| row.unwrap())
            .map(|row| (self.keys[&row[0]].clone(), [1, 2, 3].map(|column| row[column].to_owned())))
            .collect();
        rows.sort();
        rows
    }
}

/// The gateway's service for feeds, with the certificate of a party.
fn desk(world: &World, files: &TlsFiles) -> FeedChannel {
    FeedChannel::new(&world.stage.gateway(), files).unwrap()
}

/// A certificate that the installation's authority makes.
fn certificate(world: &World, organisation: &str, role: Role, name: &str) -> TlsFiles {
    let folder = world.stage.path("pki");
    let request = CertificateRequest {
        organisation: OrganisationId::new(organisation).unwrap(),
        role,
        name: name.to_owned(),
        dns: vec![],
        validity: Validity::days(SystemClock.now(), 1),
    };
    let issued = Authority::read(&folder).unwrap().issue(&request).unwrap();
    issued
        .write(&folder.join(format!("{organisation}-{name}-{role}")), &folder.join(Authority::CERTIFICATE))
        .unwrap()
}

/// NPR's feed, begun once its calls before have ended.
async fn begin(world: &World, project: &ProjectId) -> Box<dyn FeedSession> {
    for _ in 0..200 {
        match desk(world, &world.stage.tls("npr")).begin(project).await {
            Ok(session) => return session,
            Err(fault) => assert_eq!(fault.code, UNDER_WAY),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a call that has ended keeps its organisation from taking a feed");
}

/// That no feed is begun, and by which code.
async fn begun(world: &World, files: &TlsFiles, project: &ProjectId) -> String {
    desk(world, files).begin(project).await.err().unwrap().code
}

/// The feed as it crosses the wire.
pub async fn fetched(world: &World, run: &RunId) -> FeedData {
    desk(world, &world.stage.tls("npr")).fetch(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_is_given_the_granted_rows_of_the_persons_it_holds() {
    let world = World::running(&Making { persons: 2500, discharge_rate: 0.3, ..Making::default() }).await;
    let (approval, oracle) = (approval(), Oracle::of(&world));
    let project = approval.project.clone();
    let everybody = oracle.inside();
    assert!(oracle.rows.len() > 500 && everybody.len() > 100, "{}", oracle.rows.len());
    let outside = oracle.numbers.keys().find(|person| !oracle.keys.values().any(|held| held == *person));
    let outside = &oracle.numbers[outside.unwrap()][0];

    // Not before two stewards have signed, nor before the register itself approves.
    refused(&world, &project, "project.unknown");
    let anna = world.client("anna").await;
    anna.enter_project(&approval, None).await.unwrap();
    refused(&world, &project, "approval.not_signed");
    world.sign_this(&approval).await;
    refused(&world, &project, "policy.not_approved");
    world.stage.partner_approves(&approval).await.unwrap();

    // One person has reserved against release with identity, another is blocked.
    let (portal, left_out) = (world.client("portal").await, [everybody[3], everybody[40]]);
    for (person, restriction) in left_out.iter().zip([Restriction::ReleaseWithIdentity, Restriction::AllUse])
    {
        let ticket = person::ticket(&world, &oracle.numbers[*person][0]).await;
        assert!(portal.restrict(&ticket, restriction, true).await.unwrap());
    }
    let output = take(&world, &project);
    let (run, folder) = taken(&output);
    let expected: Vec<Fact> =
        oracle.rows.iter().filter(|(person, _)| !left_out.contains(&person)).cloned().collect();
    assert!(expected.len() < oracle.rows.len());
    assert_eq!(oracle.read(&folder), expected);
    // How many were left out, nobody is told.
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(&format!("kuhr_contact: {} rows", expected.len())) && !said.contains("reserv"));

    // The register's own journal of feeds has the order, whole, and what became of it.
    let mut log = Command::new(program());
    log.args(["register", "log", "--feeds", "--config"]).arg(world.stage.configuration("npr"));
    let log = String::from_utf8(log.output().unwrap().stdout).unwrap();
    for said in
        ["received: a feed, order", "signed by anna and bjorn", "taken: ", "each follows from those before"]
    {
        assert!(log.contains(said), "{said}: {log}");
    }

    // Once in a period; the same run is fetched again meanwhile.
    refused(&world, &project, "feed.not_due");
    let feed = fetched(&world, &run).await;
    assert_eq!((feed.rows(), feed.run.clone()), (expected.len(), run.clone()));
    nothing_names_anybody(&world, &folder, &feed, &oracle);

    // Who is in it sees it in the own log, and nobody else does.
    let log = person::log(&world, &oracle.numbers[everybody[0]][0]).await;
    let [released] = log.records.as_slice() else { panic!("{log:?}") };
    let facts = &released.facts;
    assert_eq!((facts.result, &facts.project), (Answer::Feed, &project));
    assert_eq!((&facts.recipient, &facts.legal_basis), (&approval.recipients[0], &approval.legal_basis));
    assert_eq!(facts.population.register.as_str(), "NPR");
    let sources: Vec<_> = facts.sources.iter().map(|s| s.dataset.as_str()).collect();
    assert_eq!(sources, ["kuhr_contact"]);
    for other in left_out.iter().map(|person| &oracle.numbers[*person][0]).chain([outside]) {
        assert!(person::log(&world, other).await.records.is_empty());
    }
    let listed = world.client("auditor").await.disclosures(None).await.unwrap();
    assert_eq!(listed.iter().map(|d| (&d.run, d.persons.is_some())).collect::<Vec<_>>(), [(&run, true)]);

    // The feed of another project shares no code with it.
    let other = Approval { project: ProjectId::new("P-2026-0048").unwrap(), ..approval.clone() };
    world.approve_this(&other).await;
    let (second, _) = taken(&take(&world, &other.project));
    let codes = |feed: &FeedData| -> BTreeSet<Vec<u8>> {
        feed.datasets[0].rows.iter().map(|row| row.code.as_bytes().to_vec()).collect()
    };
    let (first, second) = (codes(&feed), codes(&fetched(&world, &second).await));
    assert_eq!(first.len(), second.len());
    assert!(first.is_disjoint(&second));

    only_the_recipient(&world, &approval, &run).await;

    // Suspended: neither taken nor fetched.
    let suspended = Step::Suspended { reason: Words::new("a complaint is looked into").unwrap() };
    anna.record_step(&other.project, &suspended).await.unwrap();
    refused(&world, &other.project, "project.suspended");
    anna.record_step(&project, &suspended).await.unwrap();
    let npr = desk(&world, &world.stage.tls("npr"));
    assert_eq!(npr.fetch(&run).await.unwrap_err().code, "project.suspended");
    world.end().await;
}

/// No identity number and no person number stands in what is sent or written; rows stand in the order of their codes.
fn nothing_names_anybody(world: &World, folder: &Path, feed: &FeedData, oracle: &Oracle) {
    let mut sent = feed.canonical().unwrap();
    sent.extend(std::fs::read(folder.join("kuhr_contact.csv")).unwrap());
    let text = String::from_utf8(sent).unwrap();
    let digits = |at: usize| text.as_bytes()[at..at + 11].iter().all(u8::is_ascii_digit);
    let found: Vec<usize> =
        (0..text.len() - 11).filter(|at| text.is_char_boundary(*at) && digits(*at)).collect();
    let numbers: BTreeSet<&String> = oracle.numbers.values().flatten().collect();
    assert!(found.iter().all(|at| !numbers.contains(&text[*at..*at + 11].to_owned())));
    assert!(!text.contains("person_no"));
    assert!(feed.datasets[0].rows.is_sorted());
    // What was kept to fetch it again is gone.
    let left: Vec<_> = std::fs::read_dir(world.stage.path("npr/feeds")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// Nobody else takes or fetches it, and it is no way to a query's result, nor a query to it.
async fn only_the_recipient(world: &World, approval: &Approval, run: &RunId) {
    let project = &approval.project;
    // Another register, the same name at another organisation, another role.
    let dar = certificate(world, demo::PARTNER, Role::Partner, "DAR");
    assert_eq!(begun(world, &dar, project).await, "policy.not_permitted");
    assert_eq!(desk(world, &dar).fetch(run).await.unwrap_err().code, "policy.not_permitted");
    let foreign = certificate(world, "NTRNO-310000094", Role::Partner, "NPR");
    assert_eq!(begun(world, &foreign, project).await, "policy.not_permitted");
    assert_eq!(desk(world, &foreign).fetch(run).await.unwrap_err().code, "feed.unknown");
    let inside = certificate(world, demo::PARTNER, Role::Researcher, "at-npr");
    assert_eq!(begun(world, &inside, project).await, "access.role");
    assert_eq!(desk(world, &inside).fetch(run).await.unwrap_err().code, "access.role");

    // A researcher of the recipient's own organisation asks nothing under it, and fetches nothing.
    let researcher = GatewayClient::connect(&world.stage.gateway(), &inside).await.unwrap();
    let query = Query { project: project.clone(), ..example_query().unwrap() };
    let submit = async |query: &Query, request: &str| {
        code(researcher.submit(&RequestId::new(request).unwrap(), query).await)
    };
    assert_eq!(submit(&query, "feed-1").await, "policy.feed_no_query");
    assert_eq!(code(researcher.check(&query).await), "policy.feed_no_query");
    assert_eq!(code(researcher.fetch(run, Format::Csv).await), "policy.feed_no_query");
    let published = world.client("anna").await.publish(run, &TableId::new("feed").unwrap()).await;
    // By the same policy; of another organisation's runs nobody is told more.
    assert_eq!(code(published), "run.unknown");

    // Nor does it take tables of the same data beside the feed; and under their approval there is no feed.
    let mut tables = kpr::app::stage::example_approval().unwrap();
    tables.recipients.push(OrganisationId::new(demo::PARTNER).unwrap());
    world.approve_this(&tables).await;
    assert_eq!(submit(&example_query().unwrap(), "feed-2").await, "rule.feed_and_results");
    assert_eq!(begun(world, &world.stage.tls("npr"), &tables.project).await, "policy.no_feed");
    // Others go on, and what they publish is no matter of the feed.
    let (answered, _) = world.answer("beside-the-feed").await;
    world.client("anna").await.publish(&answered, &TableId::new("public").unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_says_whole_and_lawfully_what_feed_it_is_for() {
    let world = World::running(&Making { persons: 1500, ..Making::default() }).await;
    let anna = world.client("anna").await;
    let entered = async |change: fn(&mut Approval)| {
        let mut approval = approval();
        change(&mut approval);
        code(anna.enter_project(&approval, None).await)
    };
    assert_eq!(entered(|a| a.feed = None).await, "approval.text");
    assert_eq!(entered(|a| a.tier = Tier::ProtectedTables).await, "approval.text");
    assert_eq!(entered(|a| a.feed.as_mut().unwrap().basis = FeedBasis::Section9b).await, "approval.text");
    assert_eq!(entered(|a| a.purpose = Purpose::NationalSummaryRecord).await, "approval.text");
    assert_eq!(entered(|a| a.purpose = Purpose::Insurance).await, "policy.purpose_prohibited");

    // An organisation that has tables takes no feed of the same data.
    let mut tables = kpr::app::stage::example_approval().unwrap();
    tables.recipients = vec![OrganisationId::new(demo::PARTNER).unwrap()];
    world.approve_this(&tables).await;
    let inside = certificate(&world, demo::PARTNER, Role::Researcher, "at-npr");
    let researcher = GatewayClient::connect(&world.stage.gateway(), &inside).await.unwrap();
    let run =
        researcher.submit(&RequestId::new("first").unwrap(), &example_query().unwrap()).await.unwrap().run;
    researcher.wait(&run).await.unwrap();
    world.approve_this(&approval()).await;
    refused(&world, &approval().project, "rule.feed_and_results");
    // Nothing was released, and what was left behind does not stand in the way.
    assert!(world.client("auditor").await.disclosures(None).await.unwrap().iter().all(|d| d.run == run));
    world.end().await;
}
