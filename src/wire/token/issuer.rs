//! One issuer: its keys, what its tokens must say, and whom they stand for.

use std::collections::{BTreeMap, BTreeSet};

use jsonwebtoken::{Algorithm, Header, Validation, decode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::peer::is_name;
use super::super::web::Address;
use super::dpop::LEEWAY;
use super::jwks::{Jwks, Times};
use super::{BadIssuers, TokenError};
use crate::authorise::{Caller, Role};
use crate::config::{IssuerConfig, IssuerKind};
use crate::domain::ids::OrganisationId;

/// Where HelseID says which organisation a client is of.
const HELSEID_ORGANISATION: &str = "helseid://claims/client/claims/orgnr_parent";
/// The register of organisation numbers of Norway in ISO 6523, as Maskinporten writes it.
const ISO_6523_NORWAY: &str = "0192:";

pub(super) struct Issuer {
    name: String,
    audience: String,
    algorithms: Vec<Algorithm>,
    organisation: Organisation,
    scopes: BTreeMap<String, Role>,
    dpop: bool,
    keys: Jwks,
}

/// Which claim says the organisation.
enum Organisation {
    /// `consumer.ID`, as ISO 6523 writes it.
    Consumer,
    /// A claim of this name, nine digits.
    Claim(String),
}

/// Claims of an access token. Numbers that are not whole, and claims of another type, are not read.
#[derive(Deserialize)]
struct Claims {
    exp: u64,
    #[serde(default)]
    nbf: Option<u64>,
    #[serde(default)]
    iat: Option<u64>,
    client_id: String,
    scope: Scopes,
    #[serde(default)]
    cnf: Option<Confirmation>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Maskinporten writes scopes with spaces between them, HelseID as a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scopes {
    Text(String),
    List(Vec<String>),
}

/// The key that a token is bound to. A binding of another kind is not known here and refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    jkt: String,
}

#[derive(Deserialize)]
struct Consumer {
    authority: String,
    #[serde(rename = "ID")]
    id: String,
}

impl Issuer {
    pub(super) fn new(config: &IssuerConfig, times: Times) -> Result<Self, BadIssuers> {
        if config.issuer.is_empty() || config.audience.is_empty() || config.scopes.is_empty() {
            return Err(BadIssuers::Empty);
        }
        let algorithm = |name: &String| match name.as_str() {
            "RS256" => Ok(Algorithm::RS256),
            "PS256" => Ok(Algorithm::PS256),
            "ES256" => Ok(Algorithm::ES256),
            _ => Err(BadIssuers::Algorithm(name.clone())),
        };
        let role = |(scope, name): (&String, &String)| match name.parse() {
            Ok(role @ (Role::Researcher | Role::Consumer | Role::Auditor)) => Ok((scope.clone(), role)),
            _ => Err(BadIssuers::Role(name.clone())),
        };
        let organisation = match (config.kind, &config.organisation_claim) {
            (IssuerKind::Maskinporten, _) => Organisation::Consumer,
            (IssuerKind::Helseid, None) => Organisation::Claim(HELSEID_ORGANISATION.to_owned()),
            (IssuerKind::Helseid, Some(claim)) => Organisation::Claim(claim.clone()),
        };
        Ok(Self {
            name: config.issuer.clone(),
            audience: config.audience.clone(),
            algorithms: config.algorithms.iter().map(algorithm).collect::<Result<_, _>>()?,
            organisation,
            scopes: config.scopes.iter().map(role).collect::<Result<_, _>>()?,
            dpop: config.dpop,
            keys: Jwks::new(Address::new(&config.jwks, config.authority.as_deref())?, times),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether its tokens must be bound to a key.
    pub(super) const fn dpop(&self) -> bool {
        self.dpop
    }

    /// The caller that a token names, and the thumbprint of the key that it is bound to.
    pub(super) async fn verify(
        &self,
        token: &str,
        header: &Header,
        now: u64,
    ) -> Result<(Caller, Option<String>), TokenError> {
        if !self.algorithms.contains(&header.alg) {
            return Err(TokenError::Token(
                "it is signed with an algorithm that is not accepted of its issuer",
            ));
        }
        // A token is `JWT` or `at+jwt`; what else an issuer signs is for something else.
        let kind = header.typ.as_deref().map(str::to_ascii_lowercase);
        if !matches!(kind.as_deref(), None | Some("jwt" | "at+jwt" | "application/at+jwt"))
            || header.crit.is_some()
        {
            return Err(TokenError::Token("it is not an access token"));
        }
        let kid =
            header.kid.as_deref().ok_or(TokenError::Token("it must name the key that it is signed with"))?;
        let unknown = TokenError::Token("its issuer has no such key, or does not answer");
        let key = self.keys.key(kid, header.alg).await.ok_or(unknown)?;
        let mut rules = Validation::new(header.alg);
        // Its times are held against our own clock below.
        rules.validate_exp = false;
        rules.set_issuer(&[&self.name]);
        rules.set_audience(&[&self.audience]);
        rules.set_required_spec_claims(&["iss", "aud", "exp"]);
        let claims =
            decode::<Claims>(token, &key, &rules).map_err(|error| TokenError::Token(said(&error)))?.claims;
        if claims.exp.saturating_add(LEEWAY) <= now {
            return Err(TokenError::Token("it has expired"));
        }
        if [claims.nbf, claims.iat].into_iter().flatten().any(|from| from > now + LEEWAY) {
            return Err(TokenError::Token("its time has not come"));
        }
        let caller = self.caller(&claims)?;
        Ok((caller, claims.cnf.map(|key| key.jkt)))
    }

    fn caller(&self, claims: &Claims) -> Result<Caller, TokenError> {
        let organisation = self.organisation(&claims.others);
        let organisation =
            organisation.ok_or(TokenError::Token("it must name the organisation that asks"))?;
        let scopes: BTreeSet<&str> = match &claims.scope {
            Scopes::Text(text) => text.split_ascii_whitespace().collect(),
            Scopes::List(list) => list.iter().map(String::as_str).collect(),
        };
        let roles: BTreeSet<Role> =
            scopes.iter().filter_map(|scope| self.scopes.get(*scope)).copied().collect();
        let mut roles = roles.into_iter();
        let (Some(role), None) = (roles.next(), roles.next()) else {
            return Err(TokenError::Token("its scopes must give exactly one role"));
        };
        if !is_name(&claims.client_id) {
            return Err(TokenError::Token(
                "its client_id must be 1-64 printable characters without a run of eleven digits",
            ));
        }
        Ok(Caller::from_token(organisation, role, claims.client_id.clone()))
    }

    fn organisation(&self, claims: &Map<String, Value>) -> Option<OrganisationId> {
        let digits = match &self.organisation {
            Organisation::Consumer => {
                let consumer = Consumer::deserialize(claims.get("consumer")?).ok()?;
                let digits = consumer.id.strip_prefix(ISO_6523_NORWAY)?.to_owned();
                (consumer.authority == "iso6523-actorid-upis").then_some(digits)?
            }
            Organisation::Claim(name) => claims.get(name)?.as_str()?.to_owned(),
        };
        OrganisationId::new(format!("NTRNO-{digits}")).ok()
    }
}

fn said(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => "its signature is not its issuer's",
        ErrorKind::InvalidAudience => "it is for somebody else",
        ErrorKind::InvalidIssuer => "its issuer is not one that is accepted here",
        ErrorKind::MissingRequiredClaim(_) => "it must say issuer, audience and end",
        _ => "its claims cannot be read",
    }
}
