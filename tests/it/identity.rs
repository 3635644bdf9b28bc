//! The identity service and its clients over real connections.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::TimeDelta;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use kpr::app::identity;
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::config::{IdentityConfig, Peer};
use kpr::domain::approval::{Approval, Grant, Purpose, SignedApproval, StewardSignature, Tier};
use kpr::domain::canonical::Digest;
use kpr::domain::clock::Clock;
use kpr::domain::ids::{
    DatasetId, DomainId, OrderId, OrganisationId, PersonNo, ProjectId, RegisterId, RuleId, RunId, StewardId,
    VariableId,
};
use kpr::domain::order::LinkageOrder;
use kpr::domain::period::Period;
use kpr::domain::record_key::RecordKey;
use kpr::domain::refusal::RefusalKind;
use kpr::domain::section::Section;
use kpr::identity::{Fnr, LinkageKey};
use kpr::linkage::{CodeMapper, LinkageCode, LinkageError};
use kpr::partner::KeySource;
use kpr::registers::IdentityIntake;
use kpr::registers::intake::{IdentityFaultKind, IdentityFile, IdentityLayout, IntakeError, Resolved};
use kpr::wire::identity_client::IdentityLink;
use kpr::wire::partner_client::IdentityChannel;
use kpr::wire::pki::{self, demo};

struct Running {
    folder: TempDir,
    address: SocketAddr,
    stop: CancellationToken,
}

async fn start() -> Running {
    start_with("").await
}

/// The whole process, but for being one of its own: made from its configuration file, with a section more.
async fn start_with(section: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let stewards = demo::write(folder.path(), pki::Validity::days(SystemClock.now(), 1), &SystemEntropy);
    let mut text = "listen = '127.0.0.1:0'\nvault = 'vault.db'\nroot_secret = 'root'\n".to_owned();
    for steward in stewards.unwrap() {
        text += &steward.to_string();
    }
    text += "[tls]\ncertificate = 'identity.pem'\nkey = 'identity.key'\nauthority = 'ca.pem'\n";
    text += section;
    let path = folder.path().join("identity.toml");
    std::fs::write(&path, text).unwrap();
    let config = IdentityConfig::load(&path).unwrap();
    identity::init(&config, &SystemEntropy).unwrap();
    assert!(identity::init(&config, &SystemEntropy).is_err(), "a root secret is never overwritten");
    let (ready, address) = tokio::sync::oneshot::channel();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        let ready = |address| ready.send(address).unwrap();
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        identity::run(&config, clock, entropy, stopped, ready).await.unwrap();
    });
    Running { folder, address: address.await.unwrap(), stop }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Running {
    fn peer(&self) -> Peer {
        Peer { address: self.address, name: "identity.kpr.test".to_owned() }
    }

    fn keys(&self, party: &str) -> IdentityChannel {
        IdentityChannel::new(&self.peer(), &demo::files(self.folder.path(), party)).unwrap()
    }

    fn link(&self, party: &str) -> IdentityLink {
        IdentityLink::new(&self.peer(), &demo::files(self.folder.path(), party)).unwrap()
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("ide.csv");
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn resolve(&self, path: &Path) -> Result<Resolved, IntakeError> {
        self.link("ingest").resolve(serial_file(path)).await
    }

    fn order(&self, run: char) -> LinkageOrder {
        let now = SystemClock.now();
        let year = Period::new("2024-01-01".parse().unwrap(), "2024-12-31".parse().unwrap()).unwrap();
        let date = VariableId::new("utdato").unwrap();
        let (register, dataset) = (RegisterId::new("NPR").unwrap(), DatasetId::new("episode").unwrap());
        let approval = Approval {
            project: ProjectId::new("P-1").unwrap(),
            version: 1,
            title: "Follow-up".into(),
            rek_reference: "2026/1".into(),
            purpose: Purpose::Research,
            legal_basis: "GDPR art. 6(1)e".into(),
            recipients: vec![OrganisationId::new(demo::UNIVERSITY).unwrap()],
            grants: vec![Grant {
                register: register.clone(),
                dataset: dataset.clone(),
                variables: vec![date.clone()],
                conditions: vec![],
            }],
            data_period: year,
            dimensions: vec![],
            tier: Tier::ProtectedTables,
            rule: RuleId::new("rule").unwrap(),
            other_basis: None,
            privacy_budget: None,
            valid: Period::new(now.date_naive(), now.date_naive() + TimeDelta::days(1)).unwrap(),
            linked_sets_until: None,
            reuse_linked_sets: false,
            queries: vec![],
            indirect: None,
            feed: None,
        };
        let signatures = demo::STEWARDS
            .map(|name| {
                let key = pki::read_signing_key(&demo::signing_key(self.folder.path(), name)).unwrap();
                StewardSignature::sign(&approval, StewardId::new(name).unwrap(), &key).unwrap()
            })
            .into();
        LinkageOrder {
            id: OrderId::new(format!("o-{}", format!("{run}1").repeat(16))).unwrap(),
            run: RunId::new(format!("r-{}", format!("{run}f").repeat(16))).unwrap(),
            query: Digest::of_bytes("test", b"query"),
            register,
            section: Section::Section11,
            dataset,
            columns: vec![],
            conditions: vec![],
            date,
            period: year,
            issued: now,
            expires: now + TimeDelta::minutes(5),
            max_rows: 1_000_000,
            approval: SignedApproval { approval, signatures },
        }
    }
}

fn serial_file(path: &Path) -> IdentityFile<'_> {
    IdentityFile { delivery: Digest::of_bytes("test", b"x"), layout: IdentityLayout::Serial, path }
}

