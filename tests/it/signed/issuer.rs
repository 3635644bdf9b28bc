//! An issuer of tokens on this machine, as Maskinporten and HelseID work: it knows its clients' keys, verifies what they
//! sign, issues tokens for them, and publishes keys that rotate.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::extract::{RawForm, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jsonwebtoken::jwk::{Jwk, JwkSet, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use kpr::app::system::SystemClock;
use kpr::domain::clock::Clock;
use kpr::wire::token;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The audience of tokens for the gateway.
pub const AUDIENCE: &str = "https://gateway.kpr.test";
pub const HELSEID_CLAIM: &str = "helseid://claims/client/claims/orgnr_parent";

/// A key pair, its private half as PKCS #8.
#[derive(Clone)]
pub struct Pair {
    pub kid: String,
    pub algorithm: Algorithm,
    pub pkcs8: Vec<u8>,
}

impl Pair {
    pub fn rsa(kid: &str, algorithm: Algorithm) -> Self {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        Self { kid: kid.to_owned(), algorithm, pkcs8: key.private_key_to_pkcs8().unwrap() }
    }

    pub fn ec(kid: &str) -> Self {
        let pkcs8 = rcgen::KeyPair::generate().unwrap().serialize_der();
        Self { kid: kid.to_owned(), algorithm: Algorithm::ES256, pkcs8 }
    }

    pub fn private(&self) -> EncodingKey {
        match self.algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(&self.pkcs8),
            _ => EncodingKey::from_rsa_der(&self.pkcs8),
        }
    }

    pub fn public(&self) -> Jwk {
        token::install();
        let mut jwk = Jwk::from_encoding_key(&self.private(), self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.clone());
        jwk
    }

    pub fn thumbprint(&self) -> String {
        self.public().thumbprint(ThumbprintHash::SHA256).unwrap()
    }

    pub fn header(&self) -> Header {
        Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) }
    }

    pub fn sign(&self, claims: &Value) -> String {
        token::install();
        encode(&self.header(), claims, &self.private()).unwrap()
    }

    /// The private key as a client keeps it.
    pub fn pem(&self) -> String {
        String::from_utf8(
            PKey::private_key_from_pkcs8(&self.pkcs8).unwrap().private_key_to_pem_pkcs8().unwrap(),
        )
        .unwrap()
    }
}

pub fn now() -> i64 {
    SystemClock.now().timestamp()
}

/// A client that the issuer knows.
pub struct Registered {
    pub key: Jwk,
    pub organisation: String,
    pub scopes: Vec<String>,
}

/// How the address of the keys answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    Here,
    Down,
    Oversized,
}

pub struct Issuer {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    keys: Mutex<Vec<Pair>>,
    how: Mutex<Keys>,
    asked: Mutex<u32>,
    clients: Mutex<HashMap<String, Registered>>,
    seen: Mutex<HashSet<String>>,
}

impl Issuer {
    pub async fn start(key: Pair) -> Self {
        token::install();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            name: format!("http://{address}"),
            keys: Mutex::new(vec![key]),
            how: Mutex::new(Keys::Here),
            asked: Mutex::default(),
            clients: Mutex::default(),
            seen: Mutex::default(),
        });
        let issuer = Self { inner };
        let router = issuer.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        issuer
    }

    /// Its addresses, for a server of its own.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/jwks", get(jwks))
            .route("/token", post(grant))
            .with_state(Arc::clone(&self.inner))
    }

    pub fn name(&self) -> &str {
        &self.inner.name
    }

    pub fn register(&self, client: &str, registered: Registered) {
        self.inner.clients.lock().unwrap().insert(client.to_owned(), registered);
    }

    /// The key that it signs with now.
    pub fn key(&self) -> Pair {
        self.inner.keys.lock().unwrap()[0].clone()
    }

    /// From now on another key signs, and the one before is gone.
    pub fn rotate(&self, key: Pair) {
        *self.inner.keys.lock().unwrap() = vec![key];
    }

    pub fn answer_keys(&self, how: Keys) {
        *self.inner.how.lock().unwrap() = how;
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> u32 {
        *self.inner.asked.lock().unwrap()
    }

    /// Claims of a good token of the kind of Maskinporten.
    pub fn maskinporten(&self) -> Value {
        json!({
            "iss": self.name(), "aud": AUDIENCE, "client_id": "hospital-analysis", "scope": "kpr:query other:scope",
            "consumer": { "authority": "iso6523-actorid-upis", "ID": "0192:310000035" },
            "iat": now(), "exp": now() + 120, "jti": "a",
        })
    }

    /// Claims of a good token of the kind of HelseID, bound to a key.
    pub fn helseid(&self, thumbprint: &str) -> Value {
        json!({
            "iss": self.name(), "aud": [AUDIENCE, "other"], "client_id": "hospital-analysis",
            "scope": ["kpr:query", "openid"], HELSEID_CLAIM: "310000035",
            "nbf": now(), "iat": now(), "exp": now() + 600, "jti": "a", "cnf": { "jkt": thumbprint },
        })
    }
}

