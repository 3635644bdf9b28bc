//! Tokens, shown by honest callers and by attackers who hold what the network, a log or another client has given them.

use std::sync::Arc;
use std::time::Duration;

use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use kpr::app::system::SystemClock;
use kpr::authorise::{Caller, Role};
use kpr::config::{IssuerConfig, IssuerKind, TokenConfig};
use kpr::wire::access::GATEWAY;
use kpr::wire::pki::Validity;
use kpr::wire::serve::{Door, Limits};
use kpr::wire::tls;
use kpr::wire::token::{Times, Tokens};
use kpr::wire::turned_away::TurnedAway;
use kpr::wire::watched::Watched;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::version::TLS13;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::issuer::{AUDIENCE, Issuer, Keys, Pair, now};
use crate::access::setup::{Pki, Server, behind, channel, channel_with, https, roots};

const CHECK: &str = "/kpr.v1.Queries/Check";
/// What an attacker changes in good claims, and in a good proof.
type Change = fn(&mut Value);
type ChangeProof = fn(&mut Header, &mut Value);

const ADDRESS: &str = "https://server.kpr.test:7005";

/// A server with a door for tokens, which says whom it sees.
struct Gate {
    pki: Pki,
    server: Server,
    turned_away: Arc<TurnedAway>,
}

fn accepted(issuer: &Issuer, kind: IssuerKind) -> IssuerConfig {
    IssuerConfig {
        kind,
        issuer: issuer.name().to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks: format!("{}/jwks", issuer.name()),
        authority: None,
        algorithms: ["RS256", "PS256", "ES256"].map(str::to_owned).to_vec(),
        scopes: [("kpr:query", "researcher"), ("kpr:audit", "auditor")]
            .map(|(scope, role)| (scope.to_owned(), role.to_owned()))
            .into(),
        dpop: kind == IssuerKind::Helseid,
        organisation_claim: None,
    }
}

impl Gate {
    async fn new(issuers: Vec<IssuerConfig>) -> Self {
        let times = Times { trusted: Duration::from_secs(60), between: Duration::from_millis(300) };
        Self::with(issuers, times).await
    }

    async fn with(issuers: Vec<IssuerConfig>, times: Times) -> Self {
        let seen = |request: Request<axum::body::Body>| async move {
            let caller = request.extensions().get::<Caller>().unwrap().clone();
            let text = format!("test.seen: {} {} {}", caller.organisation(), caller.role(), caller.name());
            Status::aborted(text).into_http::<Body>()
        };
        let pki = Pki::new();
        let files = pki.server();
        let config =
            TokenConfig { listen: "127.0.0.1:0".parse().unwrap(), address: ADDRESS.to_owned(), issuers };
        let tokens = Tokens::new(&config, times, Arc::new(SystemClock)).unwrap();
        let watched = |make| Watched::open(&files, make).unwrap();
        let main = Door::new(watched(tls::server_config), GATEWAY, Limits::default());
        let turned_away = Arc::clone(&main.turned_away);
        let door = main.with_tokens(watched(tls::token_config), Arc::new(tokens));
        let routes = Routes::from(axum::Router::new().route(CHECK, post(seen)));
        let server = behind(door, routes).await;
        Self { pki, server, turned_away }
    }

