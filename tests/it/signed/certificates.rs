//! Certificates and revocation lists that are replaced while an installation runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use kpr::app::stage::{Process, example_query};
use kpr::app::system::SystemClock;
use kpr::audit::Leaf;
use kpr::authorise::Role;
use kpr::config::Peer;
use kpr::domain::canonical::Canonical;
use kpr::domain::clock::Clock;
use kpr::domain::ids::OrganisationId;
use kpr::store::Phase;
use kpr::wire::client;
use kpr::wire::pki::{Authority, CertificateRequest, RevocationList, Validity, demo};
use kpr::wire::web_client;
use tokio::time::timeout;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::world::{Making, World};

/// The authority of an installation.
struct Keeper {
    folder: PathBuf,
    authority: Authority,
}

impl Keeper {
    fn of(world: &World) -> Self {
        let folder = world.stage.path("pki");
        Self { authority: Authority::read(&folder).unwrap(), folder }
    }

    fn revoke(&self, party: &str) {
        let mut list = RevocationList::read(&self.folder).unwrap();
        let file = self.folder.join(format!("{party}.pem"));
        assert!(list.revoke(&self.authority, &file, SystemClock.now()).unwrap());
        list.write(&self.authority, &self.folder, Validity::days(SystemClock.now(), 1)).unwrap();
    }

    fn list_until(&self, to: TimeDelta) {
        let now = SystemClock.now();
        let validity = Validity { from: now - TimeDelta::days(2), to: now + to };
        RevocationList::read(&self.folder).unwrap().write(&self.authority, &self.folder, validity).unwrap();
    }

    /// A new certificate and key for the gateway, in place of those it has.
    fn new_gateway(&self) {
        let request = CertificateRequest {
            organisation: OrganisationId::new(demo::KEEPER).unwrap(),
            role: Role::Gateway,
            name: "gateway".to_owned(),
            dns: vec!["localhost".to_owned()],
            validity: Validity::days(SystemClock.now(), 1),
        };
        let authority = self.folder.join(Authority::CERTIFICATE);
        let new =
            self.authority.issue(&request).unwrap().write(&self.folder.join("new"), &authority).unwrap();
        let files = demo::files(&self.folder, "gateway");
        std::fs::rename(new.key, files.key).unwrap();
        std::fs::rename(new.certificate, files.certificate).unwrap();
    }
}

/// Whether a party is let in by a server now, on a new connection.
async fn is_let_in(world: &World, server: &Peer, party: &str) -> bool {
    let channel = client::connect_lazy(server, &world.stage.tls(party)).unwrap();
    let request = HealthCheckRequest { service: String::new() };
    HealthClient::new(channel).check(request).await.is_ok()
}

/// Waits until a log of the installation has this text after so many bytes.
async fn logged(log: &Path, from: usize, text: &str) {
    let found = async {
        while !std::fs::read_to_string(log).unwrap()[from..].contains(text) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(30), found)
        .await
        .unwrap_or_else(|_| panic!("{} lacks {text}", log.display()));
}

fn length(log: &Path) -> usize {
    std::fs::metadata(log).unwrap().len() as usize
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_parties_are_refused_and_replaced_certificates_shown_without_a_restart() {
    let mut world = World::running(&Making { persons: 1500, ..Making::default() }).await;
    let keeper = Keeper::of(&world);
    let (gateway, identity) = (world.stage.gateway(), world.stage.identity());
    world.approve().await;
    world.answer("before").await;

    // A caller: refused at the next handshake, by every server, and at the next call over the connection that it has.
    let open = world.client("consumer").await;
    keeper.revoke("consumer");
    assert!(!is_let_in(&world, &gateway, "consumer").await);
    assert!(!is_let_in(&world, &identity, "consumer").await);
    assert!(is_let_in(&world, &gateway, "anna").await && is_let_in(&world, &identity, "npr").await);
    assert!(open.list_tables().await.unwrap_err().to_string().contains("revoked since"));

    // The gateway: the register node, which dials out, refuses it; so does the identity service.
    keeper.revoke("gateway");
    assert!(world.npr.take().unwrap().stop().await);
    let log = world.stage.path("logs/npr.log");
    let from = length(&log);
    world.npr = Some(world.stage.start(Process::Npr).await.unwrap());
    logged(&log, from, "Revoked").await;
    assert!(!is_let_in(&world, &gateway, "anna").await, "anna's own client looks the gateway up too");
    assert!(!is_let_in(&world, &identity, "gateway").await);

    // With a new certificate it is trusted again, without a restart, by the node too and on HTTPS.
    keeper.new_gateway();
    assert!(is_let_in(&world, &gateway, "anna").await && is_let_in(&world, &identity, "gateway").await);
    let authority = keeper.folder.join(Authority::CERTIFICATE);
    assert!(web_client::get(&world.stage.https(), &authority, "/tables").await.is_ok());
    // Its connection to the identity service, which was made with the certificate before, is made anew.
    let answered = async {
        for number in 0.. {
            let run = world.submit(&format!("after-{number}"), &example_query().unwrap()).await.unwrap();
            if world.end_of(&run).await.phase == Phase::Released {
                return;
            }
        }
    };
    timeout(Duration::from_secs(60), answered).await.unwrap();
    logged(&world.stage.path("logs/gateway.log"), 0, "other TLS files count now").await;

    // A file that cannot be used changes nothing, and is told.
    let key = demo::files(&keeper.folder, "gateway").key;
    let good = std::fs::read(&key).unwrap();
    std::fs::write(&key, "no key").unwrap();
    assert!(is_let_in(&world, &gateway, "anna").await);
    logged(&world.stage.path("logs/gateway.log"), 0, "the TLS files stay as they were").await;
    std::fs::write(&key, good).unwrap();

    // A list that has expired refuses everybody, with a line that says so, until a newer one is there.
    keeper.list_until(TimeDelta::seconds(-5));
    for (server, log) in [(&gateway, "logs/gateway.log"), (&identity, "logs/identity.log")] {
        let channel = HealthClient::new(client::connect_lazy(server, &bare(&world, "anna")).unwrap());
        assert!(channel.clone().check(HealthCheckRequest::default()).await.is_err());
        logged(&world.stage.path(log), 0, "a revocation list has expired: everybody is refused").await;
    }
    keeper.list_until(TimeDelta::days(1));
    assert!(is_let_in(&world, &gateway, "anna").await);
    assert!(!is_let_in(&world, &identity, "consumer").await, "what was revoked stays so");

    // Each time leaves a leaf: two revocations, a new certificate, two lists.
    let auditor = world.client("auditor").await;
    let recorded = async {
        loop {
            let entries = auditor.entries(0, 10_000).await.unwrap();
            let leaves = entries.iter().map(|e| Leaf::from_canonical(&e.leaf).unwrap());
            if leaves.filter(|leaf| leaf.kind == 47).count() >= 5 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(10), recorded).await.unwrap();
    world.end().await;
}

/// A party's files without the revocation list, so that it is the server that refuses.
fn bare(world: &World, party: &str) -> kpr::config::TlsFiles {
    kpr::config::TlsFiles { revocation: vec![], ..world.stage.tls(party) }
}
