//! The development authority's revocation list. The list itself is the only record of what is revoked.

use std::path::Path;

use chrono::{DateTime, Utc};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use super::{Authority, PkiError, Validity, made, read, time};

/// What an authority has revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationList {
    number: u64,
    revoked: Vec<Revoked>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Revoked {
    serial: Vec<u8>,
    at: DateTime<Utc>,
}

impl RevocationList {
    /// The list in an authority's folder.
    ///
    /// # Errors
    /// [`PkiError::File`], [`PkiError::RevocationList`].
    pub fn read(folder: &Path) -> Result<Self, PkiError> {
        let wrong = || PkiError::RevocationList(folder.to_owned());
        let pem = read(&folder.join(Authority::REVOKED))?;
        let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong())?;
        let (_, list) = CertificateRevocationList::from_der(&der).map_err(|_| wrong())?;
        let number = list.crl_number().and_then(|number| u64::try_from(number).ok()).ok_or_else(wrong)?;
        let revoked = list.iter_revoked_certificates().map(|one| {
            let at = DateTime::from_timestamp(one.revocation_date.timestamp(), 0).ok_or_else(wrong)?;
            Ok::<_, PkiError>(Revoked { serial: one.raw_serial().to_vec(), at })
        });
        Ok(Self { number, revoked: revoked.collect::<Result<_, _>>()? })
    }

    /// Adds a certificate, as of `now`. Whether it was not revoked before.
    ///
    /// # Errors
    /// [`PkiError::File`], [`PkiError::NotIssued`] if it is not a certificate of this authority.
    pub fn revoke(
        &mut self,
        authority: &Authority,
        certificate: &Path,
        now: DateTime<Utc>,
    ) -> Result<bool, PkiError> {
        let wrong = || PkiError::NotIssued(certificate.to_owned());
        let parse = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong());
        let (leaf, root) = (parse(&read(certificate)?)?, parse(&authority.certificate)?);
        let (_, leaf) = X509Certificate::from_der(&leaf).map_err(|_| wrong())?;
        let (_, root) = X509Certificate::from_der(&root).map_err(|_| wrong())?;
        leaf.verify_signature(Some(root.public_key())).map_err(|_| wrong())?;
        let serial = leaf.raw_serial().to_vec();
        if self.revoked.iter().any(|one| one.serial == serial) {
            return Ok(false);
        }
        self.revoked.push(Revoked { serial, at: now });
        Ok(true)
    }

    /// Signs the list under the next number and puts it into the authority's folder, in place of the one before it. Who
    /// reads it refuses everybody once its validity has ended.
    ///
    /// # Errors
    /// [`PkiError`].
    pub fn write(
        &mut self,
        authority: &Authority,
        folder: &Path,
        validity: Validity,
    ) -> Result<(), PkiError> {
        validity.check()?;
        let revoked = self.revoked.iter().map(|one| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&one.serial),
                revocation_time: time!(one.at),
                reason_code: None,
                invalidity_date: None,
            })
        });
        let number = self.number + 1;
        let params = CertificateRevocationListParams {
            this_update: time!(validity.from),
            next_update: time!(validity.to),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect::<Result<_, PkiError>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = params.signed_by(&authority.issuer).and_then(|list| list.pem()).map_err(made)?;
        let path = folder.join(Authority::REVOKED);
        let failed = |source| PkiError::File { act: "write", path: path.clone(), source };
        // Whoever watches the file sees the old list or the new one, never half of it.
        let mut new = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        std::io::Write::write_all(&mut new, pem.as_bytes()).map_err(failed)?;
        new.as_file().sync_all().map_err(failed)?;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        new.as_file().set_permissions(readable).map_err(failed)?;
        new.persist(&path).map_err(|e| failed(e.error))?;
        self.number = number;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;
    use crate::authorise::Role;
    use crate::domain::ids::OrganisationId;
    use crate::wire::pki::CertificateRequest;

    #[test]
    fn a_list_reads_back_and_takes_only_certificates_of_its_authority() {
        let now = Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap();
        let validity = Validity::days(now, 30);
        let folder = tempfile::tempdir().unwrap();
        let issue = |authority: &Authority, file: &str| {
            let request = CertificateRequest {
                organisation: OrganisationId::new("NTRNO-310000035").unwrap(),
                role: Role::Researcher,
                name: file.to_owned(),
                dns: vec![],
                validity,
            };
            let issued = authority.issue(&request).unwrap();
            issued.write(&folder.path().join(file), Path::new("ca.pem")).unwrap().certificate
        };
        let authority = Authority::new(validity).unwrap();
        let (kari, ola) = (issue(&authority, "kari"), issue(&authority, "ola"));
        let foreign = issue(&Authority::new(validity).unwrap(), "foreign");

        let mut list = RevocationList::default();
        assert!(list.revoke(&authority, &kari, now).unwrap());
        list.write(&authority, folder.path(), validity).unwrap();
        let mut list = RevocationList::read(folder.path()).unwrap();
        assert!(!list.revoke(&authority, &kari, now).unwrap(), "it is revoked already");
        assert!(list.revoke(&authority, &ola, now).unwrap());
        assert!(matches!(list.revoke(&authority, &foreign, now), Err(PkiError::NotIssued(_))));
        list.write(&authority, folder.path(), validity).unwrap();
        assert_eq!(RevocationList::read(folder.path()).unwrap(), list);
        assert_eq!((list.number, list.revoked.len()), (2, 2));
    }
}