    fn channel(&self) -> Channel {
        let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots(&self.pki.ca()))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        channel_with(&self.server, config)
    }

    async fn call(&self, path: &str, headers: &[(&'static str, &str)]) -> Status {
        call_with(&self.channel(), path, headers).await
    }

    async fn bearer(&self, token: &str) -> Status {
        self.call(CHECK, &[("authorization", &format!("Bearer {token}"))]).await
    }

    async fn bound(&self, token: &str, proof: &str) -> Status {
        self.call(CHECK, &[("authorization", &format!("DPoP {token}")), ("dpop", proof)]).await
    }
}

async fn call_with(channel: &Channel, path: &str, headers: &[(&'static str, &str)]) -> Status {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let mut request = tonic::Request::new(tokio_stream::once(()));
    for (name, value) in headers {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    match client.streaming(request, path.parse().unwrap(), codec).await {
        Err(status) => status,
        Ok(answers) => answers.into_inner().message().await.unwrap_err(),
    }
}

const SEEN: &str = "test.seen: NTRNO-310000035 researcher hospital-analysis";

#[track_caller]
fn is_refused(status: &Status, code: &str, part: &str) {
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    assert!(
        status.message().starts_with(code) && status.message().contains(part),
        "{}: {part}",
        status.message()
    );
}

/// A proof of possession.
fn proof(pair: &Pair, token: &str, change: impl FnOnce(&mut Header, &mut Value)) -> String {
    let mut header = Header { typ: Some("dpop+jwt".to_owned()), ..Header::new(pair.algorithm) };
    let mut jwk = pair.public();
    jwk.common.key_id = None;
    header.jwk = Some(jwk);
    let mut claims = json!({
        "jti": hex::encode(Sha256::digest(format!("{token}{:?}", std::time::Instant::now()))),
        "htm": "POST", "htu": format!("{ADDRESS}{CHECK}"), "iat": now(),
        "ath": URL_SAFE_NO_PAD.encode(Sha256::digest(token)),
    });
    change(&mut header, &mut claims);
    encode(&header, &claims, &pair.private()).unwrap()
}

#[tokio::test]
async fn a_token_names_organisation_role_and_client() {
    for key in [Pair::rsa("k1", Algorithm::RS256), Pair::rsa("k1", Algorithm::PS256), Pair::ec("k1")] {
        let issuer = Issuer::start(key).await;
        let gate = Gate::new(vec![accepted(&issuer, IssuerKind::Maskinporten)]).await;
        let token = issuer.key().sign(&issuer.maskinporten());
        assert_eq!(gate.bearer(&token).await.message(), SEEN);
        // The role table is the same as for certificates.
        let status =
            gate.call("/kpr.v1.Projects/List", &[("authorization", &format!("Bearer {token}"))]).await;
        assert_eq!(status.code(), Code::PermissionDenied);
        assert!(status.message().starts_with("access.role: "), "{status:?}");
        assert_eq!(issuer.asked(), 1, "keys are kept");
    }
}

#[tokio::test]
async fn without_a_token_nobody_is_let_in_not_even_with_a_certificate() {
    let issuer = Issuer::start(Pair::ec("k1")).await;
    let gate = Gate::new(vec![accepted(&issuer, IssuerKind::Maskinporten)]).await;
    is_refused(&gate.call(CHECK, &[]).await, "access.token", "must be shown");
    let with_certificate = channel(&gate.server, &gate.pki.client(Role::Researcher));
    is_refused(&call_with(&with_certificate, CHECK, &[]).await, "access.token", "must be shown");
    let token = format!("Bearer {}", issuer.key().sign(&issuer.maskinporten()));
    for headers in [
        &[("authorization", "Basic a2FyaTpvbGE=")][..],
        &[("authorization", token.as_str()), ("authorization", token.as_str())],
        &[("authorization", token.trim_start_matches("Bearer "))],
        &[("dpop", token.as_str())],
    ] {
        is_refused(&gate.call(CHECK, headers).await, "access.token", "must be shown");
    }
    let told = gate.turned_away.due(tokio::time::Instant::now());
    assert!(told.iter().all(|one| one.caller.is_none() && one.code == "access.token"), "{told:?}");
    assert_eq!(told.iter().map(|one| one.calls).sum::<u64>(), 6);
}

#[tokio::test]
async fn a_token_that_is_not_as_it_must_be_is_refused() {
    let issuer = Issuer::start(Pair::rsa("k1", Algorithm::RS256)).await;
    let gate = Gate::new(vec![accepted(&issuer, IssuerKind::Maskinporten)]).await;
    let key = issuer.key();
    let changes: &[(&str, Change, &str)] = &[
        ("another audience", |c| c["aud"] = "https://other.test".into(), "for somebody else"),
        ("no audience", |c| drop(c.as_object_mut().unwrap().remove("aud")), "must say"),
        ("another issuer", |c| c["iss"] = "https://other.test".into(), "not one that is accepted"),
        ("expired", |c| c["exp"] = (now() - 30).into(), "expired"),
        ("no end", |c| drop(c.as_object_mut().unwrap().remove("exp")), "cannot be read"),
        ("an end that is text", |c| c["exp"] = "9999999999".into(), "cannot be read"),
        ("not yet", |c| c["nbf"] = (now() + 60).into(), "has not come"),
        ("a beginning that is text", |c| c["nbf"] = "soon".into(), "cannot be read"),
        ("issued tomorrow", |c| c["iat"] = (now() + 86_400).into(), "has not come"),
        ("no scope of ours", |c| c["scope"] = "other:scope".into(), "exactly one role"),
        ("part of a scope", |c| c["scope"] = "kpr:query2 akpr:query".into(), "exactly one role"),
        ("two roles", |c| c["scope"] = "kpr:query kpr:audit".into(), "exactly one role"),
        ("no organisation", |c| drop(c.as_object_mut().unwrap().remove("consumer")), "organisation"),
        ("a Swedish organisation", |c| c["consumer"]["ID"] = "0007:310000035".into(), "organisation"),
        ("a slip of the pen", |c| c["consumer"]["ID"] = "0192:310000036".into(), "organisation"),
        ("another register", |c| c["consumer"]["authority"] = "mine".into(), "organisation"),
        ("a client like a person", |c| c["client_id"] = "02813299997".into(), "client_id"),
        ("another binding", |c| c["cnf"] = json!({ "x5t#S256": "a" }), "cannot be read"),
    ];
    for (what, change, part) in changes {
        let mut claims = issuer.maskinporten();
        change(&mut claims);
        let status = gate.bearer(&key.sign(&claims)).await;
        is_refused(&status, "access.token", part);
        assert!(!status.message().contains("02813299997"), "{what}");
    }
    assert_eq!(gate.bearer(&key.sign(&issuer.maskinporten())).await.message(), SEEN);
}

/// The classics: no signature, the public key as a secret, the attacker's key, another's signature.
#[tokio::test]
async fn a_token_that_the_issuer_has_not_signed_is_refused() {
    let issuer = Issuer::start(Pair::rsa("k1", Algorithm::RS256)).await;
    let gate = Gate::new(vec![accepted(&issuer, IssuerKind::Maskinporten)]).await;
    let claims = issuer.maskinporten();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", ""] {
        let unsigned =
            format!("{}.{}.", part(&json!({ "alg": alg, "typ": "JWT", "kid": "k1" })), part(&claims));
        is_refused(&gate.bearer(&unsigned).await, "access.token", "");
    }
    // What the issuer publishes, in the forms in which it could be taken for a secret.
    let public = serde_json::to_value(issuer.key().public()).unwrap();
    let spki = openssl::pkey::PKey::private_key_from_pkcs8(&issuer.key().pkcs8)
        .unwrap()
        .public_key_to_pem()
        .unwrap();
    for secret in [spki, URL_SAFE_NO_PAD.decode(public["n"].as_str().unwrap()).unwrap()] {
        let header = part(&json!({ "alg": "HS256", "typ": "JWT", "kid": "k1" }));
        let message = format!("{header}.{}", part(&claims));
        let hmac = openssl::pkey::PKey::hmac(&secret).unwrap();
        let mut signer = openssl::sign::Signer::new(openssl::hash::MessageDigest::sha256(), &hmac).unwrap();
        let made = signer.sign_oneshot_to_vec(message.as_bytes()).unwrap();
        let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(made));
        is_refused(&gate.bearer(&forged).await, "access.token", "algorithm");
    }
    let attacker = Pair::rsa("k1", Algorithm::RS256);
    is_refused(&gate.bearer(&attacker.sign(&claims)).await, "access.token", "signature");
    // A key of the attacker's in the header, or a place where it lies, is not looked at.
    let header = Header {
        jwk: Some(attacker.public()),
        jku: Some("http://127.0.0.1:1/".to_owned()),
        ..attacker.header()
    };
    let own = encode(&header, &claims, &attacker.private()).unwrap();
    is_refused(&gate.bearer(&own).await, "access.token", "signature");
    // A good signature under other claims.
    let good = issuer.key().sign(&claims);
    let mut other = claims.clone();
    other["consumer"]["ID"] = "0192:310000019".into();
    let mut parts: Vec<&str> = good.split('.').collect();
    let swapped = part(&other);
    parts[1] = &swapped;
    is_refused(&gate.bearer(&parts.join(".")).await, "access.token", "signature");
    // Another algorithm over the same key than the key is for.
    let other = Pair { algorithm: Algorithm::PS256, ..issuer.key() };
    is_refused(&gate.bearer(&other.sign(&claims)).await, "access.token", "no such key");
    // Not an access token though the issuer has signed it.
    for typ in ["dpop+jwt", "logout+jwt"] {
        let header = Header { typ: Some(typ.to_owned()), ..issuer.key().header() };
        let token = encode(&header, &claims, &issuer.key().private()).unwrap();
        is_refused(&gate.bearer(&token).await, "access.token", "not an access token");
    }
    let crit = Header { crit: Some(vec!["b64".to_owned()]), ..issuer.key().header() };
    let token = encode(&crit, &claims, &issuer.key().private()).unwrap();
    is_refused(&gate.bearer(&token).await, "access.token", "not an access token");
    for garbage in ["", "a", "a.b", "a.b.c", "..", "a.b.c.d"] {
        is_refused(&gate.bearer(garbage).await, "access.token", "");
    }
}

#[tokio::test]
async fn a_bound_token_takes_its_proof_and_each_proof_once() {
    let issuer = Issuer::start(Pair::rsa("k1", Algorithm::PS256)).await;
    let gate = Gate::new(vec![accepted(&issuer, IssuerKind::Helseid)]).await;
    let (mine, thiefs) = (Pair::ec("p"), Pair::ec("p"));
    let token = issuer.key().sign(&issuer.helseid(&mine.thumbprint()));
    let good = proof(&mine, &token, |_, _| {});
    assert_eq!(gate.bound(&token, &good).await.message(), SEEN);
    is_refused(&gate.bound(&token, &good).await, "access.proof", "shown before");
    assert_eq!(gate.bound(&token, &proof(&mine, &token, |_, _| {})).await.message(), SEEN);

    // Stolen: without a proof, as a bearer token, with the thief's proof.
    let dpop = format!("DPoP {token}");
    is_refused(&gate.call(CHECK, &[("authorization", &dpop)]).await, "access.proof", "exactly one");
    is_refused(&gate.bearer(&token).await, "access.token", "bound to a key");
    is_refused(&gate.bound(&token, &proof(&thiefs, &token, |_, _| {})).await, "access.proof", "another key");
    let masked = proof(&thiefs, &token, |header, _| header.jwk = Some(mine.public()));
    is_refused(&gate.bound(&token, &masked).await, "access.proof", "signature");
    let two = [("authorization", dpop.as_str()), ("dpop", &*good), ("dpop", &*good)];
    is_refused(&gate.call(CHECK, &two).await, "access.proof", "exactly one");

    // A proof that the holder has made, for something else.
    let other = issuer.key().sign(&{
        let mut claims = issuer.helseid(&mine.thumbprint());
        claims["jti"] = "another".into();
        claims
    });
    is_refused(&gate.bound(&token, &proof(&mine, &other, |_, _| {})).await, "access.proof", "another token");
    let changes: &[(ChangeProof, &str)] = &[
        (|_, c| c["htu"] = format!("{ADDRESS}/kpr.v1.Queries/Submit").into(), "another call"),
        (|_, c| c["htu"] = format!("https://elsewhere.test:7005{CHECK}").into(), "another call"),
        (|_, c| c["htm"] = "GET".into(), "another call"),
        (|_, c| c["iat"] = (now() - 120).into(), "last minute"),
        (|_, c| c["iat"] = (now() + 120).into(), "last minute"),
        (|_, c| c["jti"] = "".into(), "an id"),
        (|_, c| drop(c.as_object_mut().unwrap().remove("ath")), "claims"),
        (|h, _| h.typ = Some("JWT".to_owned()), "dpop+jwt"),
        (|h, _| h.jwk = None, "name its key"),
    ];
    for (change, part) in changes {
        is_refused(&gate.bound(&token, &proof(&mine, &token, change)).await, "access.proof", part);
    }
    // A proof under a secret that the thief chooses.
    let mut header = Header { typ: Some("dpop+jwt".to_owned()), ..Header::new(Algorithm::HS256) };
    header.jwk = Some(mine.public());
    let text = [json!(header), json!({})].map(|v| URL_SAFE_NO_PAD.encode(v.to_string())).join(".");
    is_refused(&gate.bound(&token, &format!("{text}.AAAA")).await, "access.proof", "algorithm");
}

#[tokio::test]
async fn binding_is_demanded_where_the_configuration_says_so_and_never_dropped() {
    let (bound, plain) = (Issuer::start(Pair::ec("k1")).await, Issuer::start(Pair::ec("k1")).await);
    let gate =
        Gate::new(vec![accepted(&bound, IssuerKind::Helseid), accepted(&plain, IssuerKind::Maskinporten)])
            .await;
    let unbound = |issuer: &Issuer| {
        let mut claims = issuer.helseid("");
        claims.as_object_mut().unwrap().remove("cnf");
        issuer.key().sign(&claims)
    };
    is_refused(&gate.bearer(&unbound(&bound)).await, "access.token", "must be bound");
    let mine = Pair::ec("p");
    let token = unbound(&bound);
    is_refused(&gate.bound(&token, &proof(&mine, &token, |_, _| {})).await, "access.token", "must be bound");
    // A token that is bound though its issuer's need not be.
    let mut claims = plain.maskinporten();
    claims["cnf"] = json!({ "jkt": mine.thumbprint() });
    let token = plain.key().sign(&claims);
    is_refused(&gate.bearer(&token).await, "access.token", "bound to a key");
    assert_eq!(gate.bound(&token, &proof(&mine, &token, |_, _| {})).await.message(), SEEN);
    // One issuer's key signs nothing of another's, though both call theirs by the same name.
    is_refused(&gate.bearer(&bound.key().sign(&plain.maskinporten())).await, "access.token", "signature");
}

#[tokio::test]
async fn a_key_that_was_rotated_away_signs_no_more_and_a_new_one_does() {
    let issuer = Issuer::start(Pair::ec("k1")).await;
    let gate = Gate::new(vec![accepted(&issuer, IssuerKind::Maskinporten)]).await;
    let old = issuer.key();
    assert_eq!(gate.bearer(&old.sign(&issuer.maskinporten())).await.message(), SEEN);
    issuer.rotate(Pair::ec("k2"));
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(gate.bearer(&issuer.key().sign(&issuer.maskinporten())).await.message(), SEEN);
    is_refused(&gate.bearer(&old.sign(&issuer.maskinporten())).await, "access.token", "no such key");
    // Keys that nobody has are asked for once in a while only, however many tokens name one.
    let (before, began) = (issuer.asked(), std::time::Instant::now());
    for number in 0..50 {
        let made_up = Pair { kid: format!("k-{number}"), ..old.clone() };
        is_refused(&gate.bearer(&made_up.sign(&issuer.maskinporten())).await, "access.token", "no such key");
    }
    let most = began.elapsed().as_millis() / 300 + 2;
    assert!(u128::from(issuer.asked() - before) <= most, "{} of {most}", issuer.asked() - before);
}

#[tokio::test]
async fn an_issuer_that_does_not_give_its_keys_lets_nobody_in() {
    for how in [Keys::Down, Keys::Oversized] {
        let issuer = Issuer::start(Pair::ec("k1")).await;
        let times = Times { trusted: Duration::from_millis(400), between: Duration::from_millis(100) };
        let gate = Gate::with(vec![accepted(&issuer, IssuerKind::Maskinporten)], times).await;
        issuer.answer_keys(how);
        let token = issuer.key().sign(&issuer.maskinporten());
        is_refused(&gate.bearer(&token).await, "access.token", "does not answer");
        tokio::time::sleep(Duration::from_millis(150)).await;
        issuer.answer_keys(Keys::Here);
        assert_eq!(gate.bearer(&token).await.message(), SEEN);
        // Kept for a while; then it must be heard of again.
        issuer.answer_keys(how);
        tokio::time::sleep(Duration::from_millis(450)).await;
        is_refused(&gate.bearer(&token).await, "access.token", "does not answer");
    }
    let issuer = Issuer::start(Pair::ec("k1")).await;
    let mut config = accepted(&issuer, IssuerKind::Maskinporten);
    config.jwks = "http://127.0.0.1:1/jwks".to_owned();
    let gate = Gate::new(vec![config]).await;
    let token = issuer.key().sign(&issuer.maskinporten());
    is_refused(&gate.bearer(&token).await, "access.token", "does not answer");
}

#[tokio::test]
async fn over_https_the_keys_come_from_a_server_of_the_named_authority_only() {
    let (pki, other) = (Pki::new(), Pki::new());
    let issued = |dns| pki.issue(dns, Role::Gateway, &[dns], Validity::days(pki.now, 1));
    let (here, elsewhere) = (issued("localhost"), issued("issuer.kpr.test"));
    for (files, authority, heard) in [(&here, &pki, true), (&here, &other, false), (&elsewhere, &pki, false)]
    {
        let issuer = Issuer::start(Pair::ec("k1")).await;
        let server = https(files, issuer.router(), Limits::default()).await;
        let config = IssuerConfig {
            jwks: format!("https://localhost:{}/jwks", server.address.port()),
            authority: Some(authority.ca()),
            ..accepted(&issuer, IssuerKind::Maskinporten)
        };
        let gate = Gate::new(vec![config]).await;
        let seen = gate.bearer(&issuer.key().sign(&issuer.maskinporten())).await;
        match heard {
            true => assert_eq!(seen.message(), SEEN),
            false => is_refused(&seen, "access.token", "does not answer"),
        }
        assert_eq!(issuer.asked(), u32::from(heard));
    }
}

#[tokio::test]
async fn a_huge_token_is_not_read() {
    let issuer = Issuer::start(Pair::ec("k1")).await;
    let gate = Gate::new(vec![accepted(&issuer, IssuerKind::Maskinporten)]).await;
    for size in [7 << 10, 10 << 10] {
        let mut claims = issuer.maskinporten();
        claims["more"] = "a".repeat(size).into();
        is_refused(&gate.bearer(&issuer.key().sign(&claims)).await, "access.token", "must be shown");
    }
    let mut claims = issuer.maskinporten();
    claims["more"] = "a".repeat(1 << 20).into();
    assert_ne!(gate.bearer(&issuer.key().sign(&claims)).await.code(), Code::Aborted);
    assert_eq!(gate.bearer(&issuer.key().sign(&issuer.maskinporten())).await.message(), SEEN);
}

#[test]
fn a_configuration_that_opens_too_much_is_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let issuer = runtime.block_on(Issuer::start(Pair::ec("k1")));
    let refused = |change: fn(&mut TokenConfig)| {
        let issuers = vec![accepted(&issuer, IssuerKind::Maskinporten)];
        let mut config =
            TokenConfig { listen: "127.0.0.1:0".parse().unwrap(), address: ADDRESS.to_owned(), issuers };
        change(&mut config);
        Tokens::new(&config, Times::default(), Arc::new(SystemClock)).unwrap_err().to_string()
    };
    for algorithm in [
        |c: &mut TokenConfig| c.issuers[0].algorithms.push("none".to_owned()),
        |c: &mut TokenConfig| {
            c.issuers[0].algorithms.push("HS256".to_owned());
        },
    ] {
        assert!(refused(algorithm).contains("RS256, PS256 or ES256"));
    }
    assert!(refused(|c| c.issuers[0].jwks = "http://issuer.example/jwks".to_owned()).contains("loopback"));
    assert!(refused(|c| c.issuers[0].jwks = "https://issuer.example/jwks".to_owned()).contains("authority"));
    assert!(refused(|c| c.issuers.clear()).contains("at least one"));
    assert!(refused(|c| c.issuers.push(c.issuers[0].clone())).contains("once"));
    assert!(refused(|c| c.address = "http://server.kpr.test".to_owned()).contains("https"));
    for role in ["steward", "gateway", "ingest", "partner", "boss"] {
        let issuers = vec![IssuerConfig {
            scopes: [("s".to_owned(), role.to_owned())].into(),
            ..accepted(&issuer, IssuerKind::Maskinporten)
        }];
        let config =
            TokenConfig { listen: "127.0.0.1:0".parse().unwrap(), address: ADDRESS.to_owned(), issuers };
        assert!(Tokens::new(&config, Times::default(), Arc::new(SystemClock)).is_err(), "{role}");
    }
    let key = EncodingKey::from_secret(b"secret");
    assert!(
        encode(&Header::new(Algorithm::HS256), &json!({}), &key).is_err(),
        "nothing is signed with a secret"
    );
}
