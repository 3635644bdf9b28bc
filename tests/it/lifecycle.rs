//! The whole life of a project over the wire: application, answer, use, suspension, cost, end.

use chrono::{Days, NaiveDate};
use kpr::app::stage::{Process, example_approval, example_query};
use kpr::app::system::SystemClock;
use kpr::domain::approval::Approval;
use kpr::domain::canonical::Canonical;
use kpr::domain::clock::Clock;
use kpr::domain::ids::{ProjectId, RequestId, StewardId, TableId};
use kpr::domain::lifecycle::{Standing, Step};
use kpr::domain::words::Words;
use kpr::domain::worklist::{Acts, Urgency, WorkItem};
use kpr::statistics::Format;
use kpr::wire::gateway_client::{ClientError, GatewayClient};

use crate::world::{Making, World, program};

/// The code of a refusal.
fn code<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> String {
    match answer.unwrap_err() {
        ClientError::Refused(refusal) => {
            assert!(refusal.hint.len() > 20, "{refusal}");
            refusal.code.clone()
        }
        other => panic!("{other}"),
    }
}

fn words(text: &str) -> Words {
    Words::new(text).unwrap()
}

fn ago(days: u64) -> NaiveDate {
    SystemClock.today() - Days::new(days)
}

struct Played {
    world: World,
    anna: GatewayClient,
    bjorn: GatewayClient,
    researcher: GatewayClient,
    approval: Approval,
}

impl Played {
    fn project(&self) -> &ProjectId {
        &self.approval.project
    }

    async fn record(&self, step: Step) -> Result<Standing, ClientError> {
        Ok(self.anna.record_step(self.project(), &step).await?.standing)
    }

    async fn sign(&self, steward: &str) -> Result<Standing, ClientError> {
        let client = if steward == "anna" { &self.anna } else { &self.bjorn };
        let signature = self.world.stage.sign(&self.approval, steward).unwrap();
        let digest = self.approval.digest().unwrap();
        Ok(client.sign_project(self.project(), digest, &signature).await?.standing)
    }

