//! DuckDB over the same files: the linked rows it starts from, its process, and the comparison of what both
//! say.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Date32Array, RecordBatch, UInt32Array};
use arrow::datatypes::Date32Type;
use chrono::{NaiveDate, TimeDelta};
use kpr::app::stage::{Stage, example_approval};
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::config::read_secret;
use kpr::domain::approval::{SignedApproval, StewardKey};
use kpr::domain::canonical::Canonical;
use kpr::domain::clock::Clock;
use kpr::domain::ids::{OrderId, RunId, StewardId};
use kpr::domain::order::LinkageOrder;
use kpr::domain::query::Query;
use kpr::domain::section::Section;
use kpr::identity::{Fnr, IdentityService, KeyRing, RootKey};
use kpr::registers::Snapshot;
use kpr::wire::pki;
use parquet::arrow::ArrowWriter;

use super::Fallible;

/// The threads of both.
const THREADS: &str = "2";
const STEWARDS: [&str; 2] = ["anna", "bjorn"];

/// The rows that the gateway gets linked, as a Parquet file. Only the vault can tell whose they are, so
/// this goes the same way: linkage codes under an order of its own, mapped by the identity service.
pub(super) async fn linked_rows(stage: &Stage, folder: &Path, query: &Query) -> Fallible<PathBuf> {
    let approval = example_approval()?;
    let mut stewards = Vec::new();
    for steward in STEWARDS {
        let key = pki::read_signing_key(&pki::demo::signing_key(&stage.path("pki"), steward))?;
        stewards.push(StewardKey { steward: StewardId::new(steward)?, key: key.verifying_key() });
    }
    let signatures = STEWARDS.map(|steward| stage.sign(&approval, steward));
    let signatures = signatures.into_iter().collect::<Result<_, _>>()?;
    let (cohort, now) = (&query.cohort, SystemClock.now());
    let order = LinkageOrder {
        id: OrderId::random(&SystemEntropy)?,
        run: RunId::random(&SystemEntropy)?,
        query: query.digest()?,
        register: cohort.register.clone(),
        section: Section::Section11,
        dataset: cohort.dataset.clone(),
        columns: vec![cohort.index_date.clone()],
        conditions: cohort.conditions.clone(),
        date: cohort.index_date.clone(),
        period: cohort.period,
        issued: now,
        expires: now + TimeDelta::minutes(10),
        max_rows: 20_000_000,
        approval: SignedApproval { approval, signatures },
    };
    let root = RootKey::new(1, read_secret(&stage.path("identity/root.secret"))?);
    let vault = stage.path("identity/vault.sqlite");
    let (ring, clock) = (KeyRing::new(root, Vec::new())?, Arc::new(SystemClock));
    let service = IdentityService::open(&vault, ring, stewards, clock, Arc::new(SystemEntropy)).await?;
    let key = service.issue_key(&cohort.register, &order).await?;

    let delivery = folder.join("deliveries/npr-2024");
    let events = events(&delivery.join("EPISODE.csv"), query)?;
    let wanted: HashSet<&str> = events.iter().map(|(serial, _)| serial.as_str()).collect();
    let mut coder = key.coder();
    let (mut codes, mut place) = (Vec::new(), HashMap::new());
    for line in lines(&delivery.join("NPR_IDE.csv"))? {
        let line = line?;
        if let Some((serial, number)) = line.split_once(';')
            && wanted.contains(serial)
            && let Ok(number) = Fnr::parse(number.as_bytes())
        {
            place.insert(serial.to_owned(), codes.len());
            codes.push(coder.code(&number));
        }
    }
    let persons = service.map_codes(&service.accept(order).await?, codes, None).await?.0.persons;
    let person = |serial: &str| persons.get(*place.get(serial)?).filter(|p| !p.is_unknown()).map(|p| p.0);
    let rows: Vec<(u32, NaiveDate)> =
        events.iter().filter_map(|(serial, date)| Some((person(serial)?, *date))).collect();
    let numbers = UInt32Array::from_iter_values(rows.iter().map(|r| r.0));
    let dates = rows.iter().map(|r| Date32Type::from_naive_date(r.1));
    let batch = RecordBatch::try_from_iter([
        ("person_no", Arc::new(numbers) as _),
        (cohort.index_date.as_str(), Arc::new(Date32Array::from_iter_values(dates)) as _),
    ])?;
    let path = folder.join("linked.parquet");
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&path)?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    println!("{} linked rows for the peer", rows.len());
    Ok(path)
}

/// The lines of a file below its header.
fn lines(path: &Path) -> Fallible<impl Iterator<Item = std::io::Result<String>>> {
    Ok(BufReader::with_capacity(1 << 20, std::fs::File::open(path)?).lines().skip(1))
}

