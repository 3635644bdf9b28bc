//! An installation with its three processes, for tests that play a whole project.

use std::path::{Path, PathBuf};

use kpr::app::stage::{Process, Running, Stage, StageOptions, example_approval, example_query};
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::domain::approval::Approval;
use kpr::domain::clock::Clock;
use kpr::domain::ids::{RequestId, RunId};
use kpr::domain::lifecycle::Step;
use kpr::domain::query::Query;
use kpr::registers::synth::{self, SynthOptions};
use kpr::statistics::Format;
use kpr::store::Phase;
use kpr::wire::gateway_client::{ClientError, GatewayClient, Progress};
use tempfile::TempDir;

/// What a world is made of.
#[derive(Debug, Clone)]
pub struct Making {
    pub persons: u32,
    pub seed: u64,
    pub messy: bool,
    pub discharge_rate: f64,
    pub stage: StageOptions,
}

impl Default for Making {
    fn default() -> Self {
        Self { persons: 6000, seed: 1, messy: false, discharge_rate: 0.2, stage: StageOptions::default() }
    }
}

/// The deliveries of KPR in the order they are taken in, and NPR's.
pub const DELIVERIES: [&str; 6] =
    ["folkeregisteret", "kuhr-2024", "kuhr-2025", "iplos-2024", "iplos-2025", "npr-2024"];

/// The binary under test.
pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_kpr"))
}

/// Synthetic deliveries of one county.
pub fn deliveries(making: &Making, folder: &Path) {
    let mut options = SynthOptions::new(making.persons, making.seed, folder);
    options.counties = vec!["31".to_owned()];
    options.messy = making.messy;
    options.discharge_rate = making.discharge_rate;
    synth::write(&options, |_| {}).unwrap();
}

/// An installation whose processes run.
pub struct World {
    pub stage: Stage,
    pub identity: Option<Running>,
    pub gateway: Option<Running>,
    pub npr: Option<Running>,
    pub witness: Option<Running>,
    // Dropped last: the processes above write into it.
    _folder: TempDir,
}

impl World {
    /// Certificates, configurations and deliveries; no process runs yet and nothing is taken in.
    pub fn made(making: &Making) -> Self {
        Self::made_in(tempfile::tempdir().unwrap(), making)
    }

    fn made_in(folder: TempDir, making: &Making) -> Self {
        let stage =
            Stage::build(folder.path(), &program(), &making.stage, &SystemClock, &SystemEntropy).unwrap();
        deliveries(making, &stage.path("deliveries"));
        Self { stage, identity: None, gateway: None, npr: None, witness: None, _folder: folder }
    }

    /// Everything taken in, all three processes running.
    pub async fn running(making: &Making) -> Self {
        Self::made(making).take_in().await
    }

    /// As [`World::running`], with this line for the method of projects in `disclosure.toml`.
    pub async fn with_method(making: &Making, method: &str) -> Self {
        let world = Self::made(making);
        world.write_method("projects = \"suppress\"", method);
        world.take_in().await
    }

    /// As [`World::with_method`], where a researcher may have more than a hundred calls at once.
    pub async fn with_crowds(making: &Making, method: &str) -> Self {
        let world = Self::made(making);
        world.write_method("projects = \"suppress\"", method);
        let file = world.stage.configuration("gateway");
        let text = std::fs::read_to_string(&file).unwrap();
        let limits = "[limits]\nresearcher = { per_minute = 6000, burst = 600, at_once = 120 }\n";
        std::fs::write(&file, format!("{text}\n{limits}")).unwrap();
        world.take_in().await
    }

