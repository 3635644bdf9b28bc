//! The audit log with a real witness beside the gateway: two processes, real sockets. The attacker has the
//! gateway's database, its backups and its signing key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use kpr::app::stage::{Process, Stage, StageOptions, example_approval};
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::audit::cosignature::CosignatureVerifier;
use kpr::audit::merkle::{Frontier, leaf_hash};
use kpr::audit::note::{NoteSigner, NoteVerifier};
use kpr::config::{GatewayConfig, read_secret};
use kpr::domain::ids::ProjectId;
use kpr::wire::gateway_client::GatewayClient;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::TempDir;

use crate::world::program;

/// How long a cosignature may take.
const PATIENCE: Duration = Duration::from_secs(120);

struct Log {
    stage: Stage,
    _folder: TempDir,
}

impl Log {
    fn new() -> Self {
        Self::made(true)
    }

    fn made(witness: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StageOptions { witness, ..StageOptions::default() };
        let stage = Stage::build(folder.path(), &program(), &options, &SystemClock, &SystemEntropy).unwrap();
        Self { stage, _folder: folder }
    }

    async fn client(&self, party: &str) -> GatewayClient {
        GatewayClient::connect(&self.stage.gateway(), &self.stage.tls(party)).await.unwrap()
    }

    fn witness_key(&self) -> String {
        GatewayConfig::load(&self.stage.configuration("gateway")).unwrap().witnesses[0].key.clone()
    }

    fn log_key(&self) -> String {
        self.stage.audit_key().unwrap()
    }

    /// Something that is recorded.
    async fn act(&self, number: u32) {
        let mut approval = example_approval().unwrap();
        approval.project = ProjectId::new(format!("P-2026-{number:04}")).unwrap();
        self.client("anna").await.enter_project(&approval, None).await.unwrap();
    }

