//! Callers that sign in with a bearer token, of the kinds of Maskinporten and HelseID: a signed JWT from an issuer that is
//! configured, for this server, bound to a key where the issuer's tokens must be.
//!
//! A token says which organisation asks and with which scopes; the configuration says which role a scope gives. Everything
//! that is not as it must be refuses the call.

mod dpop;
mod issuer;
mod jwks;
mod ring;

use std::sync::Arc;

use http::{HeaderMap, Uri, header};
use jsonwebtoken::{dangerous, decode_header};
use serde::Deserialize;
use tonic::Status;

use self::dpop::{Call, Proofs};
use self::issuer::Issuer;
pub use self::jwks::Times;
pub use self::ring::install;
use super::web::BadAddress;
use crate::authorise::Caller;
use crate::config::TokenConfig;
use crate::domain::clock::Clock;

/// The most bytes of a token or a proof.
const MOST_BYTES: usize = 8 << 10;

/// Why a configuration of issuers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadIssuers {
    /// The address of this server.
    #[error("tokens.address must be https://host:port, as callers write it")]
    Address,
    /// There is nobody to accept tokens of, or the same issuer twice.
    #[error("tokens.issuers must name at least one issuer, each once")]
    Issuers,
    /// The address of an issuer's keys.
    #[error("tokens.issuers: {0}")]
    Keys(#[from] BadAddress),
    /// A text that must not be empty.
    #[error("tokens.issuers: issuer, audience and scopes must be given")]
    Empty,
    /// An algorithm.
    #[error("tokens.issuers: an algorithm must be RS256, PS256 or ES256, not {0:?}")]
    Algorithm(String),
    /// A role.
    #[error("tokens.issuers: a scope gives the role researcher, consumer or auditor, not {0:?}")]
    Role(String),
}

/// Why a caller is not known by its token. What is in the token is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("access.token: a token must be shown, as `authorization: Bearer` or `authorization: DPoP`")]
    None,
    #[error("access.token: the token cannot be used: {0}")]
    Token(&'static str),
    #[error("access.proof: the proof of possession cannot be used: {0}")]
    Proof(&'static str),
}

impl From<TokenError> for Status {
    fn from(error: TokenError) -> Self {
        Self::unauthenticated(error.to_string())
    }
}

/// How a token is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bearer,
    DPoP,
}

/// What is read of a token before it is known whose it is.
#[derive(Deserialize)]
struct Unverified {
    iss: String,
}

/// The issuers whose tokens are accepted.
pub struct Tokens {
    address: Uri,
    issuers: Vec<Issuer>,
    proofs: Proofs,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("issuers", &self.issuers.len()).finish_non_exhaustive()
    }
}

impl Tokens {
    /// The issuers of a configuration. None of them is asked for anything yet.
    ///
    /// # Errors
    /// [`BadIssuers`].
    pub fn new(config: &TokenConfig, times: Times, clock: Arc<dyn Clock>) -> Result<Self, BadIssuers> {
        install();
        let address: Uri = config.address.parse().map_err(|_| BadIssuers::Address)?;
        if address.scheme_str() != Some("https") || address.host().is_none() || address.path() != "/" {
            return Err(BadIssuers::Address);
        }
        let issuers = config.issuers.iter().map(|one| Issuer::new(one, times));
        let issuers: Vec<Issuer> = issuers.collect::<Result<_, _>>()?;
        let twice = issuers
            .iter()
            .enumerate()
            .any(|(at, one)| issuers.iter().skip(at + 1).any(|other| one.name() == other.name()));
        if issuers.is_empty() || twice {
            return Err(BadIssuers::Issuers);
        }
        Ok(Self { address, issuers, proofs: Proofs::default(), clock })
    }

    /// The caller that the headers of a call to `path` name.
    pub(super) async fn caller(&self, headers: &HeaderMap, path: &str) -> Result<Caller, TokenError> {
        let (scheme, token) = shown(headers)?;
        let header = decode_header(token).map_err(|_| TokenError::Token("it is no JWT that is signed"))?;
        let unreadable = |_| TokenError::Token("its claims cannot be read");
        let claimed: Unverified = dangerous::insecure_decode_claims(token).map_err(unreadable)?;
        let issuer = self.issuers.iter().find(|issuer| issuer.name() == claimed.iss);
        let issuer = issuer.ok_or(TokenError::Token("its issuer is not one that is accepted here"))?;
        let now = u64::try_from(self.clock.now().timestamp()).unwrap_or(0);
        let (caller, bound) = issuer.verify(token, &header, now).await?;
        match (scheme, bound) {
            (Scheme::Bearer, None) if !issuer.dpop() => Ok(caller),
            (_, None) => Err(TokenError::Token("it must be bound to a key (DPoP)")),
            (Scheme::Bearer, Some(_)) => {
                Err(TokenError::Token("it is bound to a key: show it as DPoP, with a proof"))
            }
            (Scheme::DPoP, Some(thumbprint)) => {
                let proof = one(headers, "dpop").ok_or(TokenError::Proof("there must be exactly one"))?;
                let call = Call { address: &self.address, path, token, thumbprint: &thumbprint, now };
                self.proofs.check(proof, &call)?;
                Ok(caller)
            }
        }
    }
}

/// The token of the headers. Two could be read differently by two parties.
fn shown(headers: &HeaderMap) -> Result<(Scheme, &str), TokenError> {
    let text = one(headers, header::AUTHORIZATION.as_str()).ok_or(TokenError::None)?;
    let (scheme, token) = text.split_once(' ').ok_or(TokenError::None)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Scheme::Bearer,
        "dpop" => Scheme::DPoP,
        _ => return Err(TokenError::None),
    };
    Ok((scheme, token))
}

/// The only value of a header, if it is not too long.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok().filter(|text| text.len() <= MOST_BYTES)
}