    fn write_method(&self, from: &str, to: &str) {
        let file = self.stage.path("policies/disclosure.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        std::fs::write(&file, changed).unwrap();
    }

    /// Stops the gateway, replaces the line for the method of projects, and starts it again.
    pub async fn change_method(&mut self, from: &str, to: &str) {
        assert!(self.gateway.take().unwrap().stop().await);
        self.write_method(from, to);
        self.gateway = Some(self.stage.start(Process::Gateway).await.unwrap());
    }

    /// Takes the deliveries in and starts all processes.
    pub async fn take_in(self) -> Self {
        let mut world = self;
        world.identity = Some(world.stage.start(Process::Identity).await.unwrap());
        for delivery in DELIVERIES {
            world.stage.deliver(&world.stage.path("deliveries").join(delivery)).await.unwrap();
        }
        if world.stage.configuration("witness").exists() {
            world.witness = Some(world.stage.start(Process::Witness).await.unwrap());
        }
        world.gateway = Some(world.stage.start(Process::Gateway).await.unwrap());
        world.npr = Some(world.stage.start(Process::Npr).await.unwrap());
        world
    }

    /// As [`World::running`], with every process recording what crosses its connections in `frames`, and
    /// keeping its temporary files in `temporary`.
    pub async fn recorded(making: &Making) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut making = making.clone();
        for (variable, part) in [("KPR_RECORD_FRAMES", "frames"), ("TMPDIR", "temporary")] {
            let path = folder.path().join(part);
            std::fs::create_dir(&path).unwrap();
            making.stage.environment.push((variable.into(), path.into()));
        }
        Self::made_in(folder, &making).take_in().await
    }

    /// The process ids of the three processes.
    pub fn ids(&self) -> Vec<u32> {
        [&self.identity, &self.gateway, &self.npr].into_iter().flatten().map(|p| p.id().unwrap()).collect()
    }

    /// A client with the certificate of a party.
    pub async fn client(&self, party: &str) -> GatewayClient {
        GatewayClient::connect(&self.stage.gateway(), &self.stage.tls(party)).await.unwrap()
    }

    /// The example project, entered and signed by both stewards.
    pub async fn approve(&self) -> Approval {
        let approval = example_approval().unwrap();
        self.approve_this(&approval).await;
        approval
    }

    /// As [`World::sign_this`], and the partner approves it too.
    pub async fn approve_this(&self, approval: &Approval) {
        self.sign_this(approval).await;
        self.stage.partner_approves(approval).await.unwrap();
    }

    /// Enters an approval, marks it complete, and has both stewards sign it.
    pub async fn sign_this(&self, approval: &Approval) {
        let (anna, bjorn) = (self.client("anna").await, self.client("bjorn").await);
        let digest = anna.enter_project(approval, None).await.unwrap().digest;
        let complete = Step::Complete { version: approval.version, day: SystemClock.today() };
        anna.record_step(&approval.project, &complete).await.unwrap();
        for (client, steward) in [(&anna, "anna"), (&bjorn, "bjorn")] {
            let signature = self.stage.sign(approval, steward).unwrap();
            client.sign_project(&approval.project, digest, &signature).await.unwrap();
        }
    }

    /// Submits a query as the researcher.
    pub async fn submit(&self, request: &str, query: &Query) -> Result<RunId, ClientError> {
        let request = RequestId::new(request).unwrap();
        Ok(self.client("researcher").await.submit(&request, query).await?.run)
    }

    /// How a run ends.
    pub async fn end_of(&self, run: &RunId) -> Progress {
        self.client("researcher").await.wait(run).await.unwrap()
    }

    /// The example question, asked and released: its run and its CSV.
    pub async fn answer(&self, request: &str) -> (RunId, Vec<u8>) {
        let run = self.submit(request, &example_query().unwrap()).await.unwrap();
        let end = self.end_of(&run).await;
        assert_eq!(end.phase, Phase::Released, "{} {}", end.code, end.hint);
        let csv = self.client("researcher").await.fetch(&run, Format::Csv).await.unwrap();
        (run, csv)
    }

    /// The answer to a question, or the code of its refusal.
    pub async fn answered(&self, request: &str, query: &Query) -> Result<Vec<u8>, String> {
        let run = self.submit(request, query).await.unwrap();
        let end = self.end_of(&run).await;
        match end.phase {
            Phase::Released => Ok(self.client("researcher").await.fetch(&run, Format::Csv).await.unwrap()),
            _ => Err(end.code),
        }
    }

    /// Asks all processes to end, and insists that they do so in order.
    pub async fn end(mut self) {
        let processes = [self.npr.take(), self.gateway.take(), self.identity.take(), self.witness.take()];
        for process in processes.into_iter().flatten() {
            let name = process.process().name();
            assert!(process.stop().await, "{name} did not end in order");
        }
    }
}
