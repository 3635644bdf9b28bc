//! The keys of an issuer, by JWKS: fetched when needed, kept for a while, fetched again when a token names a key that is
//! not among them, but not more often than [`Times::between`] however many tokens do.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::web::Address;

/// How long keys are trusted, and how often they are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The most time a key counts without being seen again. An issuer that is away for longer lets nobody in.
    pub trusted: Duration,
    /// The least time between two questions.
    pub between: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { trusted: Duration::from_secs(600), between: Duration::from_secs(10) }
    }
}

/// The most keys of an issuer.
const MOST_KEYS: usize = 64;

/// The keys of one issuer.
pub(super) struct Jwks {
    address: Address,
    times: Times,
    held: RwLock<Option<Held>>,
    /// When the issuer was last asked, whatever came of it. Its lock is held while it is asked.
    asked: Mutex<Option<Instant>>,
}

#[derive(Clone)]
struct Held {
    keys: Arc<[Jwk]>,
    at: Instant,
}

impl Jwks {
    pub(super) fn new(address: Address, times: Times) -> Self {
        Self { address, times, held: RwLock::default(), asked: Mutex::default() }
    }

    /// The key that a token names, for its algorithm. None if the issuer does not have it now, or is not heard of.
    pub(super) async fn key(&self, kid: &str, algorithm: Algorithm) -> Option<DecodingKey> {
        if let Some(found) = self.found(kid, algorithm) {
            return Some(found);
        }
        let mut asked = self.asked.lock().await;
        // Somebody else may have asked meanwhile.
        if let Some(found) = self.found(kid, algorithm) {
            return Some(found);
        }
        if asked.is_some_and(|asked| asked.elapsed() < self.times.between) {
            return None;
        }
        *asked = Some(Instant::now());
        match self.fetch().await {
            Ok(keys) => {
                let held = Held { keys: keys.into(), at: Instant::now() };
                *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held);
            }
            Err(reason) => {
                tracing::warn!(
                    address = self.address.text(),
                    reason,
                    "the keys of a token issuer cannot be fetched"
                );
            }
        }
        self.found(kid, algorithm)
    }

    fn found(&self, kid: &str, algorithm: Algorithm) -> Option<DecodingKey> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        if held.at.elapsed() >= self.times.trusted {
            return None;
        }
        let mut named = held.keys.iter().filter(|key| key.common.key_id.as_deref() == Some(kid));
        match (named.next(), named.next()) {
            (Some(key), None) if is_for(key, algorithm) => DecodingKey::from_jwk(key).ok(),
            _ => None,
        }
    }

    async fn fetch(&self) -> Result<Vec<Jwk>, String> {
        let request = Request::get("/").body(Full::<Bytes>::default()).map_err(|e| e.to_string())?;
        let answer = self.address.send(request).await.map_err(|e| e.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("the answer is {}", answer.status()));
        }
        let set: JwkSet =
            serde_json::from_slice(answer.body()).map_err(|_| "the answer is no JWKS".to_owned())?;
        if set.keys.len() > MOST_KEYS {
            return Err(format!("there are more than {MOST_KEYS} keys"));
        }
        Ok(set.keys)
    }
}

/// Whether a key may verify signatures of this algorithm. A secret never may.
fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    let family = match &key.algorithm {
        AlgorithmParameters::RSA(_) => matches!(algorithm, Algorithm::RS256 | Algorithm::PS256),
        AlgorithmParameters::EllipticCurve(ec) => {
            algorithm == Algorithm::ES256 && ec.curve == EllipticCurve::P256
        }
        _ => false,
    };
    family
        && key.common.key_algorithm.is_none_or(|named| named == KeyAlgorithm::from(algorithm))
        && key.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
}