const A: &str = "30908299996";
const B: &str = "30908299902";

const MANY: u32 = 70_000;

/// Synthetic numbers of births in January.
fn unknown() -> impl Iterator<Item = Fnr> {
    (1..=28)
        .flat_map(|day| (0..10_000_000).map(move |rest| format!("{day:02}81{rest:07}")))
        .filter_map(|text| Fnr::parse(text.as_bytes()).ok())
}

fn code(key: &LinkageKey, number: &str) -> LinkageCode {
    key.code(&Fnr::parse(number.as_bytes()).unwrap())
}

#[tokio::test]
async fn a_file_is_resolved_kept_and_its_codes_mapped() {
    let running = start().await;
    let path = running.file(&format!("kpr_lnr;fnr\n8;{A}\n9;nobody\n7;{B}\n"));
    let resolved = running.resolve(&path).await.unwrap();
    assert_eq!((resolved.persons.get(8), resolved.persons.get(7)), (Some(PersonNo(0)), Some(PersonNo(1))));
    assert_eq!((resolved.lines, resolved.distinct), (3, 2));
    let faults: Vec<_> = resolved.faults.iter().map(|f| (f.line, f.kind)).collect();
    assert_eq!(faults, [(3, IdentityFaultKind::NotANumber)]);
    resolved.pending.commit().await.unwrap();

    let order = running.order('a');
    let key = running.keys("npr").linkage_key(&order).await.unwrap();
    // More codes than one message carries.
    let mut coder = key.coder();
    let mut codes: Vec<LinkageCode> =
        unknown().take(MANY as usize).map(|number| coder.code(&number)).collect();
    codes.extend([code(&key, B), code(&key, A)]);
    let domain = DomainId::new("KPR").unwrap();
    let mapped = running.link("gateway").map(&order, &codes, Some(&domain)).await.unwrap();
    assert_eq!(mapped.person_no[MANY as usize..], [PersonNo(1), PersonNo(0)]);
    assert_eq!(mapped.person_no[MANY as usize - 1], PersonNo(PersonNo::FIRST_UNKNOWN + MANY - 1));
    assert_eq!(mapped.several_numbers, 0);
    // A record key for each code of a known person, none for the others; and none where none are asked for.
    let keys = mapped.record_keys.unwrap();
    assert_eq!(keys.len(), codes.len());
    let (unknown, known) = keys.split_at(MANY as usize);
    assert!(unknown.iter().all(|key| *key == RecordKey(0)));
    assert!(known[0] != known[1] && !known.contains(&RecordKey(0)));
    let again = running.link("gateway").map(&order, &codes, Some(&domain)).await;
    assert!(matches!(again, Err(LinkageError::Identity(r)) if r.hint.starts_with("identity.stale_order")));

    // In another run other codes, the same persons and the same keys; in another domain others.
    for (run, domain, same) in [('b', "KPR", Some(true)), ('c', "other", Some(false)), ('d', "", None)] {
        let order = running.order(run);
        let key = running.keys("npr").linkage_key(&order).await.unwrap();
        let codes = [code(&key, B), code(&key, A)];
        let domain = DomainId::new(domain).ok();
        let mapped = running.link("gateway").map(&order, &codes, domain.as_ref()).await.unwrap();
        assert_eq!(mapped.record_keys.map(|keys| *keys == known), same);
    }
}

