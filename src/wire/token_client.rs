//! A caller that signs in with a token: asks its issuer for one and shows it with each call.
//!
//! Of the kind of Maskinporten: a grant that the client has signed (RFC 7523, `jwt-bearer`), a bearer token. Of the kind of
//! HelseID: client credentials with `private_key_jwt`, a token bound to a key of this process, a proof with each call
//! (RFC 9449).

use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;

use super::tls::{self, TlsError};
use super::token;
use super::web::{Address, BadAddress, WebFault};
use crate::config::{IssuerKind, TokenClientConfig};
use crate::domain::clock::{Clock, Entropy, EntropyError};

/// How long what this client signs is good for, in seconds.
const SIGNED_FOR: i64 = 60;
/// A token is not shown in the last seconds of its time.
const MARGIN: i64 = 15;

/// Why a client has no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenFault {
    /// The client's key file.
    #[error(transparent)]
    Key(#[from] TlsError),
    /// A key that is not what it must be.
    #[error("the client's key must be a private key, PKCS #8 in PEM, of the algorithm {0}")]
    WrongKey(String),
    /// The algorithm.
    #[error("the client's algorithm must be RS256, PS256 or ES256, not {0:?}")]
    Algorithm(String),
    /// The token endpoint.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// Nothing can be signed.
    #[error("nothing can be signed with the client's key: {0}")]
    Signature(String),
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The issuer cannot be reached.
    #[error("the token issuer does not answer: {0}")]
    Issuer(#[from] WebFault),
    /// The issuer gives no token.
    #[error("the token issuer gives no token: {0}")]
    Refused(String),
}

/// Where a client has its tokens from.
pub struct TokenSource {
    config: TokenClientConfig,
    endpoint: Address,
    signer: Signer,
    /// The key that tokens are bound to, made anew in each process.
    proof: Option<Signer>,
    held: Mutex<Option<Held>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSource").field("client", &self.config.client_id).finish_non_exhaustive()
    }
}

struct Signer {
    header: Header,
    key: EncodingKey,
}

#[derive(Clone)]
struct Held {
    token: String,
    until: i64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    expires_in: i64,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
}

impl TokenSource {
    /// Reads the client's key. Nobody is asked for a token yet.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub fn new(
        config: TokenClientConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, TokenFault> {
        token::install();
        let algorithm: Algorithm = match config.algorithm.as_str() {
            "RS256" => Algorithm::RS256,
            "PS256" => Algorithm::PS256,
            "ES256" => Algorithm::ES256,
            _ => return Err(TokenFault::Algorithm(config.algorithm)),
        };
        let wrong = || TokenFault::WrongKey(config.algorithm.clone());
        let pem = tls::read_private(&config.key)?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| wrong())?;
        let key = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(der.secret_pkcs8_der()),
            _ => EncodingKey::from_rsa_der(der.secret_pkcs8_der()),
        };
        // Says now, and not with the first call, if the key is of another kind.
        Jwk::from_encoding_key(&key, algorithm).map_err(|_| wrong())?;
        let header = Header { kid: config.key_id.clone(), ..Header::new(algorithm) };
        let proof = match config.kind {
            IssuerKind::Maskinporten => None,
            IssuerKind::Helseid => Some(proof_key()?),
        };
        let endpoint = Address::new(&config.endpoint, config.authority.as_deref())?;
        let signer = Signer { header, key };
        Ok(Self { config, endpoint, signer, proof, held: Mutex::default(), clock, entropy })
    }

    /// The headers of a call to an address: the token, and the proof if it is bound.
    async fn headers(&self, address: &str) -> Result<(String, Option<String>), TokenFault> {
        let token = self.token().await?;
        match &self.proof {
            None => Ok((format!("Bearer {token}"), None)),
            Some(key) => {
                let proof = self.prove(key, address, None, Some(&token))?;
                Ok((format!("DPoP {token}"), Some(proof)))
            }
        }
    }

    async fn token(&self) -> Result<String, TokenFault> {
        let mut held = self.held.lock().await;
        let now = self.clock.now().timestamp();
        if let Some(held) = held.as_ref().filter(|held| now < held.until) {
            return Ok(held.token.clone());
        }
        let granted = match self.ask(None).await? {
            Ok(granted) => granted,
            // RFC 9449, 8: the issuer wants its own word in the proof.
            Err((_, Some(nonce))) => {
                self.ask(Some(&nonce)).await?.map_err(|(said, _)| TokenFault::Refused(said))?
            }
            Err((said, None)) => return Err(TokenFault::Refused(said)),
        };
        let kind = if self.proof.is_some() { "DPoP" } else { "Bearer" };
        if !granted.token_type.eq_ignore_ascii_case(kind) {
            return Err(TokenFault::Refused(format!("it must be of the type {kind}")));
        }
        *held = Some(Held { token: granted.access_token.clone(), until: now + granted.expires_in - MARGIN });
        Ok(granted.access_token)
    }

    /// Asks once. The issuer's refusal comes with its nonce, if that is what it wants.
    async fn ask(
        &self,
        nonce: Option<&str>,
    ) -> Result<Result<Granted, (String, Option<String>)>, TokenFault> {
        let body: String = {
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, value) in self.grant()? {
                form.append_pair(name, &value);
            }
            form.finish()
        };
        let mut request = Request::post("/")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        if let Some(key) = &self.proof {
            request = request.header("dpop", self.prove(key, &self.endpoint.text(), nonce, None)?);
        }
        let request = request.body(Full::new(Bytes::from(body)));
        let request = request.map_err(|e| TokenFault::Signature(e.to_string()))?;
        let answer = self.endpoint.send(request).await?;
        if answer.status() == StatusCode::OK {
            let wrong = |_| TokenFault::Refused("its answer cannot be read".to_owned());
            return serde_json::from_slice(answer.body()).map(Ok).map_err(wrong);
        }
        let said = serde_json::from_slice(answer.body()).map_or_else(
            |_| answer.status().to_string(),
            |Denied { error }| error.chars().filter(|c| c.is_ascii_graphic()).take(100).collect(),
        );
        let fresh = answer.headers().get("dpop-nonce").and_then(|value| value.to_str().ok());
        let fresh = fresh.filter(|_| said == "use_dpop_nonce" && nonce.is_none()).map(str::to_owned);
        Ok(Err((said, fresh)))
    }

    /// What is posted to the token endpoint.
    fn grant(&self) -> Result<Vec<(&'static str, String)>, TokenFault> {
        let TokenClientConfig { client_id, issuer, scope, resource, .. } = &self.config;
        let now = self.clock.now().timestamp();
        let mut claims = json!({
            "iss": client_id, "aud": issuer, "jti": self.id()?, "iat": now, "exp": now + SIGNED_FOR,
        });
        let mut say = |name: &str, value: serde_json::Value| {
            if let Some(claims) = claims.as_object_mut() {
                claims.insert(name.to_owned(), value);
            }
        };
        match self.config.kind {
            IssuerKind::Maskinporten => {
                say("scope", scope.as_str().into());
                if let Some(resource) = resource {
                    say("resource", resource.as_str().into());
                }
                Ok(vec![
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
                    ("assertion", sign(&self.signer.header, &claims, &self.signer.key)?),
                ])
            }
            IssuerKind::Helseid => {
                say("sub", client_id.as_str().into());
                say("nbf", now.into());
                let assertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned();
                Ok(vec![
                    ("grant_type", "client_credentials".to_owned()),
                    ("client_id", client_id.clone()),
                    ("scope", scope.clone()),
                    ("client_assertion_type", assertion),
                    ("client_assertion", sign(&self.signer.header, &claims, &self.signer.key)?),
                ])
            }
        }
    }

    fn prove(
        &self,
        key: &Signer,
        address: &str,
        nonce: Option<&str>,
        token: Option<&str>,
    ) -> Result<String, TokenFault> {
        let mut claims = json!({
            "jti": self.id()?, "htm": "POST", "htu": address, "iat": self.clock.now().timestamp(),
        });
        if let Some(claims) = claims.as_object_mut() {
            claims.extend(nonce.map(|nonce| ("nonce".to_owned(), nonce.into())));
            let hash = token.map(|token| URL_SAFE_NO_PAD.encode(Sha256::digest(token)));
            claims.extend(hash.map(|hash| ("ath".to_owned(), hash.into())));
        }
        sign(&key.header, &claims, &key.key)
    }

    fn id(&self) -> Result<String, TokenFault> {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes)?;
        Ok(hex::encode(bytes))
    }
}

