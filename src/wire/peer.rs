//! Who is at the other end: the caller that a verified client certificate names.

use rustls_pki_types::CertificateDer;
use x509_parser::der_parser::Oid;
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATIONAL_UNIT};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use crate::authorise::{Caller, Role};
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
    #[error("the client certificate's organizationIdentifier must be NTRNO- followed by nine digits")]
    Organisation,
    /// The organisational unit is not a role.
    #[error("the client certificate's organizational unit must be a role")]
    Role,
    /// The common name is too long, or could be read as an identity number.
    #[error(
        "the client certificate's common name must be 1-64 printable characters without a run of eleven digits"
    )]
    Name,
}

impl From<PeerError> for Refusal {
    fn from(error: PeerError) -> Self {
        Self::new(RefusalKind::Denied, "access.certificate", error.to_string())
    }
}

/// The caller that a certificate names. The certificate must have been verified by the TLS stack.
///
/// # Errors
/// [`PeerError`].
pub(super) fn caller(certificate: &CertificateDer<'_>) -> Result<Caller, PeerError> {
    let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|_| PeerError::Unreadable)?;
    if !rest.is_empty() {
        return Err(PeerError::Unreadable);
    }
    let usage = parsed.extended_key_usage().map_err(|_| PeerError::Unreadable)?;
    if !usage.is_some_and(|usage| usage.value.client_auth) {
        return Err(PeerError::NotForClients);
    }
    let subject = parsed.subject();
    let organisation = Oid::new(ORGANISATION_IDENTIFIER.into());
    let organisation = one(subject, &organisation, "organizationIdentifier (2.5.4.97)")?;
    let unit = one(subject, &OID_X509_ORGANIZATIONAL_UNIT, "organizationalUnitName")?;
    let name = one(subject, &OID_X509_COMMON_NAME, "commonName")?;
    let organisation = OrganisationId::new(organisation).map_err(|_| PeerError::Organisation)?;
    let role: Role = unit.parse().map_err(|_| PeerError::Role)?;
    if !is_name(&name) {
        return Err(PeerError::Name);
    }
    Ok(Caller::from_certificate(organisation, role, name))
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