async fn jwks(State(issuer): State<Arc<Inner>>) -> Response {
    *issuer.asked.lock().unwrap() += 1;
    let keys = issuer.keys.lock().unwrap().iter().map(Pair::public).collect();
    match *issuer.how.lock().unwrap() {
        Keys::Here => Json(JwkSet { keys }).into_response(),
        Keys::Down => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Keys::Oversized => {
            let set = serde_json::to_string(&JwkSet { keys }).unwrap();
            format!("{set}{}", " ".repeat(1 << 20)).into_response()
        }
    }
}

fn refused(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}

async fn grant(State(issuer): State<Arc<Inner>>, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let form: HashMap<String, String> = form_urlencoded::parse(&form).into_owned().collect();
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    match field("grant_type") {
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => issuer.jwt_bearer(field("assertion")),
        "client_credentials" => {
            if field("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
                return refused("invalid_client");
            }
            let proof = headers.get("dpop").and_then(|value| value.to_str().ok());
            issuer.client_credentials(field("client_assertion"), field("scope"), proof)
        }
        _ => refused("unsupported_grant_type"),
    }
}

impl Inner {
    /// What a client has signed for this issuer, with a key that is registered for it, once.
    fn signed_by_client(&self, assertion: &str) -> Option<Value> {
        let header = decode_header(assertion).ok()?;
        let claimed: Value = jsonwebtoken::dangerous::insecure_decode_claims(assertion).ok()?;
        let clients = self.clients.lock().unwrap();
        let client = clients.get(claimed["iss"].as_str()?)?;
        let mut rules = Validation::new(header.alg);
        rules.set_audience(&[&self.name]);
        let key = DecodingKey::from_jwk(&client.key).ok()?;
        let claims = decode::<Value>(assertion, &key, &rules).ok()?.claims;
        let short = claims["exp"].as_i64()? - claims["iat"].as_i64()? <= 120;
        let once = self.seen.lock().unwrap().insert(claims["jti"].as_str()?.to_owned());
        (short && once).then_some(claims)
    }

    fn issue(
        &self,
        client: &str,
        asked: &str,
        change: impl FnOnce(&mut Value, &Registered),
    ) -> Option<String> {
        let clients = self.clients.lock().unwrap();
        let registered = clients.get(client)?;
        if !asked.split(' ').all(|scope| registered.scopes.iter().any(|s| s == scope)) {
            return None;
        }
        let mut claims = json!({
            "iss": self.name, "aud": AUDIENCE, "client_id": client, "iat": now(), "exp": now() + 120, "jti": "b",
        });
        change(&mut claims, registered);
        Some(self.keys.lock().unwrap()[0].sign(&claims))
    }

    /// As Maskinporten: a grant that the client has signed.
    fn jwt_bearer(&self, assertion: &str) -> Response {
        let Some(claims) = self.signed_by_client(assertion) else { return refused("invalid_grant") };
        let (client, scope) = (claims["iss"].as_str().unwrap(), claims["scope"].as_str().unwrap());
        let token = self.issue(client, scope, |token, registered| {
            token["scope"] = scope.into();
            let id = format!("0192:{}", registered.organisation);
            token["consumer"] = json!({ "authority": "iso6523-actorid-upis", "ID": id });
            token[HELSEID_CLAIM] = registered.organisation.clone().into();
        });
        token.map_or_else(
            || refused("invalid_scope"),
            |token| {
                Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": 119 }))
                    .into_response()
            },
        )
    }

    /// As HelseID: client credentials, a token bound to the key of the proof; the proof must have this issuer's nonce.
    fn client_credentials(&self, assertion: &str, scope: &str, proof: Option<&str>) -> Response {
        let Some(proof) = proof else { return refused("invalid_dpop_proof") };
        let Some(thumbprint) = self.proved(proof) else {
            return (
                StatusCode::BAD_REQUEST,
                [("dpop-nonce", "only-today")],
                Json(json!({ "error": "use_dpop_nonce" })),
            )
                .into_response();
        };
        let Some(claims) = self.signed_by_client(assertion) else { return refused("invalid_client") };
        let token = self.issue(claims["sub"].as_str().unwrap(), scope, |token, registered| {
            token["scope"] = scope.split(' ').collect();
            token[HELSEID_CLAIM] = registered.organisation.clone().into();
            token["nbf"] = now().into();
            token["cnf"] = json!({ "jkt": thumbprint });
        });
        token.map_or_else(
            || refused("invalid_scope"),
            |token| {
                Json(json!({ "access_token": token, "token_type": "DPoP", "expires_in": 119 }))
                    .into_response()
            },
        )
    }

    fn proved(&self, proof: &str) -> Option<String> {
        let header = decode_header(proof).ok().filter(|header| header.typ.as_deref() == Some("dpop+jwt"))?;
        let jwk = header.jwk?;
        let mut rules = Validation::new(header.alg);
        rules.validate_exp = false;
        rules.required_spec_claims.clear();
        let claims = decode::<Value>(proof, &DecodingKey::from_jwk(&jwk).ok()?, &rules).ok()?.claims;
        let here = claims["htm"] == "POST" && claims["htu"] == format!("{}/token", self.name);
        let fresh = claims["nonce"] == "only-today" && (claims["iat"].as_i64()? - now()).abs() < 60;
        let once = self.seen.lock().unwrap().insert(claims["jti"].as_str()?.to_owned());
        (here && fresh && once).then(|| jwk.thumbprint(ThumbprintHash::SHA256).unwrap())
    }
}
