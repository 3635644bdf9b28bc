//! TLS files that may be replaced while the process runs.
//!
//! Before each handshake and each call the files are looked at. If one has changed, all are read again and count from then on:
//! certificate, key, authorities and revocation lists together, or none of them if one cannot be used. Connections that
//! are open go on; who calls over them is checked at each call by what counts then.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::tls::{self, TlsError};
use crate::authorise::Caller;
use crate::config::TlsFiles;
use crate::domain::canonical::Digest;

/// The most replacements that are remembered until they are told.
pub const MOST_REPLACED: usize = 64;

/// What `T` was made of files that may be replaced. Clones share what they hold.
#[derive(Debug)]
pub struct Watched<T>(Arc<Inner<T>>);

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Inner<T> {
    files: TlsFiles,
    make: fn(&TlsFiles) -> Result<T, TlsError>,
    /// Whom the certificate names, which no replacement may change; none for a certificate that names nobody.
    whose: Option<Caller>,
    held: Mutex<Held<T>>,
}

#[derive(Debug)]
struct Held<T> {
    stamps: Vec<Option<Stamp>>,
    now: T,
    digest: Digest,
    /// Digests of what was replaced and is not told yet.
    replaced: Vec<Digest>,
}

/// What tells a file from the one that was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl<T: Clone> Watched<T> {
    /// Reads the files a first time.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(files: &TlsFiles, make: fn(&TlsFiles) -> Result<T, TlsError>) -> Result<Self, TlsError> {
        let stamps = stamps(files);
        let held = Held { stamps, now: make(files)?, digest: digest(files)?, replaced: Vec::new() };
        let whose = tls::own_caller(files).ok();
        Ok(Self(Arc::new(Inner { files: files.clone(), make, whose, held: Mutex::new(held) })))
    }

    /// What the files hold now, or held before if they cannot be used now.
    #[must_use]
    pub fn now(&self) -> T {
        self.look(|held| held.now.clone())
    }

    /// What has come into force since this was last asked: digests of all certificates and revocation lists, under the
    /// label `kpr/tls/v1`. [`MOST_REPLACED`] are remembered, the latest among them.
    #[must_use]
    pub fn replaced(&self) -> Vec<Digest> {
        self.look(|held| std::mem::take(&mut held.replaced))
    }

    fn look<R>(&self, give: impl FnOnce(&mut Held<T>) -> R) -> R {
        let Inner { files, held, .. } = &*self.0;
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(files);
        if stamps != held.stamps {
            held.stamps = stamps;
            match self.read() {
                Ok((now, digest)) => {
                    if digest != held.digest {
                        held.replaced.truncate(MOST_REPLACED - 1);
                        held.replaced.push(digest);
                    }
                    (held.now, held.digest) = (now, digest);
                    tracing::info!(certificate = %files.certificate.display(), "other TLS files count now");
                }
                Err(error) => tracing::error!(%error, "the TLS files stay as they were"),
            }
        }
        give(&mut held)
    }

    fn read(&self) -> Result<(T, Digest), TlsError> {
        let Inner { files, make, whose, .. } = &*self.0;
        let now = make(files)?;
        if tls::own_caller(files).ok() != *whose {
            return Err(TlsError::OtherCaller(files.certificate.clone()));
        }
        Ok((now, digest(files)?))
    }
}

/// All files: the key first, then what is no secret.
fn paths(files: &TlsFiles) -> impl Iterator<Item = &Path> {
    let enterprise = files.enterprise.as_ref().map(|enterprise| &enterprise.authority);
    let named = [&files.key, &files.certificate, &files.authority];
    named.into_iter().chain(&files.revocation).chain(enterprise).map(AsRef::as_ref)
}

fn stamps(files: &TlsFiles) -> Vec<Option<Stamp>> {
    let stamp = |path| {
        let of = std::fs::metadata(path).ok()?;
        Some(Stamp {
            device: of.dev(),
            inode: of.ino(),
            size: of.size(),
            modified: (of.mtime(), of.mtime_nsec()),
            changed: (of.ctime(), of.ctime_nsec()),
        })
    };
    paths(files).map(stamp).collect()
}

fn digest(files: &TlsFiles) -> Result<Digest, TlsError> {
    let mut each = Vec::new();
    for path in paths(files).skip(1) {
        each.extend_from_slice(Digest::of_bytes("kpr/tls/v1", &tls::read(path)?).as_bytes());
    }
    Ok(Digest::of_bytes("kpr/tls/v1", &each))
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};

    use super::*;
    use crate::authorise::Role;
    use crate::domain::ids::OrganisationId;
    use crate::wire::pki::{Authority, CertificateRequest, Validity};

    struct Files {
        folder: tempfile::TempDir,
        authority: Authority,
        files: TlsFiles,
        written: std::cell::Cell<u32>,
    }

    fn validity() -> Validity {
        Validity::days(Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap(), 30)
    }

    impl Files {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let authority = Authority::new(validity()).unwrap();
            authority.write(folder.path()).unwrap();
            let path = |name: &str| folder.path().join(name);
            let files = TlsFiles::new(path("a.pem"), path("a.key"), path(Authority::CERTIFICATE));
            let new = Self { folder, authority, files, written: std::cell::Cell::new(0) };
            new.replace("gateway");
            new
        }

        /// Another certificate with another key, of this name.
        fn replace(&self, name: &str) {
            let request = CertificateRequest {
                organisation: OrganisationId::new("NTRNO-310000019").unwrap(),
                role: Role::Gateway,
                name: name.to_owned(),
                dns: vec!["localhost".to_owned()],
                validity: validity(),
            };
            self.written.set(self.written.get() + 1);
            let prefix = self.folder.path().join(format!("new-{}", self.written.get()));
            let new = self.authority.issue(&request).unwrap().write(&prefix, &self.files.authority).unwrap();
            std::fs::rename(new.key, &self.files.key).unwrap();
            std::fs::rename(new.certificate, &self.files.certificate).unwrap();
        }
    }

    #[test]
    fn replaced_files_count_and_files_that_cannot_be_used_do_not() {
        let files = Files::new();
        let watched = Watched::open(&files.files, tls::server_config).unwrap();
        let first = watched.now();
        assert!(Arc::ptr_eq(&first.config, &watched.now().config), "nothing has changed");

        files.replace("gateway");
        let second = watched.now();
        assert!(!Arc::ptr_eq(&first.config, &second.config));
        assert_eq!(watched.replaced().len(), 1);

        // A key that is not the certificate's, a certificate of another caller, no certificate at all.
        let good = std::fs::read(&files.files.certificate).unwrap();
        let key = std::fs::read(&files.files.key).unwrap();
        files.replace("gateway");
        std::fs::write(&files.files.certificate, &good).unwrap();
        assert!(Arc::ptr_eq(&second.config, &watched.now().config));
        files.replace("another");
        assert!(Arc::ptr_eq(&second.config, &watched.now().config));
        std::fs::remove_file(&files.files.certificate).unwrap();
        assert!(Arc::ptr_eq(&second.config, &watched.now().config));
        assert_eq!(watched.replaced(), []);

        std::fs::write(&files.files.certificate, good).unwrap();
        std::fs::write(&files.files.key, key).unwrap();
        assert!(!Arc::ptr_eq(&second.config, &watched.now().config));
        assert_eq!(watched.replaced(), [], "the same certificates again");
    }
}
