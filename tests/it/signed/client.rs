//! Callers that sign in with tokens, against real processes and a real issuer: from the client's key to the table.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonwebtoken::Algorithm;
use kpr::app::stage::example_query;
use kpr::app::system::{SystemClock, SystemEntropy};
use kpr::config::{Peer, TokenClientConfig};
use kpr::domain::ids::RequestId;
use kpr::statistics::Format;
use kpr::store::Phase;
use kpr::wire::gateway_client::GatewayClient;
use kpr::wire::pki::Authority;
use kpr::wire::token_client::TokenSource;

use super::issuer::{AUDIENCE, Issuer, Pair, Registered};
use crate::world::{Making, World};

/// An installation whose gateway has a door for tokens.
struct Signed {
    world: World,
    issuer: Issuer,
    address: SocketAddr,
}

impl Signed {
    async fn new() -> Self {
        let issuer = Issuer::start(Pair::rsa("k1", Algorithm::RS256)).await;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let world = World::made(&Making { persons: 2500, discharge_rate: 0.3, ..Making::default() });
        // Both kinds are one issuer here; the gateway knows it as one of them at a time.
        let section = format!(
            "[tokens]\nlisten = \"{address}\"\naddress = \"https://localhost:{}\"\n[[tokens.issuers]]\n\
             kind = \"helseid\"\nissuer = \"{name}\"\naudience = \"{AUDIENCE}\"\njwks = \"{name}/jwks\"\n\
             scopes = {{ \"kpr:query\" = \"researcher\" }}\n",
            address.port(),
            name = issuer.name(),
        );
        let file = world.stage.configuration("gateway");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text + &section).unwrap();
        Self { world: world.take_in().await, issuer, address }
    }

    /// A client that the issuer knows, and its configuration.
    fn client(&self, kind: &str, id: &str, key: &Pair) -> PathBuf {
        self.issuer.register(
            id,
            Registered {
                key: key.public(),
                organisation: "310000035".to_owned(),
                scopes: vec!["kpr:query".to_owned()],
            },
        );
        let path = |ending: &str| self.world.stage.path(&format!("{id}.{ending}"));
        std::fs::write(path("pem"), key.pem()).unwrap();
        std::fs::set_permissions(path("pem"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let text = format!(
            "kind = \"{kind}\"\nissuer = \"{name}\"\nendpoint = \"{name}/token\"\nclient_id = \"{id}\"\n\
             key = \"{id}.pem\"\nkey_id = \"{}\"\nalgorithm = \"{:?}\"\nscope = \"kpr:query\"\n",
            key.kid,
            key.algorithm,
            name = self.issuer.name(),
        );
        std::fs::write(path("toml"), text).unwrap();
        path("toml")
    }

    async fn connect(&self, file: &Path) -> GatewayClient {
        let config = TokenClientConfig::load(file).unwrap();
        let tokens = TokenSource::new(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).unwrap();
        let peer = Peer { address: self.address, name: "localhost".to_owned() };
        let authority = self.world.stage.path("pki").join(Authority::CERTIFICATE);
        let revoked = [self.world.stage.path("pki").join(Authority::REVOKED)];
        GatewayClient::connect_with_tokens(&peer, &authority, &revoked, Arc::new(tokens)).await.unwrap()
    }

    /// `kpr query check` with tokens.
    async fn check(&self, file: &Path) -> bool {
        let (address, authority) =
            (self.address.to_string(), self.world.stage.path("pki").join(Authority::CERTIFICATE));
        let query = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/query.yaml");
        let arg = OsStr::new;
        let arguments = [
            arg("query"),
            arg("check"),
            arg("--gateway"),
            arg(&address),
            arg("--name"),
            arg("localhost"),
            arg("--authority"),
            authority.as_os_str(),
            arg("--token"),
            file.as_os_str(),
            arg("--file"),
            query.as_os_str(),
        ];
        self.world.stage.run("check", &arguments).await.is_ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_bound_token_asks_and_gets_its_table() {
    let signed = Signed::new().await;
    signed.world.approve().await;
    let file = signed.client("helseid", "hospital-analysis", &Pair::ec("c1"));
    assert!(signed.check(&file).await, "kpr query check --token");

    let client = signed.connect(&file).await;
    let run = client.submit(&RequestId::new("signed").unwrap(), &example_query().unwrap()).await.unwrap().run;
    assert_eq!(client.wait(&run).await.unwrap().phase, Phase::Released);
    let csv = client.fetch(&run, Format::Csv).await.unwrap();
    // The organisation is the same as that of the certificate, so the result is too.
    assert_eq!(csv, signed.world.client("researcher").await.fetch(&run, Format::Csv).await.unwrap());
    let refused = client.list_projects().await.unwrap_err().to_string();
    assert!(refused.contains("access.role"), "{refused}");

    // A bearer token of the same issuer, by a client that asks as for Maskinporten: the gateway wants it bound.
    let bearer = signed.client("maskinporten", "hospital-bearer", &Pair::rsa("c2", Algorithm::RS256));
    let refused =
        signed.connect(&bearer).await.check(&example_query().unwrap()).await.unwrap_err().to_string();
    assert!(refused.contains("access.token") && refused.contains("bound"), "{refused}");
    assert!(!signed.check(&bearer).await);

    // A client with a key that the issuer does not know has no token to show.
    let file = signed.client("helseid", "hospital-stolen", &Pair::ec("c3"));
    std::fs::write(signed.world.stage.path("hospital-stolen.pem"), Pair::ec("c3").pem()).unwrap();
    let refused = signed.connect(&file).await.check(&example_query().unwrap()).await.unwrap_err().to_string();
    assert!(refused.contains("token.issuer") && refused.contains("invalid_client"), "{refused}");
    signed.world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_signed_grant_asks_with_a_bearer_token() {
    let signed = Signed::new().await;
    signed.world.approve().await;
    let mut world = signed.world;
    let file = world.stage.configuration("gateway");
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replace("kind = \"helseid\"", "kind = \"maskinporten\"\ndpop = false");
    assert_ne!(changed, text);
    std::fs::write(&file, changed).unwrap();
    assert!(world.gateway.take().unwrap().stop().await);
    world.gateway = Some(world.stage.start(kpr::app::stage::Process::Gateway).await.unwrap());

    let signed = Signed { world, ..signed };
    for key in [Pair::rsa("c1", Algorithm::RS256), Pair::rsa("c1", Algorithm::PS256), Pair::ec("c1")] {
        let file = signed.client("maskinporten", "hospital-analysis", &key);
        assert!(
            signed.connect(&file).await.check(&example_query().unwrap()).await.is_ok(),
            "{:?}",
            key.algorithm
        );
        assert!(signed.check(&file).await);
    }
    signed.world.end().await;
}

#[test]
fn a_client_key_that_others_can_read_or_of_another_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, Pair::ec("c").pem()).unwrap();
    let mode =
        |mode| std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    let new = |algorithm: &str| {
        let text = format!(
            "kind = \"helseid\"\nissuer = \"i\"\nendpoint = \"http://127.0.0.1:1/token\"\nclient_id = \"c\"\n\
             key = \"key.pem\"\nalgorithm = \"{algorithm}\"\nscope = \"s\"\n"
        );
        std::fs::write(folder.path().join("token.toml"), text).unwrap();
        let config = TokenClientConfig::load(&folder.path().join("token.toml")).unwrap();
        let tokens = TokenSource::new(config, Arc::new(SystemClock), Arc::new(SystemEntropy));
        tokens.map(drop).map_err(|e| e.to_string())
    };
    mode(0o640);
    assert!(new("ES256").unwrap_err().contains("0600"));
    mode(0o600);
    assert_eq!(new("ES256"), Ok(()));
    assert!(new("RS256").unwrap_err().contains("RS256"));
    assert!(new("HS256").unwrap_err().contains("not \"HS256\""));
}
