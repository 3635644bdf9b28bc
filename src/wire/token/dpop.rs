//! Proof of possession (RFC 9449): whoever shows a bound token also signs the call it is shown with.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use jsonwebtoken::jwk::ThumbprintHash;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::TokenError;

/// How old a proof may be, in seconds.
const WINDOW: u64 = 60;
/// How far the clocks of two machines may be apart, in seconds.
pub(super) const LEEWAY: u64 = 10;
/// Proofs remembered at a time, of one key and of all. Who has made more within the window has to wait.
const MOST_OF_ONE: usize = 20_000;
const MOST: usize = 200_000;

#[derive(Deserialize)]
struct Proof {
    jti: String,
    htm: String,
    htu: String,
    iat: u64,
    ath: String,
}

/// What a proof must be made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// The address that callers know this server by, without a path.
    pub(super) address: &'a Uri,
    /// The path of the call.
    pub(super) path: &'a str,
    /// The access token.
    pub(super) token: &'a str,
    /// The thumbprint of the key that the token is bound to.
    pub(super) thumbprint: &'a str,
    /// Seconds since 1970.
    pub(super) now: u64,
}

/// Checks proofs, and remembers them as long as they could be shown again.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    shown: Mutex<Shown>,
}

#[derive(Debug, Default)]
struct Shown {
    by_key: HashMap<String, HashMap<[u8; 32], u64>>,
    all: usize,
}

impl Proofs {
    /// # Errors
    /// [`TokenError::Proof`].
    pub(super) fn check(&self, proof: &str, call: &Call<'_>) -> Result<(), TokenError> {
        let header = decode_header(proof).map_err(|_| TokenError::Proof("it is not a signed JWT"))?;
        if header.typ.as_deref() != Some("dpop+jwt") || header.crit.is_some() {
            return Err(TokenError::Proof("its type must be dpop+jwt"));
        }
        if !matches!(header.alg, Algorithm::ES256 | Algorithm::RS256 | Algorithm::PS256) {
            return Err(TokenError::Proof("its algorithm must be ES256, RS256 or PS256"));
        }
        let jwk = header.jwk.ok_or(TokenError::Proof("it must name its key"))?;
        let thumbprint = jwk.thumbprint(ThumbprintHash::SHA256).ok();
        if thumbprint.as_deref() != Some(call.thumbprint) {
            return Err(TokenError::Proof("the token is bound to another key"));
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| TokenError::Proof("its key cannot be used"))?;
        let mut rules = Validation::new(header.alg);
        // A proof has no audience and no end of its own: its time is `iat`, its place `htu`.
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let wrong = |_| TokenError::Proof("its signature or its claims are not right");
        let claims = decode::<Proof>(proof, &key, &rules).map_err(wrong)?.claims;
        if claims.htm != "POST" || !is_this(&claims.htu, call) {
            return Err(TokenError::Proof("it is for another call"));
        }
        if claims.ath != URL_SAFE_NO_PAD.encode(Sha256::digest(call.token)) {
            return Err(TokenError::Proof("it is for another token"));
        }
        if claims.iat > call.now.saturating_add(LEEWAY) || claims.iat.saturating_add(WINDOW) < call.now {
            return Err(TokenError::Proof("it must have been made within the last minute"));
        }
        if claims.jti.is_empty() {
            return Err(TokenError::Proof("it must have an id"));
        }
        self.remember(call.thumbprint, &claims.jti, claims.iat + WINDOW, call.now)
    }

    /// Refuses a proof that was shown before, and remembers it until `until`.
    fn remember(&self, thumbprint: &str, jti: &str, until: u64, now: u64) -> Result<(), TokenError> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let full = shown.by_key.get(thumbprint).map_or(0, HashMap::len) >= MOST_OF_ONE;
        if full || shown.all >= MOST {
            shown.by_key.retain(|_, proofs| {
                proofs.retain(|_, until| *until >= now);
                !proofs.is_empty()
            });
            shown.all = shown.by_key.values().map(HashMap::len).sum();
        }
        if shown.all >= MOST {
            return Err(TokenError::Proof("too many were shown within the last minute"));
        }
        let proofs = shown.by_key.entry(thumbprint.to_owned()).or_default();
        if proofs.len() >= MOST_OF_ONE {
            return Err(TokenError::Proof("too many were shown within the last minute"));
        }
        if proofs.insert(Sha256::digest(jti).into(), until).is_some() {
            return Err(TokenError::Proof("it was shown before"));
        }
        shown.all += 1;
        Ok(())
    }
}

/// Whether `htu` is the address of the call. Query and fragment do not count (RFC 9449, 4.3).
fn is_this(htu: &str, call: &Call<'_>) -> bool {
    let Ok(uri) = htu.parse::<Uri>() else { return false };
    let port = |uri: &Uri| uri.port_u16().unwrap_or(443);
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    uri.scheme() == call.address.scheme()
        && host(&uri) == host(call.address)
        && port(&uri) == port(call.address)
        && uri.path() == call.path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_call_is_compared_part_by_part() {
        let address: Uri = "https://gateway.kpr.test:7005".parse().unwrap();
        let call =
            Call { address: &address, path: "/kpr.v1.Queries/Check", token: "", thumbprint: "", now: 0 };
        assert!(is_this("https://gateway.kpr.test:7005/kpr.v1.Queries/Check", &call));
        assert!(is_this("https://GATEWAY.kpr.test:7005/kpr.v1.Queries/Check?x=1", &call));
        for other in [
            "https://gateway.kpr.test:7005/kpr.v1.Queries/Submit",
            "https://gateway.kpr.test/kpr.v1.Queries/Check",
            "http://gateway.kpr.test:7005/kpr.v1.Queries/Check",
            "https://other.kpr.test:7005/kpr.v1.Queries/Check",
            "/kpr.v1.Queries/Check",
            "",
        ] {
            assert!(!is_this(other, &call), "{other}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten_in_time() {
        let proofs = Proofs::default();
        for number in 0..MOST_OF_ONE {
            proofs.remember("key", &number.to_string(), 100, 50).unwrap();
        }
        assert!(proofs.remember("key", "new", 100, 50).is_err());
        assert!(proofs.remember("other", "new", 100, 50).is_ok(), "one key's crowd is no other's");
        assert!(proofs.remember("key", "7", 160, 100).is_err(), "still within its time");
        assert!(proofs.remember("key", "new", 160, 101).is_ok());
        assert_eq!(proofs.shown.lock().unwrap().all, 1);
    }
}
