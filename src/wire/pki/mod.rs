//! A development authority and its certificates, and the keys that stewards sign with. Real
//! certificates plug in by path: nothing but the files' contents differs.

pub mod demo;
mod revocation;
mod steward;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use zeroize::Zeroizing;

use crate::authorise::Role;
use crate::config::TlsFiles;
use crate::domain::clock::EntropyError;
use crate::domain::ids::OrganisationId;

pub use revocation::RevocationList;
pub use steward::{new_signing_key, read_signing_key};

/// A time as rcgen takes it: the crate that its type is from is not ours to name.
macro_rules! time {
    ($at:expr) => {
        rcgen::date_time_ymd(1970, 1, 1)
            + std::time::Duration::from_secs(
                u64::try_from($at.timestamp()).map_err(|_| crate::wire::pki::PkiError::Validity)?,
            )
    };
}
use time;

/// Why a key or certificate is not made or not read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read or written. A key is never overwritten.
    #[error("cannot {act} {path}: {source}")]
    File {
        /// What was to be done with it.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A common name that no caller may have.
    #[error("a name must be 1-64 printable characters without a run of eleven digits")]
    Name,
    /// A validity that ends before it begins, or before 1970.
    #[error("a certificate's validity must begin after 1970 and end after it begins")]
    Validity,
    /// A name that is not a DNS name, or a key that does not sign.
    #[error("the certificate cannot be made: {0}")]
    Certificate(String),
    /// An authority's folder does not hold what `kpr pki init` writes.
    #[error("{0} does not hold a private key that `kpr pki init` has written")]
    Authority(PathBuf),
    /// A folder whose revocation list cannot be read.
    #[error("{0} does not hold a revocation list that `kpr pki` has written")]
    RevocationList(PathBuf),
    /// What is to be revoked is no certificate.
    #[error("{0} does not hold a certificate of this authority")]
    NotIssued(PathBuf),
    /// A steward's key file.
    #[error("{0} does not hold a signing key: 64 hexadecimal digits, file mode 0600")]
    SigningKey(PathBuf),
    /// Randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// From when to when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: DateTime<Utc>,
    /// The last second.
    pub to: DateTime<Utc>,
}

impl Validity {
    /// So many days from `now` on, and an hour before it for clocks that are behind.
    #[must_use]
    pub fn days(now: DateTime<Utc>, days: u16) -> Self {
        Self { from: now - chrono::TimeDelta::hours(1), to: now + chrono::TimeDelta::days(i64::from(days)) }
    }

    fn check(self) -> Result<(), PkiError> {
        if self.to > self.from { Ok(()) } else { Err(PkiError::Validity) }
    }
}

/// What a certificate is asked for.
#[derive(Debug, Clone)]
pub struct CertificateRequest {
    /// The organisation.
    pub organisation: OrganisationId,
    /// What it acts as.
    pub role: Role,
    /// Its common name: of a partner the register id, of a steward the steward's id.
    pub name: String,
    /// The DNS names of a server. A certificate without any is for clients only.
    pub dns: Vec<String>,
    /// From when to when it holds.
    pub validity: Validity,
}

/// A development authority: an ECDSA P-256 key and a self-signed certificate.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    key: Zeroizing<String>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its private key, PEM.
#[derive(Debug)]
pub struct Issued {
    certificate: String,
    key: Zeroizing<String>,
}

const AUTHORITY_NAME: &str = "KPR development authority";
const ORGANISATION_IDENTIFIER: [u64; 4] = [2, 5, 4, 97];

impl Authority {
    /// The file with an authority's certificate, in its folder.
    pub const CERTIFICATE: &'static str = "ca.pem";
    /// The file with an authority's private key, in its folder.
    pub const KEY: &'static str = "ca.key";
    /// The file with an authority's revocation list, in its folder.
    pub const REVOKED: &'static str = "ca.crl";