fn sign(header: &Header, claims: &serde_json::Value, key: &EncodingKey) -> Result<String, TokenFault> {
    jsonwebtoken::encode(header, claims, key).map_err(|e| TokenFault::Signature(e.to_string()))
}

fn proof_key() -> Result<Signer, TokenFault> {
    let failed = |e: String| TokenFault::Signature(e);
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| failed(e.to_string()))?;
    let key = EncodingKey::from_ec_der(&pair.serialize_der());
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).map_err(|e| failed(e.to_string()))?;
    jwk.common.key_algorithm = None;
    let header = Header { typ: Some("dpop+jwt".to_owned()), jwk: Some(jwk), ..Header::new(Algorithm::ES256) };
    Ok(Signer { header, key })
}

/// A connection to a server, over which each call shows how the caller signs in: the certificate of the connection
/// itself, or a token.
#[derive(Debug, Clone)]
pub struct Line {
    channel: Channel,
    tokens: Option<(Arc<TokenSource>, String)>,
}

impl From<Channel> for Line {
    fn from(channel: Channel) -> Self {
        Self { channel, tokens: None }
    }
}

impl Line {
    /// A line to the server that callers know by this address, `https://host:port`.
    pub(super) fn with_tokens(channel: Channel, tokens: Arc<TokenSource>, address: String) -> Self {
        Self { channel, tokens: Some((tokens, address)) }
    }
}

impl tower::Service<Request<Body>> for Line {
    type Response = Response<Body>;
    type Error = tonic::codegen::StdError;
    type Future = BoxFuture<'static, Result<Response<Body>, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The channel that is ready is the one that takes the call.
        let fresh = self.channel.clone();
        let mut channel = std::mem::replace(&mut self.channel, fresh);
        let tokens = self.tokens.clone();
        Box::pin(async move {
            if let Some((tokens, address)) = tokens {
                let address = format!("{address}{}", request.uri().path());
                let (token, proof) = tokens.headers(&address).await.map_err(|e| status(&e))?;
                let headers = request.headers_mut();
                headers.insert(header::AUTHORIZATION, value(&token)?);
                if let Some(proof) = proof {
                    headers.insert("dpop", value(&proof)?);
                }
            }
            Ok(channel.call(request).await?)
        })
    }
}

fn value(text: &str) -> Result<HeaderValue, Status> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| Status::internal("token.header: no header takes it"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn status(fault: &TokenFault) -> Status {
    Status::unauthenticated(format!("token.issuer: {fault}"))
}