    /// The latest checkpoint once it is cosigned, and its size.
    async fn cosigned(&self) -> (String, u64) {
        let auditor = self.client("auditor").await;
        let key: NoteVerifier = self.log_key().parse().unwrap();
        let size = |note: &str| key.open(note).unwrap().size;
        let wait = async {
            loop {
                let latest = String::from_utf8(auditor.checkpoint(0).await.unwrap()).unwrap();
                if let Ok(note) = auditor.checkpoint(1).await {
                    let note = String::from_utf8(note).unwrap();
                    if size(&note) == size(&latest) {
                        return (note.clone(), size(&note));
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the witness did not cosign")
    }

    fn database(&self) -> PathBuf {
        self.stage.path("gateway/control.sqlite")
    }

    /// The database of a gateway that has stopped, without a write-ahead log beside it.
    async fn sql(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.database());
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    async fn backup(&self, name: &str) -> PathBuf {
        let mut sql = self.sql().await;
        sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
        sql.close().await.unwrap();
        let copy = self.stage.path(name);
        std::fs::copy(self.database(), &copy).unwrap();
        copy
    }

    fn restore(&self, backup: &Path) {
        for ending in ["-wal", "-shm"] {
            let beside = format!("{}{ending}", self.database().display());
            if std::fs::exists(&beside).unwrap() {
                std::fs::remove_file(beside).unwrap();
            }
        }
        std::fs::copy(backup, self.database()).unwrap();
    }

    /// Runs `kpr`; gives whether it ended well, and what it said.
    async fn kpr(&self, arguments: &[&str]) -> (bool, String) {
        let out = tokio::process::Command::new(program()).args(arguments).output().await.unwrap();
        let said = [out.stdout, out.stderr].concat();
        (out.status.success(), String::from_utf8(said).unwrap())
    }

    fn said(&self, process: &str) -> String {
        std::fs::read_to_string(self.stage.path("logs").join(format!("{process}.log"))).unwrap()
    }

    /// The gateway does not start, and its log says why.
    async fn does_not_start(&self, why: &str) {
        assert!(self.stage.start(Process::Gateway).await.is_err());
        let said = self.said("gateway");
        let last = said.lines().last().unwrap();
        assert!(last.contains("tampered with or put back") && last.contains(why), "{last}");
    }
}

/// Another entry 0, and everything after it signed anew by the log's own key.
async fn rewrite(log: &Log) {
    let mut sql = log.sql().await;
    let leaves: Vec<Vec<u8>> = sqlx::query_scalar("SELECT leaf FROM audit_leaves ORDER BY leaf_index")
        .fetch_all(&mut sql)
        .await
        .unwrap();
    let secret = read_secret::<32>(&log.stage.path("gateway/audit.key")).unwrap();
    let signer = NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&secret)).unwrap();
    let mut tree = Frontier::default();
    for (index, mut leaf) in leaves.into_iter().enumerate() {
        if index == 0 {
            leaf = String::from_utf8(leaf).unwrap().replace("NTRNO-310000019", "NTRNO-310000094").into();
        }
        tree.add(leaf_hash(&leaf));
        let update = sqlx::query("UPDATE audit_leaves SET leaf = $1 WHERE leaf_index = $2");
        update.bind(leaf).bind(index as i64).execute(&mut sql).await.unwrap();
        let update = sqlx::query("UPDATE audit_checkpoints SET note = $1 WHERE size = $2");
        let note = signer.sign(tree.size(), tree.root());
        update.bind(note).bind(tree.size() as i64).execute(&mut sql).await.unwrap();
    }
    let update = sqlx::query("UPDATE audit_head SET frontier = $1 WHERE id = 1");
    update.bind(tree.peaks()).execute(&mut sql).await.unwrap();
    sql.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_put_back_or_rewritten_is_told_by_its_witness() {
    let log = Log::new();
    let mut witness = log.stage.start(Process::Witness).await.unwrap();
    let gateway = log.stage.start(Process::Gateway).await.unwrap();
    log.act(1).await;
    let (note, first) = log.cosigned().await;
    assert!(log.witness_key().parse::<CosignatureVerifier>().unwrap().find(&note).is_some());
    assert!(gateway.stop().await);
    let before = log.backup("before.sqlite").await;

    // Life goes on, also across a restart of the witness.
    let gateway = log.stage.start(Process::Gateway).await.unwrap();
    log.act(2).await;
    let (_, second) = log.cosigned().await;
    assert!(second > first);
    assert!(witness.stop().await);
    witness = log.stage.start(Process::Witness).await.unwrap();
    log.act(3).await;
    let (_, third) = log.cosigned().await;

    // An auditor demands the cosignature, and holds the log against what the witness itself holds.
    let (out, held) = (log.stage.path("export"), log.stage.path("held"));
    let (out, held) = (out.to_str().unwrap(), held.to_str().unwrap());
    let tls = log.stage.tls("auditor");
    let shown = |at: std::net::SocketAddr, flag: &str| {
        let mut shown = vec![flag.to_owned(), at.to_string(), "--name".to_owned(), "localhost".to_owned()];
        let files =
            [("--certificate", &tls.certificate), ("--key", &tls.key), ("--authority", &tls.authority)];
        for (flag, file) in files {
            shown.extend([flag.to_owned(), file.display().to_string()]);
        }
        shown
    };
    let (log_key, witness_key) = (log.log_key(), log.witness_key());
    let gateway_at = shown(log.stage.gateway().address, "--gateway");
    let demanded = ["--witness", &witness_key];
    let export = ["audit", "export", "--out", out, "--log-key", &log_key];
    let connection: Vec<&str> = gateway_at.iter().map(String::as_str).collect();
    let (ok, said) = log.kpr(&[&export[..], &demanded, &connection].concat()).await;
    assert!(ok && said.contains("cosigned by 1 of the witnesses"), "{said}");
    let witness_at = shown(log.stage.witness().address, "--witness");
    let connection: Vec<&str> = witness_at.iter().map(String::as_str).collect();
    let (ok, said) = log.kpr(&[&["witness", "held", "--out", held][..], &connection].concat()).await;
    assert!(ok, "{said}");
    let verify = ["audit", "verify", "--log", out, "--key", &log_key];
    let (ok, said) = log.kpr(&[&verify[..], &demanded, &["--checkpoint", held]].concat()).await;
    assert!(ok && said.contains(&format!("{third} entries")), "{said}");
    let (ok, said) = log.kpr(&[&verify[..], &demanded, &["--needed", "2"]].concat()).await;
    assert!(!ok && said.contains("2 are needed"), "{said}");
    // The researcher of one entry is shown that entry.
    let proof = log.stage.path("proof");
    let proof = proof.to_str().unwrap();
    let (ok, said) =
        log.kpr(&["audit", "prove", "--log", out, "--key", &log_key, "--entry", "1", "--out", proof]).await;
    assert!(ok, "{said}");
    let (ok, said) = log.kpr(&["audit", "check", "--proof", proof, "--key", &log_key]).await;
    assert!(ok && said.starts_with("entry 1 of the log: {\"v\":1,\"type\":"), "{said}");
    assert!(gateway.stop().await);
    let after = log.backup("after.sqlite").await;

    // An older database, by itself in perfect order.
    log.restore(&before);
    log.does_not_start("was rolled back or cut").await;
    // The whole history, one entry rewritten and everything signed anew.
    log.restore(&after);
    rewrite(&log).await;
    log.does_not_start("one of the two was tampered with").await;
    // The true one is accepted as before.
    log.restore(&after);
    let gateway = log.stage.start(Process::Gateway).await.unwrap();
    log.act(4).await;
    log.cosigned().await;

    // A witness that is away stops nobody, and is told of; when it is back, it catches up.
    assert!(witness.stop().await);
    log.act(5).await;
    assert!(gateway.stop().await);
    assert!(log.said("gateway").contains("a witness does not cosign"));
    let gateway = log.stage.start(Process::Gateway).await.unwrap();
    assert!(log.said("gateway").contains("a witness does not answer"));
    log.act(6).await;
    let witness = log.stage.start(Process::Witness).await.unwrap();
    log.cosigned().await;
    assert!(gateway.stop().await);
    assert!(log.said("gateway").contains("a witness cosigns again"));
    assert!(witness.stop().await);
}

/// Its configuration says what a caller may take, as the gateway's does.
#[tokio::test(flavor = "multi_thread")]
async fn a_witness_gives_a_caller_no_more_than_its_share() {
    let log = Log::new();
    let configuration = log.stage.configuration("witness");
    let text = std::fs::read_to_string(&configuration).unwrap();
    let limited =
        |limit: &str| std::fs::write(&configuration, format!("{text}\n[limits]\n{limit}\n")).unwrap();
    limited("boss = { per_minute = 1, burst = 2, at_once = 2 }");
    assert!(log.stage.start(Process::Witness).await.is_err());
    assert!(log.said("witness").contains("limits: \"boss\" is no role"), "{}", log.said("witness"));
    limited("auditor = { per_minute = 1, burst = 2, at_once = 2 }");
    let witness = log.stage.start(Process::Witness).await.unwrap();
    let held = async |party: &str| {
        let tls = log.stage.tls(party);
        let (at, out) = (log.stage.witness().address.to_string(), log.stage.path("held"));
        let [certificate, key, authority] =
            [&tls.certificate, &tls.key, &tls.authority].map(|file| file.to_str().unwrap());
        let named = ["--witness", &at, "--name", "localhost", "--certificate", certificate, "--key", key];
        let rest = ["--authority", authority, "--out", out.to_str().unwrap()];
        log.kpr(&[&["witness", "held"][..], &named, &rest].concat()).await.1
    };
    for _ in 0..2 {
        let said = held("auditor").await;
        assert!(!said.contains("access.rate"), "{said}");
    }
    let said = held("auditor").await;
    assert!(said.contains("access.rate"), "{said}");
    let said = held("anna").await;
    assert!(!said.contains("access.rate"), "{said}");
    assert!(witness.stop().await);
}

/// Without a witness: a copy made by `kpr backup` while the gateway ran, put back, is told by the checkpoint that the gateway
/// keeps outside of its database.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_put_back_is_told_by_the_checkpoint_kept_outside_of_it() {
    let log = Log::made(false);
    let (configuration, kept) = (log.stage.configuration("gateway"), log.stage.path("audit.checkpoint"));
    let text = std::fs::read_to_string(&configuration).unwrap();
    std::fs::write(&configuration, format!("audit_checkpoint = {:?}\n{text}", kept.display().to_string()))
        .unwrap();
    let gateway = log.stage.start(Process::Gateway).await.unwrap();
    log.act(1).await;
    let copy = log.stage.path("copy.sqlite");
    let backup = ["backup", "--config", configuration.to_str().unwrap(), "--to", copy.to_str().unwrap()];
    let (ok, said) = log.kpr(&backup).await;
    assert!(ok && said.trim() == copy.to_str().unwrap(), "{said}");
    let (ok, said) = log.kpr(&backup).await;
    assert!(!ok && said.contains("exists"), "{said}");
    log.act(2).await;
    assert!(gateway.stop().await);
    let held = std::fs::read(&kept).unwrap();

    log.restore(&copy);
    for _ in 0..2 {
        assert!(log.stage.start(Process::Gateway).await.is_err());
        let said = log.said("gateway");
        assert!(said.lines().last().unwrap().contains("the database was put back from a copy"), "{said}");
        assert_eq!(std::fs::read(&kept).unwrap(), held, "what it was told by stays");
    }
    // A checkpoint that somebody has changed lets nothing in either.
    let changed = String::from_utf8(held.clone()).unwrap().replacen('\n', "\n1", 1);
    std::fs::write(&kept, changed).unwrap();
    assert!(log.stage.start(Process::Gateway).await.is_err());
    assert!(log.said("gateway").contains("is not signed by its key"));
    // Somebody has decided on what is missing, and configures another file.
    std::fs::remove_file(&kept).unwrap();
    let gateway = log.stage.start(Process::Gateway).await.unwrap();
    log.act(3).await;
    assert!(gateway.stop().await);
    assert!(std::fs::read(&kept).unwrap() != held);
}

/// What was written while the witness was away is not covered: it can be taken back unseen. With the
/// witness there, nothing can.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_only_as_good_as_the_last_cosignature() {
    let log = Log::new();
    let witness = log.stage.start(Process::Witness).await.unwrap();
    let gateway = log.stage.start(Process::Gateway).await.unwrap();
    log.act(1).await;
    log.cosigned().await;
    assert!(gateway.stop().await);
    let before = log.backup("before.sqlite").await;
    assert!(witness.stop().await);
    let gateway = log.stage.start(Process::Gateway).await.unwrap();
    log.act(2).await;
    assert!(gateway.stop().await);
    let witness = log.stage.start(Process::Witness).await.unwrap();
    log.restore(&before);
    let gateway = log.stage.start(Process::Gateway).await.unwrap();
    log.cosigned().await;
    assert!(gateway.stop().await);
    // The stop itself is cosigned, so that even the last entry is missed.
    log.restore(&before);
    log.does_not_start("was rolled back or cut").await;
    assert!(witness.stop().await);
}
