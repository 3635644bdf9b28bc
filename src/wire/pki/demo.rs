//! The certificates and keys of a complete installation on one machine, as `kpr demo` and the tests
//! use it. The organisation numbers are of the series that is set aside for synthetic ones.

use std::path::{Path, PathBuf};

use super::{Authority, CertificateRequest, PkiError, RevocationList, Validity, new_signing_key};
use crate::authorise::Role;
use crate::config::{StewardEntry, TlsFiles};
use crate::domain::clock::Entropy;
use crate::domain::ids::{BadName, OrganisationId, StewardId};

/// The register keeper: gateway, identity service, stewards, ingest, auditor.
pub const KEEPER: &str = "NTRNO-310000019";
/// The keeper of NPR.
pub const PARTNER: &str = "NTRNO-310000027";
/// A university.
pub const UNIVERSITY: &str = "NTRNO-310000035";
/// A citizen portal.
pub const PORTAL: &str = "NTRNO-310000051";
/// A sender of deliveries: the payer of general practitioners.
pub const HELFO: &str = "NTRNO-310000086";
/// A reader of published tables.
pub const CONSUMER: &str = "NTRNO-310000043";

/// One certificate of the installation.
#[derive(Debug, Clone, Copy)]
struct Party {
    file: &'static str,
    organisation: &'static str,
    role: Role,
    name: &'static str,
    dns: &'static [&'static str],
}

const fn client(file: &'static str, organisation: &'static str, role: Role, name: &'static str) -> Party {
    Party { file, organisation, role, name, dns: &[] }
}

const PARTIES: [Party; 12] = [
    Party {
        file: "identity",
        organisation: KEEPER,
        role: Role::Identity,
        name: "identity",
        dns: &["identity.kpr.test", "localhost"],
    },
    Party {
        file: "gateway",
        organisation: KEEPER,
        role: Role::Gateway,
        name: "gateway",
        dns: &["gateway.kpr.test", "localhost"],
    },
    Party {
        file: "witness",
        organisation: PARTNER,
        role: Role::Witness,
        name: "witness",
        dns: &["witness.kpr.test", "localhost"],
    },
    client("npr", PARTNER, Role::Partner, "NPR"),
    client("researcher", UNIVERSITY, Role::Researcher, "researcher"),
    client("anna", KEEPER, Role::Steward, "anna"),
    client("bjorn", KEEPER, Role::Steward, "bjorn"),
    client("consumer", CONSUMER, Role::Consumer, "consumer"),
    client("ingest", KEEPER, Role::Ingest, "ingest"),
    client("auditor", KEEPER, Role::Auditor, "auditor"),
    client("portal", PORTAL, Role::Portal, "portal"),
    client("helfo", HELFO, Role::Sender, "helfo"),
];

/// The stewards, each with a certificate and a signing key of this name.
pub const STEWARDS: [&str; 2] = ["anna", "bjorn"];

/// The TLS files that [`write()`] has made for a party, by its file name: `identity`, `gateway`, `npr`,
/// `researcher`, `anna`, `bjorn`, `consumer`, `ingest`, `auditor`, `portal`, `helfo` or `witness`.
#[must_use]
pub fn files(folder: &Path, party: &str) -> TlsFiles {
    let file = |ending: &str| folder.join(format!("{party}.{ending}"));
    let files = TlsFiles::new(file("pem"), file("key"), folder.join(Authority::CERTIFICATE));
    TlsFiles { revocation: vec![folder.join(Authority::REVOKED)], ..files }
}

/// The file with a steward's signing key.
#[must_use]
pub fn signing_key(folder: &Path, steward: &str) -> PathBuf {
    folder.join(format!("{steward}.signing"))
}

/// Writes an authority, its empty revocation list, a certificate for each party and two stewards' signing keys into a folder.
/// Returns the stewards as configurations list them.
///
/// # Errors
/// [`PkiError`].
pub fn write(
    folder: &Path,
    validity: Validity,
    entropy: &dyn Entropy,
) -> Result<Vec<StewardEntry>, PkiError> {
    let authority = Authority::new(validity)?;
    authority.write(folder)?;
    RevocationList::default().write(&authority, folder, validity)?;
    for party in PARTIES {
        let request = CertificateRequest {
            organisation: OrganisationId::new(party.organisation).map_err(fixed)?,
            role: party.role,
            name: party.name.to_owned(),
            dns: party.dns.iter().map(|&name| name.to_owned()).collect(),
            validity,
        };
        authority.issue(&request)?.write(&folder.join(party.file), &folder.join(Authority::CERTIFICATE))?;
    }
    STEWARDS
        .iter()
        .map(|&steward| {
            let key = new_signing_key(&signing_key(folder, steward), entropy)?;
            let steward = StewardId::new(steward).map_err(fixed)?;
            let organisation = OrganisationId::new(KEEPER).map_err(fixed)?;
            Ok(StewardEntry { steward, organisation, key: hex::encode(key.verifying_key().as_bytes()) })
        })
        .collect()
}

/// The names above are fixed and good; the error is never reached.
fn fixed(_: BadName) -> PkiError {
    PkiError::Name
}