    /// A new authority.
    ///
    /// # Errors
    /// [`PkiError::Validity`], [`PkiError::Certificate`].
    pub fn new(validity: Validity) -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(made)?;
        let mut params = authority_params();
        set_validity(&mut params, validity)?;
        let certificate = params.self_signed(&key).map_err(made)?.pem();
        let pem = Zeroizing::new(key.serialize_pem());
        Ok(Self { certificate, key: pem, issuer: Issuer::new(params, key) })
    }

    /// The authority that [`Self::write`] has put into a folder.
    ///
    /// # Errors
    /// [`PkiError::File`], [`PkiError::Authority`].
    pub fn read(folder: &Path) -> Result<Self, PkiError> {
        let (certificate, key) = (folder.join(Self::CERTIFICATE), folder.join(Self::KEY));
        let certificate = read(&certificate)?.to_string();
        let pem = read(&key)?;
        let key = KeyPair::from_pem(&pem).map_err(|_| PkiError::Authority(folder.to_owned()))?;
        Ok(Self { certificate, key: pem, issuer: Issuer::new(authority_params(), key) })
    }

    /// Writes certificate and key into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`PkiError::File`], also where the folder holds an authority already.
    pub fn write(&self, folder: &Path) -> Result<(), PkiError> {
        std::fs::create_dir_all(folder).map_err(|source| PkiError::File {
            act: "make",
            path: folder.to_owned(),
            source,
        })?;
        write_new(&folder.join(Self::KEY), self.key.as_bytes(), 0o600)?;
        write_new(&folder.join(Self::CERTIFICATE), self.certificate.as_bytes(), 0o644)
    }

    /// Makes a key and a certificate for it. It is for clients, and for servers too if it has DNS names.
    ///
    /// # Errors
    /// [`PkiError::Name`], [`PkiError::Validity`], [`PkiError::Certificate`].
    pub fn issue(&self, request: &CertificateRequest) -> Result<Issued, PkiError> {
        if !super::peer::is_name(&request.name) {
            return Err(PkiError::Name);
        }
        let mut params = CertificateParams::new(request.dns.clone()).map_err(made)?;
        set_validity(&mut params, request.validity)?;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CountryName, "NO");
        subject.push(DnType::CustomDnType(ORGANISATION_IDENTIFIER.to_vec()), request.organisation.as_str());
        subject.push(DnType::OrganizationalUnitName, request.role.as_str());
        subject.push(DnType::CommonName, request.name.as_str());
        params.distinguished_name = subject;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth);
        if !request.dns.is_empty() {
            params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(made)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(made)?.pem();
        Ok(Issued { certificate, key: Zeroizing::new(key.serialize_pem()) })
    }
}

impl Issued {
    /// Writes `<prefix>.pem` and `<prefix>.key` (mode 0600), and says where they are, with `authority`
    /// as the authority whose certificates are accepted of others.
    ///
    /// # Errors
    /// [`PkiError::File`], also where there is a key already.
    pub fn write(&self, prefix: &Path, authority: &Path) -> Result<TlsFiles, PkiError> {
        let file = |ending: &str| {
            let mut path = prefix.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        let files = TlsFiles::new(file(".pem"), file(".key"), authority.to_owned());
        write_new(&files.key, self.key.as_bytes(), 0o600)?;
        write_new(&files.certificate, self.certificate.as_bytes(), 0o644)?;
        Ok(files)
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, AUTHORITY_NAME);
    params.distinguished_name = subject;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn set_validity(params: &mut CertificateParams, validity: Validity) -> Result<(), PkiError> {
    validity.check()?;
    params.not_before = time!(validity.from);
    params.not_after = time!(validity.to);
    Ok(())
}

fn made(error: rcgen::Error) -> PkiError {
    PkiError::Certificate(error.to_string())
}

fn read(path: &Path) -> Result<Zeroizing<String>, PkiError> {
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(|source| PkiError::File {
        act: "read",
        path: path.to_owned(),
        source,
    })
}

/// Writes a file that must not be there yet, with its mode from the first moment.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let file = |source| PkiError::File { act: "write", path: path.to_owned(), source };
    let mut open = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(file)?;
    open.write_all(bytes).map_err(file)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    use super::*;
    use crate::wire::peer;

    fn validity() -> Validity {
        Validity::days(Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap(), 30)
    }

    fn request(name: &str) -> CertificateRequest {
        CertificateRequest {
            organisation: OrganisationId::new("NTRNO-310000035").unwrap(),
            role: Role::Researcher,
            name: name.to_owned(),
            dns: vec![],
            validity: validity(),
        }
    }

    #[test]
    fn a_certificate_names_its_caller_also_from_an_authority_read_back() {
        let folder = tempfile::tempdir().unwrap();
        Authority::new(validity()).unwrap().write(folder.path()).unwrap();
        let issued = Authority::read(folder.path()).unwrap().issue(&request("Kari")).unwrap();
        let der = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let caller = peer::caller(&der).unwrap();
        assert_eq!(caller.organisation().as_str(), "NTRNO-310000035");
        assert_eq!((caller.role(), caller.name()), (Role::Researcher, "Kari"));
    }

    #[test]
    fn the_authority_itself_is_no_caller() {
        let authority = Authority::new(validity()).unwrap();
        let der = CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap();
        assert_eq!(peer::caller(&der).unwrap_err(), peer::PeerError::NotForClients);
    }

    #[test]
    fn a_name_like_an_identity_number_is_refused() {
        let authority = Authority::new(validity()).unwrap();
        assert!(matches!(authority.issue(&request("02813299997")), Err(PkiError::Name)));
        assert!(matches!(authority.issue(&request("")), Err(PkiError::Name)));
    }
}
