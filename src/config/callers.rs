//! How callers sign in and what they may take: TLS files, enterprise certificates, tokens, limits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, read};
use crate::domain::ids::OrganisationId;

/// Where TLS certificates and keys lie, all PEM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// This party's certificate chain.
    pub certificate: PathBuf,
    /// Its private key; refused unless its mode is 0600.
    pub key: PathBuf,
    /// The authority whose certificates are accepted of others.
    pub authority: PathBuf,
    /// Revocation lists, PEM or DER. Where there is any, each authority must have one that has not expired, and a
    /// certificate without one that covers it is refused.
    #[serde(default)]
    pub revocation: Vec<PathBuf>,
    /// Enterprise certificates that are accepted of callers; none if not given.
    #[serde(default)]
    pub enterprise: Option<Enterprise>,
}

/// Certificates of authorities that know organisations and nothing of this system's roles.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enterprise {
    /// The authorities, PEM.
    pub authority: PathBuf,
    /// The organisations whose certificates are accepted, each once.
    pub organisations: Vec<EnterpriseCaller>,
}

/// Whom the enterprise certificate of an organisation is taken for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnterpriseCaller {
    /// The organisation, as the certificate's `organizationIdentifier` has it.
    pub organisation: OrganisationId,
    /// Its role: steward, researcher, partner, consumer, auditor, portal or sender.
    pub role: String,
    /// The caller's name; of a partner the id of its register, of a steward the steward's id.
    pub name: String,
}

impl TlsFiles {
    /// The same files, relative paths taken from `folder`.
    #[must_use]
    pub fn under(&self, folder: &Path) -> Self {
        Self {
            certificate: folder.join(&self.certificate),
            key: folder.join(&self.key),
            authority: folder.join(&self.authority),
            revocation: self.revocation.iter().map(|list| folder.join(list)).collect(),
            enterprise: self.enterprise.as_ref().map(|enterprise| Enterprise {
                authority: folder.join(&enterprise.authority),
                organisations: enterprise.organisations.clone(),
            }),
        }
    }

    /// Certificate, key and authority, without revocation lists.
    #[must_use]
    pub const fn new(certificate: PathBuf, key: PathBuf, authority: PathBuf) -> Self {
        Self { certificate, key, authority, revocation: Vec::new(), enterprise: None }
    }
}

/// What one caller may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallLimit {
    /// Calls a minute in the long run.
    pub per_minute: u32,
    /// Calls that may come at once after a rest.
    pub burst: u32,
    /// Calls in progress, streams included.
    pub at_once: u32,
}

/// Callers that sign in with a bearer token instead of a certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// Where gRPC is served to them.
    pub listen: SocketAddr,
    /// The address that they know this server by, `https://host:port`: proofs of possession are made for it.
    pub address: String,
    /// The issuers whose tokens are accepted.
    pub issuers: Vec<IssuerConfig>,
}

/// An issuer of tokens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// Where its tokens say which organisation asks.
    pub kind: IssuerKind,
    /// The claim `iss` of its tokens.
    pub issuer: String,
    /// The claim `aud` that its tokens for this server carry.
    pub audience: String,
    /// The address of its keys: https, or http on this machine itself.
    pub jwks: String,
    /// The authority that the server of its keys must be certified by, PEM; for https.
    #[serde(default)]
    pub authority: Option<PathBuf>,
    /// The algorithms that its tokens may be signed with.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<String>,
    /// The role that a scope gives: researcher, consumer or auditor.
    pub scopes: BTreeMap<String, String>,
    /// Whether its tokens must be bound to a key (DPoP). Tokens that are bound always need their proof.
    #[serde(default = "yes")]
    pub dpop: bool,
    /// Of the kind `helseid`: the claim with the organisation's number, if it is not that of the parent organisation.
    #[serde(default)]
    pub organisation_claim: Option<String>,
}

/// Kinds of issuers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IssuerKind {
    /// As Maskinporten: `consumer.ID` is `0192:` and the organisation's number.
    Maskinporten,
    /// As HelseID: a claim of the client is the organisation's number.
    Helseid,
}

/// A caller that signs in with a token: `kpr --token`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenClientConfig {
    /// How the issuer is asked, and whether its tokens are bound to a key.
    pub kind: IssuerKind,
    /// The issuer, as what this client signs for it names it.
    pub issuer: String,
    /// The address of its token endpoint: https, or http on this machine itself.
    pub endpoint: String,
    /// The authority that the endpoint's server must be certified by, PEM; for https.
    #[serde(default)]
    pub authority: Option<PathBuf>,
    /// The client's id at the issuer.
    pub client_id: String,
    /// The client's private key, PKCS #8 in PEM; refused unless its mode is 0600.
    pub key: PathBuf,
    /// The id of the key at the issuer.
    #[serde(default)]
    pub key_id: Option<String>,
    /// The algorithm that the key signs with.
    pub algorithm: String,
    /// The scopes to ask for, with spaces between them.
    pub scope: String,
    /// Of the kind `maskinporten`: whom the token is to be for.
    #[serde(default)]
    pub resource: Option<String>,
}

impl TokenClientConfig {
    /// Reads the configuration, relative paths taken from its folder.
    ///
    /// # Errors
    /// As [`read`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.key = folder.join(&config.key);
        config.authority = config.authority.map(|file| folder.join(file));
        Ok(config)
    }
}

fn default_algorithms() -> Vec<String> {
    ["RS256", "PS256", "ES256"].map(str::to_owned).to_vec()
}

const fn yes() -> bool {
    true
}
