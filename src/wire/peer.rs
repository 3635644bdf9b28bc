//! Who is at the other end: the caller that a verified client certificate names.
//!
//! A certificate of our own authority says organisation, role and name itself. An enterprise certificate (SEID 2.0) says
//! the organisation; role and name come from a table in the configuration, whatever else its subject holds.

use rustls_pki_types::CertificateDer;
use x509_parser::der_parser::Oid;
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATIONAL_UNIT};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use crate::authorise::{Caller, Role};
use crate::config::EnterpriseCaller;
use crate::domain::ids::OrganisationId;
use crate::domain::refusal::{Refusal, RefusalKind};

/// The subject attribute `organizationIdentifier` (2.5.4.97), DER.
const ORGANISATION_IDENTIFIER: &[u8] = &[0x55, 0x04, 0x61];

/// Why a certificate, though the authority issued it, names no caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No certificate was shown.
    #[error("no client certificate was shown")]
    None,
    /// The certificate was accepted when the connection was made, and is not now.
    #[error("the client certificate has expired or been revoked since the connection was made")]
    NoLonger,
    /// The certificate cannot be read.
    #[error("the client certificate cannot be read")]
    Unreadable,
    /// The certificate is not for clients.
    #[error("the client certificate lacks the extended key usage clientAuth")]
    NotForClients,
    /// A subject attribute is absent, occurs twice or is not text.
    #[error("the client certificate's subject must hold {0} exactly once")]
    Attribute(&'static str),
    /// The organisation is not written as SEID 2.0 writes it.
    #[error(
        "the client certificate's organizationIdentifier must be NTRNO- followed by an organisation number"
    )]
    Organisation,
    /// The organisational unit is not a role.
    #[error("the client certificate's organizational unit must be a role")]
    Role,
    /// The common name is too long, or could be read as an identity number.
    #[error(
        "the client certificate's common name must be 1-64 printable characters without a run of eleven digits"
    )]
    Name,
    /// The organisation of an enterprise certificate is not in the table.
    #[error("the organisation of the enterprise certificate must be listed in the configuration")]
    Unlisted,
}

impl From<PeerError> for Refusal {
    fn from(error: PeerError) -> Self {
        Self::new(RefusalKind::Denied, "access.certificate", error.to_string())
    }
}

/// The caller that a certificate of our own authority names. It must have been verified.
///
/// # Errors
/// [`PeerError`].
pub(super) fn caller(certificate: &CertificateDer<'_>) -> Result<Caller, PeerError> {
    let parsed = client_certificate(certificate)?;
    let subject = parsed.subject();
    let organisation = organisation(subject)?;
    let unit = one(subject, &OID_X509_ORGANIZATIONAL_UNIT, "organizationalUnitName")?;
    let name = one(subject, &OID_X509_COMMON_NAME, "commonName")?;
    let role: Role = unit.parse().map_err(|_| PeerError::Role)?;
    if !is_name(&name) {
        return Err(PeerError::Name);
    }
    Ok(Caller::from_certificate(organisation, role, name))
}

/// Organisations with enterprise certificates, and whom each is taken for.
#[derive(Debug)]
pub(super) struct Listed(Vec<Caller>);

impl Listed {
    /// The table of a configuration.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(table: &[EnterpriseCaller]) -> Result<Self, &'static str> {
        let mut callers: Vec<Caller> = Vec::new();
        for row in table {
            let role: Role = row.role.parse().map_err(|_| "a role is not one")?;
            if matches!(role, Role::Gateway | Role::Identity | Role::Ingest | Role::Witness) {
                return Err(
                    "an enterprise certificate is for a steward, researcher, partner, consumer, auditor, portal or sender",
                );
            }
            if !is_name(&row.name) {
                return Err("a name must be 1-64 printable characters without a run of eleven digits");
            }
            if callers.iter().any(|caller| *caller.organisation() == row.organisation) {
                return Err("an organisation is listed twice");
            }
            callers.push(Caller::from_certificate(row.organisation.clone(), role, row.name.clone()));
        }
        Ok(Self(callers))
    }

    /// The caller that an enterprise certificate stands for. It must have been verified.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) fn caller(&self, certificate: &CertificateDer<'_>) -> Result<Caller, PeerError> {
        let organisation = organisation(client_certificate(certificate)?.subject())?;
        let listed = self.0.iter().find(|caller| *caller.organisation() == organisation);
        listed.cloned().ok_or(PeerError::Unlisted)
    }
}

fn client_certificate<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PeerError> {
    let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|_| PeerError::Unreadable)?;
    if !rest.is_empty() {
        return Err(PeerError::Unreadable);
    }
    let usage = parsed.extended_key_usage().map_err(|_| PeerError::Unreadable)?;
    if usage.is_some_and(|usage| usage.value.client_auth) {
        Ok(parsed)
    } else {
        Err(PeerError::NotForClients)
    }
}

fn organisation(subject: &X509Name<'_>) -> Result<OrganisationId, PeerError> {
    let oid = Oid::new(ORGANISATION_IDENTIFIER.into());
    let text = one(subject, &oid, "organizationIdentifier (2.5.4.97)")?;
    OrganisationId::new(text).map_err(|_| PeerError::Organisation)
}

/// The only value of an attribute. Two values could be read differently by two parties.
fn one(subject: &X509Name<'_>, oid: &Oid<'_>, name: &'static str) -> Result<String, PeerError> {
    let mut values = subject.iter_by_oid(oid);
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(PeerError::Attribute(name));
    };
    value.as_str().map(str::to_owned).map_err(|_| PeerError::Attribute(name))
}

/// Common names end up in logs and audit entries, so nothing that reads like an identity number.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.chars().count())
        && !text.chars().any(char::is_control)
        && !text.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 11)
}
