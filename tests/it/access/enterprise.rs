//! Enterprise certificates (SEID 2.0): organisation from the certificate, role and name from the table, nothing else.

use std::path::PathBuf;

use axum::routing::post;
use http::Request;
use kpr::authorise::{Caller, Role};
use kpr::config::{Enterprise, EnterpriseCaller, TlsFiles};
use kpr::domain::ids::OrganisationId;
use kpr::wire::access::GATEWAY;
use kpr::wire::serve::Limits;
use kpr::wire::tls;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use tonic::body::Body;
use tonic::service::Routes;

use super::setup::{Pki, Server, call, channel, grpc};

const HOSPITAL: &str = "NTRNO-310000043";
const REGISTER: &str = "NTRNO-310000051";

/// An authority of enterprise certificates, as it writes their subjects.
struct Seid {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Seid {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Synthetic CA G2");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("seid.pem"), certificate.pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn authority(&self) -> PathBuf {
        self.folder.path().join("seid.pem")
    }

    /// A certificate for an organisation; `unit` is whatever its holder has asked for.
    fn issue(&self, pki: &Pki, organisations: &[&str], unit: Option<&str>) -> TlsFiles {
        let mut params = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CountryName, "NO");
        subject.push(DnType::OrganizationName, "SYNTETISK SYKEHUS HF");
        for organisation in organisations {
            subject.push(DnType::CustomDnType(vec![2, 5, 4, 97]), *organisation);
        }
        if let Some(unit) = unit {
            subject.push(DnType::OrganizationalUnitName, unit);
        }
        subject.push(DnType::CommonName, "SYNTETISK SYKEHUS HF");
        params.distinguished_name = subject;
        params.is_ca = IsCa::ExplicitNoCa;
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file =
            |ending: &str| self.folder.path().join(format!("client-{}.{ending}", unit.unwrap_or("none")));
        std::fs::write(file("pem"), certificate.pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(file("key"), mode).unwrap();
        TlsFiles::new(file("pem"), file("key"), pki.ca())
    }

    fn table(&self) -> Enterprise {
        let row = |organisation: &str, role: Role, name: &str| EnterpriseCaller {
            organisation: OrganisationId::new(organisation).unwrap(),
            role: role.to_string(),
            name: name.to_owned(),
        };
        let organisations =
            vec![row(HOSPITAL, Role::Researcher, "hospital"), row(REGISTER, Role::Partner, "NPR")];
        Enterprise { authority: self.authority(), organisations }
    }
}

async fn server(pki: &Pki, seid: &Seid) -> Server {
    let seen = |request: Request<axum::body::Body>| async move {
        let caller = request.extensions().get::<Caller>().unwrap().clone();
        let text = format!("test.seen: {} {} {}", caller.organisation(), caller.role(), caller.name());
        tonic::Status::aborted(text).into_http::<Body>()
    };
    let router = axum::Router::new()
        .route("/kpr.v1.Queries/Check", post(seen))
        .route("/kpr.v1.Linkage/Decline", post(seen))
        .route("/kpr.v1.Projects/List", post(seen));
    let files = TlsFiles { enterprise: Some(seid.table()), ..pki.server() };
    grpc(&files, Routes::from(router), GATEWAY, Limits::default()).await
}

async fn said(server: &Server, files: &TlsFiles, path: &str) -> String {
    call(&channel(server, files), path, None).await.unwrap_err().message().to_owned()
}

#[tokio::test]
async fn the_table_says_what_an_organisation_is() {
    let (pki, seid) = (Pki::new(), Seid::new());
    let server = server(&pki, &seid).await;
    let hospital = seid.issue(&pki, &[HOSPITAL], None);
    let seen = said(&server, &hospital, "/kpr.v1.Queries/Check").await;
    assert_eq!(seen, format!("test.seen: {HOSPITAL} researcher hospital"));
    let register = seid.issue(&pki, &[REGISTER], Some("drift"));
    let seen = said(&server, &register, "/kpr.v1.Linkage/Decline").await;
    assert_eq!(seen, format!("test.seen: {REGISTER} partner NPR"));
    // Our own authority's certificates are read as ever.
    let seen = said(&server, &pki.client(Role::Steward), "/kpr.v1.Projects/List").await;
    assert_eq!(seen, "test.seen: NTRNO-310000019 steward NPR");
}

#[tokio::test]
async fn an_enterprise_certificate_cannot_give_itself_a_role() {
    let (pki, seid) = (Pki::new(), Seid::new());
    let server = server(&pki, &seid).await;
    // A holder may have any text as its unit; ours are read in our own certificates only.
    let steward = seid.issue(&pki, &[HOSPITAL], Some("steward"));
    let refused = said(&server, &steward, "/kpr.v1.Projects/List").await;
    assert!(refused.starts_with("access.role: "), "{refused}");
    assert!(refused.contains("the caller's role is researcher"), "{refused}");
}

#[tokio::test]
async fn an_organisation_that_is_not_listed_or_not_one_is_refused() {
    let (pki, seid) = (Pki::new(), Seid::new());
    let server = server(&pki, &seid).await;
    for (organisations, part) in [
        (&["NTRNO-310000086"][..], "must be listed"),
        (&["NTRNO-310000044"][..], "organizationIdentifier"),
        (&["310000043"][..], "organizationIdentifier"),
        (&[][..], "exactly once"),
    ] {
        let files = seid.issue(&pki, organisations, Some("steward"));
        let refused = said(&server, &files, "/kpr.v1.Queries/Check").await;
        assert!(refused.starts_with("access.certificate: ") && refused.contains(part), "{refused}");
    }
}

#[test]
fn a_table_that_gives_away_the_installation_is_refused() {
    let (pki, seid) = (Pki::new(), Seid::new());
    let files = pki.server();
    let with = |change: fn(&mut Enterprise)| {
        let mut enterprise = seid.table();
        change(&mut enterprise);
        let files = TlsFiles { enterprise: Some(enterprise), ..files.clone() };
        tls::server_config(&files).unwrap_err().to_string()
    };
    for role in ["gateway", "identity", "ingest", "witness", "boss"] {
        let error = match role {
            "gateway" => with(|e| e.organisations[0].role = "gateway".to_owned()),
            "identity" => with(|e| e.organisations[0].role = "identity".to_owned()),
            "ingest" => with(|e| e.organisations[0].role = "ingest".to_owned()),
            "witness" => with(|e| e.organisations[0].role = "witness".to_owned()),
            _ => with(|e| e.organisations[0].role = "boss".to_owned()),
        };
        assert!(error.starts_with("tls.enterprise.organisations: "), "{role}: {error}");
    }
    assert!(
        with(|e| e.organisations[1].organisation = e.organisations[0].organisation.clone()).contains("twice")
    );
    assert!(with(|e| e.organisations[0].name = "02813299997".to_owned()).contains("name"));
}