    /// What `kpr project` prints for an auditor or a steward.
    async fn kpr(&self, party: &str, arguments: &[&str]) -> String {
        let (gateway, files) = (self.world.stage.gateway(), self.world.stage.tls(party));
        let mut command = tokio::process::Command::new(program());
        command.arg("project").args(arguments).args(["--gateway", &gateway.address.to_string()]);
        command.args(["--name", &gateway.name]).arg("--certificate").arg(files.certificate);
        command.arg("--key").arg(files.key).arg("--authority").arg(files.authority);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    async fn item(&self) -> Option<WorkItem> {
        self.world.client("auditor").await.worklist().await.unwrap().into_iter().next()
    }

    async fn urgency(&self) -> Option<(Urgency, Acts)> {
        self.item().await.map(|item| (item.urgency, item.acts))
    }

    /// Received half a year ago, and answered too late.
    async fn application(&self) {
        let entered = self.anna.enter_project(&self.approval, Some(ago(180))).await.unwrap();
        assert_eq!((entered.standing, entered.in_force, entered.due), (Standing::Application, None, None));
        assert_eq!(self.urgency().await, Some((Urgency::ToExamine, Acts::Steward)));
        let query = example_query().unwrap();
        assert_eq!(code(self.world.submit("early", &query).await), "approval.not_signed");
        assert_eq!(code(self.sign("anna").await), "application.not_complete");

        let missing = Step::Incomplete { version: 1, missing: words("the decision of the ethics committee") };
        assert_eq!(self.record(missing).await.unwrap(), Standing::Application);
        assert_eq!(self.urgency().await, Some((Urgency::WaitingForDocuments, Acts::Applicant)));
        for day in [ago(181), SystemClock.today() + Days::new(2)] {
            assert_eq!(code(self.record(Step::Complete { version: 1, day }).await), "project.day");
        }
        let likely = SystemClock.today() + Days::new(20);
        let answer = Step::Preliminary { version: 1, reason: words("the data lack documentation"), likely };
        assert_eq!(code(self.record(answer.clone()).await), "application.not_now");
        assert_eq!(code(self.record(Step::Complete { version: 2, day: ago(1) }).await), "project.no_version");

        self.record(Step::Complete { version: 1, day: ago(150) }).await.unwrap();
        let item = self.item().await.unwrap();
        assert_eq!((item.urgency, item.acts), (Urgency::Overdue, Acts::TwoStewards));
        assert_eq!((item.received, item.complete), (ago(180), Some(ago(150))));
        // 60 working days: twelve weeks, and some days more for holidays.
        let taken = item.due.unwrap().signed_duration_since(ago(150)).num_days();
        assert!((84..=105).contains(&taken), "{taken}");
        self.record(answer).await.unwrap();
        let item = self.item().await.unwrap();
        assert_eq!(item.urgency, Urgency::Answered);
        assert_eq!(item.preliminary.unwrap().likely, likely);

        let second = Approval { version: 2, ..self.approval.clone() };
        assert_eq!(code(self.anna.enter_project(&second, None).await), "project.application_open");
        let early = Step::Suspended { reason: words("too early") };
        assert_eq!(code(self.record(early).await), "project.not_in_force");
        assert_eq!(self.sign("anna").await.unwrap(), Standing::Application);
        let beside = Acts::StewardBeside(StewardId::new("anna").unwrap());
        assert_eq!(self.urgency().await, Some((Urgency::Answered, beside)));
        let printed = self.kpr("auditor", &["worklist"]).await;
        for words in ["preliminary answer given", "another steward than anna", "lack documentation"] {
            assert!(printed.contains(words), "{words}: {printed}");
        }
        // The same signature again changes nothing; it takes another steward.
        assert_eq!(self.sign("anna").await.unwrap(), Standing::Application);
        assert_eq!(code(self.world.submit("once", &query).await), "approval.not_signed");
        assert_eq!(self.sign("bjorn").await.unwrap(), Standing::Active);
        self.world.stage.partner_approves(&self.approval).await.unwrap();
        assert_eq!(self.urgency().await, None);
        let rejected = Step::Rejected { version: 1, reason: words("second thoughts") };
        assert_eq!(code(self.record(rejected).await), "application.not_now");
    }

    /// While suspended nothing is asked, fetched or published.
    async fn suspension(&self) {
        let (run, csv) = self.world.answer("asked").await;
        let query = example_query().unwrap();
        let suspended = Step::Suspended { reason: words("a complaint is looked into") };
        assert_eq!(self.record(suspended.clone()).await.unwrap(), Standing::Suspended);
        assert_eq!(code(self.record(suspended).await), "project.suspended_already");
        let table = TableId::new("suspended").unwrap();
        assert_eq!(code(self.researcher.check(&query).await), "project.suspended");
        assert_eq!(code(self.world.submit("again", &query).await), "project.suspended");
        assert_eq!(code(self.researcher.fetch(&run, Format::Csv).await), "project.suspended");
        assert_eq!(code(self.bjorn.publish(&run, &table).await), "project.suspended");
        // What was submitted before is the same submission.
        assert_eq!(self.world.submit("asked", &query).await.unwrap(), run);
        // Recipients can read how the project stands, and why.
        let seen = self.researcher.project(self.project()).await.unwrap();
        assert_eq!((seen.standing, seen.in_force), (Standing::Suspended, Some(1)));
        let last = seen.history.last().unwrap();
        assert_eq!((last.step.kind(), last.by.as_str()), ("suspended", "anna"));
        let kinds: Vec<&str> = seen.history.iter().map(|recorded| recorded.step.kind()).collect();
        let lived = ["received", "incomplete", "complete", "preliminary", "signed", "signed", "suspended"];
        assert_eq!(kinds, lived);

        let lifted = Step::Lifted { reason: words("the complaint was unfounded") };
        assert_eq!(self.record(lifted.clone()).await.unwrap(), Standing::Active);
        assert_eq!(code(self.record(lifted).await), "project.not_suspended");
        assert_eq!(self.researcher.fetch(&run, Format::Csv).await.unwrap(), csv);
        self.bjorn.publish(&run, &table).await.unwrap();
    }

    /// Half an hour, registered twice by mistake of the network, and a bit of it taken back.
    async fn cost(&self) {
        let (entry, what) = (|name: &str| RequestId::new(name).unwrap(), words("documentation of the data"));
        let register = async |name: &str, day: NaiveDate, minutes: i32| {
            self.anna.register_hours(self.project(), &entry(name), (day, minutes), &what).await
        };
        assert!(register("a-1", ago(3), 40).await.unwrap());
        assert!(!register("a-1", ago(3), 40).await.unwrap());
        assert_eq!(code(register("a-1", ago(3), 50).await), "hours.entry_taken");
        assert_eq!(code(register("a-2", ago(3), -41).await), "hours.sum");
        assert_eq!(code(register("a-2", ago(3), 1401).await), "hours.sum");
        assert_eq!(code(register("a-2", ago(3), 0).await), "hours.minutes");
        assert_eq!(code(register("a-2", SystemClock.today() + Days::new(2), 10).await), "hours.day");
        let day = ago(3).to_string();
        let hours = ["hours", self.project().as_str(), "--entry", "a-2", "--day", &day, "--minutes", "-10"];
        let taken_back = [&hours[..], &["--what", "too much"]].concat();
        assert_eq!(self.kpr("anna", &taken_back).await, "registered\n");
        assert!(self.kpr("anna", &taken_back).await.starts_with("registered before"));
        let statement = self.bjorn.cost(self.project()).await.unwrap();
        assert_eq!(statement.hours.len(), 1);
        assert_eq!((statement.hours[0].minutes, statement.hours[0].ore), (30, 47_500));
        // One run worked; the machine cannot have worked longer on it than there was time.
        assert_eq!(statement.machine.len(), 1);
        let line = &statement.machine[0];
        assert!(line.charged && line.work.executing_us > 0 && line.work.protecting_us > 0);
        assert!(line.work.microseconds() < 3_600_000_000);
        assert_eq!(u128::from(line.ore), u128::from(line.work.microseconds()) * 4000 / 3_600_000_000);
        assert_eq!(statement.ore, 47_500 + line.ore);
        let printed = self.kpr("bjorn", &["cost", self.project().as_str()]).await;
        let sum = format!("{}.{:02}", statement.ore / 100, statement.ore % 100);
        assert!(printed.contains("475.00") && printed.contains(&sum), "{printed}");
    }

    /// Closed, for good.
    async fn end(&self) {
        let reason = words("the project has ended");
        let closed = Step::Closed { reason: reason.clone() };
        assert_eq!(self.record(closed.clone()).await.unwrap(), Standing::Closed);
        let printed = self.kpr("auditor", &["show", self.project().as_str()]).await;
        for words in ["standing   closed", "the complaint was unfounded", "the project has ended"] {
            assert!(printed.contains(words), "{words}: {printed}");
        }
        for step in [closed, Step::Lifted { reason: reason.clone() }, Step::Rejected { version: 1, reason }] {
            assert_eq!(code(self.record(step).await), "project.closed");
        }
        let second = Approval { version: 2, ..self.approval.clone() };
        assert_eq!(code(self.anna.enter_project(&second, None).await), "project.closed");
        let run = self.world.submit("asked", &example_query().unwrap()).await.unwrap();
        assert_eq!(code(self.researcher.fetch(&run, Format::Csv).await), "project.closed");
        assert_eq!(code(self.world.submit("late", &example_query().unwrap()).await), "project.closed");
        let published = TableId::new("suspended").unwrap();
        assert!(self.researcher.table(&published, Format::Csv).await.is_ok(), "what is public stays public");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_lives_from_an_application_to_its_end() {
    let world = World::running(&Making { persons: 2500, discharge_rate: 0.3, ..Making::default() }).await;
    let [anna, bjorn, researcher] =
        [world.client("anna").await, world.client("bjorn").await, world.client("researcher").await];
    let played = Played { world, anna, bjorn, researcher, approval: example_approval().unwrap() };
    played.application().await;
    played.suspension().await;
    played.cost().await;
    let step = Step::Closed { reason: words("not by a researcher") };
    assert_eq!(code(played.researcher.record_step(played.project(), &step).await), "access.role");
    played.end().await;
    played.world.end().await;
}

/// A project that an amendment takes away from its recipient: nothing is fetched by it any more.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_recipient_any_more_receives_nothing() {
    let mut world = World::running(&Making { persons: 1500, discharge_rate: 0.3, ..Making::default() }).await;
    world.approve().await;
    let (run, _) = world.answer("asked").await;
    let mut amended = example_approval().unwrap();
    amended.version = 2;
    amended.recipients = vec!["NTRNO-310000078".to_owned().try_into().unwrap()];
    world.sign_this(&amended).await;
    let researcher = world.client("researcher").await;
    assert_eq!(code(researcher.fetch(&run, Format::Csv).await), "approval.not_a_recipient");
    assert_eq!(code(world.submit("again", &example_query().unwrap()).await), "policy.not_permitted");
    // An approval whose days have passed permits nothing more to be asked; what was released can be fetched.
    let mut expired = example_approval().unwrap();
    expired.version = 3;
    expired.valid = kpr::domain::period::Period::new(expired.valid.from(), ago(1)).unwrap();
    world.sign_this(&expired).await;
    assert_eq!(code(world.submit("late", &example_query().unwrap()).await), "approval.not_valid_today");
    assert_eq!(researcher.project(&expired.project).await.unwrap().standing, Standing::Expired);
    assert!(researcher.fetch(&run, Format::Csv).await.is_ok());

    // The keeper takes a steward's key out of the configuration: what it signed permits nothing any more.
    let file = world.stage.configuration("gateway");
    let text = std::fs::read_to_string(&file).unwrap();
    let (_, keys) = text.split_once("[[stewards]]").unwrap();
    let mut keys = keys.split("key = \"").skip(1).map(|key| &key[..64]);
    let (anna, bjorn) = (keys.next().unwrap(), keys.next().unwrap());
    std::fs::write(&file, text.replace(bjorn, anna)).unwrap();
    assert!(world.gateway.take().unwrap().stop().await);
    world.gateway = Some(world.stage.start(Process::Gateway).await.unwrap());
    let steward = world.client("anna").await;
    assert_eq!(steward.project(&expired.project).await.unwrap().standing, Standing::Unverified);
    assert_eq!(code(world.submit("other-key", &example_query().unwrap()).await), "approval.not_signed");
    world.end().await;
}
