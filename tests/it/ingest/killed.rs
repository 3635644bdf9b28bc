//! An ingest whose process dies.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use kpr::registers::ingest::IngestReport;
use kpr::registers::progress::{Progress, Silent, Step};

use super::{Place, contact, describe, tree};

const FOLDER: &str = "KPR_TEST_INGEST_FOLDER";
const STEP: &str = "KPR_TEST_INGEST_STEP";
const STEPS: [Step; 5] = [Step::Checking, Step::Resolving, Step::Reading, Step::Committing, Step::Publishing];

/// Ends the process at once when a step begins.
struct DieAt(Option<Step>);

impl Progress for DieAt {
    fn begin(&self, step: Step, _: u64) {
        if self.0 == Some(step) {
            std::process::abort();
        }
    }
    fn advance(&self, _: u64) {}
}

/// Not a test of its own: the process that the tests below start and lose.
#[tokio::test]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let step = std::env::var(STEP).ok().and_then(|n| STEPS.get(n.parse::<usize>().unwrap()).copied());
    let place = Place::at(Path::new(&folder));
    place.ingest_with(&place.delivery("second"), Arc::new(DieAt(step))).await.unwrap();
}

fn start(place: &Place, step: Option<usize>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "ingest::killed::child"]).env(FOLDER, place.path());
    if let Some(step) = step {
        command.env(STEP, step.to_string());
    }
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
}

fn deliveries(place: &Place, contacts: u64) {
    for (name, year) in [("first", 2023), ("second", 2024)] {
        let lines: Vec<String> =
            (1..=contacts).map(|n| contact(n, "1", &format!("{year}-{:02}-01", n % 12 + 1))).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let text = describe("KPR", "kuhr", year, "2025-02-01");
        place.kuhr(name, &text, &lines, &["1;P76;ICPC-2;1;1"], &["1;2ad;1"], &["1;p1"]);
    }
}

/// What a register looks like that took in both deliveries undisturbed.
async fn undisturbed(contacts: u64) -> (Place, std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>) {
    let place = Place::new();
    deliveries(&place, contacts);
    place.ingest(&place.delivery("first")).await.unwrap();
    place.ingest(&place.delivery("second")).await.unwrap();
    let files = tree(&place.register());
    (place, files)
}

#[tokio::test]
async fn a_death_at_any_step_leaves_the_register_as_it_was() {
    let (_, whole) = undisturbed(200).await;
    for (step, name) in STEPS.iter().enumerate() {
        let place = Place::new();
        deliveries(&place, 200);
        place.ingest(&place.delivery("first")).await.unwrap();
        let before = tree(&place.register());
        assert!(!start(&place, Some(step)).wait().unwrap().success());
        let mut after = tree(&place.register());
        after.retain(|path, _| !path.starts_with("staging"));
        assert_eq!(after, before, "died at {name}");
        place.ingest_with(&place.delivery("second"), Arc::new(Silent)).await.unwrap();
        assert_eq!(tree(&place.register()), whole, "died at {name}");
    }
}

#[tokio::test]
async fn a_kill_at_any_moment_leaves_one_snapshot_or_the_other() {
    let (_, whole) = undisturbed(20_000).await;
    let place = Place::new();
    deliveries(&place, 20_000);
    place.ingest(&place.delivery("first")).await.unwrap();
    let before = tree(&place.register());
    let began = std::time::Instant::now();
    let mut kills = 0;
    for milliseconds in (0..).step_by(7) {
        let mut child = start(&place, None);
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        let after = tree(&place.register());
        for (path, bytes) in before.iter().filter(|(path, _)| !path.ends_with("CURRENT")) {
            assert_eq!(after.get(path), Some(bytes), "killed after {milliseconds} ms");
        }
        if after.get(Path::new("CURRENT")) != before.get(Path::new("CURRENT")) {
            break;
        }
        kills += 1;
        assert!(began.elapsed() < Duration::from_secs(60), "the ingest never comes to its end");
    }
    assert!(kills > 0);
    let again = place.ingest(&place.delivery("second")).await.unwrap();
    assert!(matches!(again, IngestReport::AlreadyTaken { .. }));
    let mut after = tree(&place.register());
    after.retain(|path, _| !path.starts_with("staging"));
    assert_eq!(after, whole);
}