/// Serial number and date of the cohort's events.
fn events(path: &Path, query: &Query) -> Fallible<Vec<(String, NaiveDate)>> {
    let header = BufReader::new(std::fs::File::open(path)?).lines().next().ok_or("an empty file")??;
    let column = |name: &str| header.split(';').position(|c| c == name).ok_or(format!("no column {name}"));
    let (serial, date) = (column("npr_lnr")?, column(query.cohort.index_date.as_str())?);
    let conditions = query.cohort.conditions.iter().map(|c| Ok((column(c.variable.as_str())?, &c.any_of)));
    let conditions = conditions.collect::<Result<Vec<_>, String>>()?;
    let mut events = Vec::new();
    for line in lines(path)? {
        let line = line?;
        let fields: Vec<&str> = line.split(';').collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        if conditions.iter().all(|(at, any_of)| any_of.iter().any(|code| code == field(*at)))
            && let Ok(day) = field(date).parse()
            && query.cohort.period.contains(day)
        {
            events.push((field(serial).to_owned(), day));
        }
    }
    Ok(events)
}

/// A running DuckDB.
pub(super) struct Peer {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    version: String,
    cells: PathBuf,
}

impl Peer {
    pub(super) fn start(stage: &Stage, folder: &Path, linked: &Path, query: &Query) -> Fallible<Self> {
        let python = folder.join("venv/bin/python");
        if !python.exists() {
            run(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")))?;
            run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "duckdb"]))?;
        }
        let snapshot = Snapshot::open_current(&stage.register())?;
        let cells = folder.join("cells.csv");
        let mut command = Command::new(&python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/national/duckdb_peer.py"));
        command.args(["--threads", THREADS]).arg("--linked").arg(linked).arg("--cells").arg(&cells);
        command.args(["--from", &query.cohort.period.from().to_string()]);
        command.args(["--to", &query.cohort.period.to().to_string()]);
        for (name, dataset) in
            [("--population", "population"), ("--residence", "residence"), ("--contacts", "kuhr_contact")]
        {
            command.arg(name).args(snapshot.parts(dataset));
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let questions = child.stdin.take().ok_or("no pipe to the peer")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe from the peer")?);
        let mut peer = Self { child, questions, answers, version: String::new(), cells };
        peer.version = peer.line()?;
        Ok(peer)
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Has it answer the question once.
    pub(super) fn ask(&mut self) -> Fallible<Duration> {
        self.questions.write_all(b"again\n")?;
        self.questions.flush()?;
        Ok(Duration::from_secs_f64(self.line()?.parse()?))
    }

    fn line(&mut self) -> Fallible<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() { Err("the peer has ended".into()) } else { Ok(line.trim().to_owned()) }
    }

    /// Compares every published count of a released table with the peer's. What was compared, in words.
    pub(super) fn compare(&self, table: &[u8]) -> Fallible<String> {
        let mut theirs: HashMap<Vec<String>, Vec<String>> = HashMap::new();
        for row in csv::ReaderBuilder::new().has_headers(false).from_path(&self.cells)?.into_records() {
            let row: Vec<String> = row?.iter().map(str::to_owned).collect();
            let (codes, counts) = row.split_at_checked(3).ok_or("a short row")?;
            theirs.insert(codes.to_vec(), counts.to_vec());
        }
        let mut ours = csv::Reader::from_reader(table);
        let names = ours.headers()?.clone();
        let measures = ["persons", "gp_30", "gp_90", "gp_180"];
        let (mut same, mut withheld) = (0_u64, 0_u64);
        for row in ours.records() {
            let row = row?;
            let field = |name: &str| names.iter().position(|n| n == name).and_then(|at| row.get(at));
            let codes = ["sex", "age", "municipality"].map(|n| field(n).unwrap_or_default().to_owned());
            let counts = theirs.get(codes.as_slice());
            for (at, measure) in measures.iter().enumerate() {
                let theirs = counts.and_then(|c| c.get(at)).map_or("0", String::as_str);
                match field(measure) {
                    Some("") => withheld += 1,
                    Some(count) if count == theirs => same += 1,
                    ours => {
                        let ours = ours.unwrap_or("none");
                        return Err(format!("{measure} of {codes:?}: {ours}, the peer says {theirs}").into());
                    }
                }
            }
        }
        Ok(format!("{same} published counts equal the peer's, {withheld} are withheld"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(command: &mut Command) -> Fallible<()> {
    if command.status()?.success() { Ok(()) } else { Err(format!("{command:?} failed").into()) }
}