#[tokio::test]
async fn a_file_that_is_not_committed_leaves_nothing() {
    let running = start().await;
    let path = running.file(&format!("kpr_lnr;fnr\n1;{A}\n"));
    let first = running.resolve(&path).await.unwrap();
    assert!(
        matches!(running.resolve(&path).await, Err(IntakeError::Unavailable(text)) if text.contains("identity.busy"))
    );
    drop(first);
    let path = running.file(&format!("kpr_lnr;fnr\n1;{B}\n"));
    let second = loop {
        // The service hears of the first caller's leaving a moment later.
        match running.resolve(&path).await {
            Err(IntakeError::Unavailable(_)) => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await
            }
            other => break other.unwrap(),
        }
    };
    assert_eq!(second.persons.get(1), Some(PersonNo(0)));
    second.pending.commit().await.unwrap();
}

#[tokio::test]
async fn a_bad_header_and_a_missing_file_are_told_apart() {
    let running = start().await;
    let path = running.file("1;2\n");
    assert!(
        matches!(running.resolve(&path).await, Err(IntakeError::Refused(text)) if text.contains("identity.header"))
    );
    let missing = running.folder.path().join("missing.csv");
    assert_eq!(running.resolve(&missing).await.err(), Some(IntakeError::Read(std::io::ErrorKind::NotFound)));
}

#[tokio::test]
async fn only_the_right_party_is_answered() {
    let running = start().await;
    let order = running.order('a');
    for party in ["gateway", "ingest", "anna", "researcher", "auditor"] {
        let refused = running.keys(party).linkage_key(&order).await.unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (RefusalKind::Denied, "access.role"), "{party}");
    }
    let refused = running.link("npr").map(&order, &[], None).await.err().unwrap();
    assert!(refused.to_string().contains("access.role"));
    let path = running.file("kpr_lnr;fnr\n");
    let refused = running.link("npr").resolve(serial_file(&path)).await.err().unwrap();
    assert!(refused.to_string().contains("access.role"));
    let mut other = running.order('b');
    other.register = RegisterId::new("LMR").unwrap();
    let refused = running.keys("npr").linkage_key(&other).await.unwrap_err();
    assert_eq!(refused.code, "identity.other_register");
}

#[tokio::test]
async fn a_caller_takes_no_more_than_its_configured_share() {
    let identity = start_with("[limits]\nportal = { per_minute = 1, burst = 2, at_once = 2 }\n").await;
    let portal = identity.link("portal");
    for _ in 0..2 {
        portal.open_ticket("30908299996").await.unwrap();
    }
    let refused = portal.open_ticket("30908299996").await.unwrap_err();
    assert_eq!(refused.code, "access.rate");
    // Others have the default.
    let path = identity.file("");
    for _ in 0..5 {
        assert!(!format!("{:?}", identity.resolve(&path).await).contains("access.rate"));
    }
}
