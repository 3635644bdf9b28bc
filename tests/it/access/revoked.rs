//! Revocation lists: who is refused, from when on, and that no list is no excuse.

use std::error::Error;

use chrono::TimeDelta;
use kpr::authorise::Role;
use kpr::config::TlsFiles;
use kpr::wire::access::{GATEWAY, IDENTITY};
use kpr::wire::pki::Validity;
use kpr::wire::serve::Limits;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::setup::{Pki, SERVER, Server, call, channel, grpc};

const CHECK: &str = "/kpr.v1.Queries/Check";

async fn server(pki: &Pki, files: &TlsFiles) -> Server {
    let listed = TlsFiles { revocation: vec![pki.folder.path().join("ca.crl")], ..files.clone() };
    grpc(&listed, Routes::default(), GATEWAY, Limits::default()).await
}

/// A call that gets as far as the services, of which there are none.
fn is_let_in(result: Result<(), Status>) {
    let status = result.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unimplemented, ""), "{status:?}");
}

/// A call whose connection does not come up.
async fn is_cut(channel: &Channel) {
    let status = call(channel, CHECK, None).await.unwrap_err();
    assert!(status.source().is_some(), "{status:?}");
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_at_once_and_others_are_not() {
    let pki = Pki::new();
    let day = Validity::days(pki.now, 1);
    pki.revoke(&[], day);
    let server = server(&pki, &pki.server()).await;
    let (revoked, good) = (pki.client(Role::Researcher), pki.client(Role::Steward));
    let open = channel(&server, &revoked);
    is_let_in(call(&open, CHECK, None).await);

    pki.revoke(&[&revoked.certificate], day);
    is_cut(&channel(&server, &revoked)).await;
    is_let_in(call(&channel(&server, &good), "/kpr.v1.Projects/List", None).await);
    let status = call(&open, CHECK, None).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().contains("revoked since"), "{status:?}");
}

#[tokio::test]
async fn an_expired_list_refuses_everybody_until_a_newer_one_is_there() {
    let pki = Pki::new();
    let old = Validity { from: pki.now - TimeDelta::days(2), to: pki.now - TimeDelta::seconds(5) };
    pki.revoke(&[], old);
    let server = server(&pki, &pki.server()).await;
    let files = pki.client(Role::Researcher);
    is_cut(&channel(&server, &files)).await;
    pki.revoke(&[], Validity::days(pki.now, 1));
    is_let_in(call(&channel(&server, &files), CHECK, None).await);
}

#[tokio::test]
async fn a_list_of_another_authority_lets_nobody_in() {
    let (pki, other) = (Pki::new(), Pki::new());
    let list = other.revoke(&[], Validity::days(pki.now, 1));
    let files = TlsFiles { revocation: vec![list], ..pki.server() };
    let server = grpc(&files, Routes::default(), IDENTITY, Limits::default()).await;
    is_cut(&channel(&server, &pki.client(Role::Partner))).await;
}

#[tokio::test]
async fn a_broken_list_keeps_the_one_before() {
    let pki = Pki::new();
    let revoked = pki.client(Role::Researcher);
    let list = pki.revoke(&[&revoked.certificate], Validity::days(pki.now, 1));
    let server = server(&pki, &pki.server()).await;
    std::fs::write(&list, "-----BEGIN X509 CRL-----\n").unwrap();
    is_cut(&channel(&server, &revoked)).await;
    is_let_in(call(&channel(&server, &pki.client(Role::Steward)), "/kpr.v1.Projects/List", None).await);
    std::fs::remove_file(&list).unwrap();
    is_cut(&channel(&server, &revoked)).await;
}

#[tokio::test]
async fn a_client_does_not_talk_to_a_server_that_is_revoked() {
    let pki = Pki::new();
    let files = pki.server();
    let server = grpc(&files, Routes::default(), GATEWAY, Limits::default()).await;
    let client = |list| TlsFiles { revocation: vec![list], ..pki.client(Role::Researcher) };
    let list = pki.revoke(&[], Validity::days(pki.now, 1));
    let watching = client(list);
    is_let_in(call(&channel(&server, &watching), CHECK, None).await);
    pki.revoke(&[&files.certificate], Validity::days(pki.now, 1));
    is_cut(&channel(&server, &watching)).await;
}

#[tokio::test]
async fn a_new_server_certificate_is_shown_to_the_next_connection() {
    let pki = Pki::new();
    let files = pki.server();
    let server = server_with_list(&pki, &files).await;
    let client = pki.client(Role::Researcher);
    let open = channel(&server, &client);
    is_let_in(call(&open, CHECK, None).await);
    // A certificate for another name: whoever connects now sees that it is not the server's.
    let other = pki.issue("other", Role::Gateway, &["other.kpr.test"], Validity::days(pki.now, 1));
    std::fs::rename(other.key, &files.key).unwrap();
    std::fs::rename(other.certificate, &files.certificate).unwrap();
    is_cut(&channel(&server, &client)).await;
    is_let_in(call(&open, CHECK, None).await);
    let back = pki.issue("back", Role::Gateway, &[SERVER], Validity::days(pki.now, 1));
    std::fs::rename(back.key, &files.key).unwrap();
    std::fs::rename(back.certificate, &files.certificate).unwrap();
    is_let_in(call(&channel(&server, &client), CHECK, None).await);
}

async fn server_with_list(pki: &Pki, files: &TlsFiles) -> Server {
    pki.revoke(&[], Validity::days(pki.now, 1));
    server(pki, files).await
}
