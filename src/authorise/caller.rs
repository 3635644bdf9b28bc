//! Who asks: an organisation in a role, as the certificate of its TLS connection or its token states.

use std::fmt;
use std::str::FromStr;

use crate::domain::ids::OrganisationId;

/// What a caller may be, from the organisational unit of its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Enters and signs approvals, publishes tables.
    Steward,
    /// Asks queries under an approval and fetches the results.
    Researcher,
    /// A register node: takes linkage orders and sends rows.
    Partner,
    /// Reads published tables.
    Consumer,
    /// Takes deliveries in: the ingest command, towards the identity service.
    Ingest,
    /// The gateway itself, towards the identity service.
    Gateway,
    /// The identity service.
    Identity,
    /// Reads the audit log and the list of projects.
    Auditor,
    /// Cosigns the audit log's checkpoints.
    Witness,
    /// A citizen portal, acting for persons it has authenticated.
    Portal,
    /// Sends deliveries to the register, and hears what persons want corrected in them.
    Sender,
}

/// A text that names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a role is one of steward, researcher, partner, consumer, ingest, gateway, identity, auditor, witness, portal, sender"
)]
pub struct UnknownRole;

impl Role {
    /// All roles.
    pub const ALL: [Self; 11] = [
        Self::Steward,
        Self::Researcher,
        Self::Partner,
        Self::Consumer,
        Self::Ingest,
        Self::Gateway,
        Self::Identity,
        Self::Auditor,
        Self::Witness,
        Self::Portal,
        Self::Sender,
    ];

    /// The name it has in certificates and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Steward => "steward",
            Self::Researcher => "researcher",
            Self::Partner => "partner",
            Self::Consumer => "consumer",
            Self::Ingest => "ingest",
            Self::Gateway => "gateway",
            Self::Identity => "identity",
            Self::Auditor => "auditor",
            Self::Witness => "witness",
            Self::Portal => "portal",
            Self::Sender => "sender",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

/// Who asks. Made only from a verified peer certificate or a verified token.
///
/// Nobody outside the crate can make one up:
///
/// ```compile_fail,E0451
/// use kpr::authorise::{Caller, Role};
/// use kpr::domain::ids::OrganisationId;
/// let organisation = OrganisationId::new("NTRNO-983744516").unwrap();
/// let caller = Caller { organisation, role: Role::Steward, name: "me".to_owned() };
/// ```
///
/// ```compile_fail,E0624
/// use kpr::authorise::{Caller, Role};
/// use kpr::domain::ids::OrganisationId;
/// let organisation = OrganisationId::new("NTRNO-983744516").unwrap();
/// let caller = Caller::from_certificate(organisation, Role::Steward, "me".to_owned());
/// ```
///
/// ```compile_fail,E0624
/// use kpr::authorise::{Caller, Role};
/// use kpr::domain::ids::OrganisationId;
/// let organisation = OrganisationId::new("NTRNO-983744516").unwrap();
/// let caller = Caller::from_token(organisation, Role::Researcher, "me".to_owned());
/// ```
///
/// What is public is reading one:
///
/// ```
/// use kpr::authorise::{Caller, Role};
/// fn is_steward(caller: &Caller) -> bool {
///     caller.role() == Role::Steward && !caller.organisation().as_str().is_empty()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    organisation: OrganisationId,
    role: Role,
    name: String,
}

impl Caller {
    /// The caller that a certificate names. For `wire` alone, which has verified the certificate.
    pub(crate) const fn from_certificate(organisation: OrganisationId, role: Role, name: String) -> Self {
        Self { organisation, role, name }
    }

    /// A researcher as the record of a run names one. For what is done on a query's behalf when nobody calls.
    pub(super) const fn of_record(organisation: OrganisationId, name: String) -> Self {
        Self { organisation, role: Role::Researcher, name }
    }

    /// The caller that a token names. For `wire` alone, which has verified the token.
    pub(crate) const fn from_token(organisation: OrganisationId, role: Role, name: String) -> Self {
        Self { organisation, role, name }
    }

    /// The organisation, from the certificate's organization identifier or the token's claim.
    #[must_use]
    pub const fn organisation(&self) -> &OrganisationId {
        &self.organisation
    }

    /// The role, from the certificate's organisational unit, the table of organisations or the token's scope.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The certificate's common name, the table's name or the token's client. For a partner it is the id of its register, for a steward the
    /// steward's id.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_reads_back_and_nothing_else_does() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("Steward".parse::<Role>().is_err());
        assert!("".parse::<Role>().is_err());
    }
}
