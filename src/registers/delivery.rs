//! A delivery: a folder with `delivery.toml` and the files of its layout, each `;` separated with a
//! header line. Its digest covers every byte of them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::hash::Hasher;
use super::intake::IdentityLayout;
use crate::domain::canonical::{Canonical, CanonicalError, Digest};
use crate::domain::ids::RegisterId;
use crate::domain::period::Period;

/// The file that describes a delivery.
pub const DESCRIPTION: &str = "delivery.toml";

/// Why a delivery cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// A file is missing or cannot be read.
    #[error("{file} of the delivery cannot be read: {kind}")]
    Read {
        /// The file's name in the delivery.
        file: &'static str,
        /// The system's word.
        kind: std::io::ErrorKind,
    },
    /// `delivery.toml` is not a description of a delivery.
    #[error("delivery.toml is not accepted: {0}")]
    Description(String),
    /// A file has another header than its layout.
    #[error("{file} must begin with the header line {expected}")]
    Header {
        /// The file's name in the delivery.
        file: &'static str,
        /// The header of its layout.
        expected: &'static str,
    },
    /// A file changed while it was read.
    #[error("{0} changed while it was read")]
    Changed(&'static str),
    /// No digest can be made.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// The layouts of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// The population register: persons, residences, identifiers. Whole at every delivery.
    Folkeregisteret,
    /// Contacts with primary health care of one year, with diagnoses and takster.
    Kuhr,
    /// Municipal care services and function scores of one year.
    Iplos,
    /// Episodes of specialist care, loaded by the partner's own register node.
    Npr,
    /// Patient-reported outcomes and experiences.
    Prom,
    /// Objections to the registration of health data, all that were ever made.
    Reservasjon,
}

/// A content file of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLayout {
    /// Its name.
    pub name: &'static str,
    /// Its header line.
    pub header: &'static str,
}

impl Layout {
    /// The layout's name, as `delivery.toml` writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Folkeregisteret => "folkeregisteret",
            Self::Kuhr => "kuhr",
            Self::Iplos => "iplos",
            Self::Npr => "npr",
            Self::Prom => "prom",
            Self::Reservasjon => "reservasjon",
        }
    }

    /// The register such a delivery belongs to.
    #[must_use]
    pub const fn register(self) -> &'static str {
        match self {
            Self::Folkeregisteret => "FREG",
            Self::Kuhr | Self::Iplos | Self::Prom | Self::Reservasjon => "KPR",
            Self::Npr => "NPR",
        }
    }

    /// The identity file and how it is laid out.
    #[must_use]
    pub const fn identity(self) -> (FileLayout, IdentityLayout) {
        match self {
            Self::Folkeregisteret => (
                FileLayout { name: "identitet.csv", header: "lnr;identifikator;type;gyldigFra;gyldigTil" },
                IdentityLayout::Population,
            ),
            Self::Kuhr | Self::Iplos | Self::Prom | Self::Reservasjon => {
                (FileLayout { name: "KPR_IDE.csv", header: "kpr_lnr;fnr" }, IdentityLayout::Serial)
            }
            Self::Npr => (FileLayout { name: "NPR_IDE.csv", header: "npr_lnr;fnr" }, IdentityLayout::Serial),
        }
    }

    /// The content files, and the dataset that each becomes.
    #[must_use]
    pub const fn content(self) -> &'static [(FileLayout, &'static str)] {
        match self {
            Self::Folkeregisteret => &[
                (
                    FileLayout {
                        name: "person.csv",
                        header: "lnr;kjonn;fodselsdato;doedsdato;utvandringsdato",
                    },
                    "population",
                ),
                (FileLayout { name: "bosted.csv", header: "lnr;kommuneNr;fra;til" }, "residence"),
            ],
            Self::Kuhr => &[
                (
                    FileLayout {
                        name: "ENKELTREGNING.csv",
                        header: "enkeltregning_lnr;kpr_lnr;dato;klokkeslett;kjonn;fodselsar;kommuneNr;bydel;\
                                 tjenestetype;kontakttypeId;fritakskode;egenandelPasient;refusjonUtbetaltBelop",
                    },
                    "kuhr_contact",
                ),
                (
                    FileLayout {
                        name: "DIAGNOSE.csv",
                        header: "enkeltregning_lnr;diagnoseKode;diagnosetabell;erHoveddiagnose;kodeNr",
                    },
                    "kuhr_diagnosis",
                ),
                (
                    FileLayout { name: "TAKST.csv", header: "enkeltregning_lnr;takstKode;antall" },
                    "kuhr_takst",
                ),
            ],
            Self::Iplos => &[
                (
                    FileLayout { name: "TJENESTE.csv", header: "kpr_lnr;kommuneNr;tjeneste;fra;til;timer" },
                    "iplos_service",
                ),
                (
                    FileLayout {
                        name: "FUNKSJON.csv",
                        header: "kpr_lnr;kommuneNr;dato;f01;f02;f03;f04;f05;f06;f07;f08;f09;f10;f11;f12;\
                                 f13;f14;f15;f16;f17;f18;f19;f20",
                    },
                    "iplos_function",
                ),
            ],
            Self::Npr => &[],
            Self::Prom => &[(
                FileLayout {
                    name: "SVAR.csv",
                    header: "svar_lnr;kpr_lnr;dato;type;skjema;sporsmal;verdi;tjenestetype;kommuneNr",
                },
                "prom_answer",
            )],
            Self::Reservasjon => {
                &[(FileLayout { name: "RESERVASJON.csv", header: "kpr_lnr;fra;til" }, "objection")]
            }
        }
    }

    /// Whether each delivery holds the whole register, so that the latest replaces every earlier one.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Folkeregisteret | Self::Reservasjon)
    }

    /// The share of bad lines that is tolerated at most. A line of an objection that is lost would register what somebody
    /// objected to.
    pub(super) const fn tolerates(self) -> f64 {
        match self {
            Self::Reservasjon => 0.0,
            Self::Folkeregisteret | Self::Kuhr | Self::Iplos | Self::Npr | Self::Prom => 1.0,
        }
    }

    /// The first day of which this kind of data exists.
    const fn begins(self) -> Option<NaiveDate> {
        match self {
            Self::Folkeregisteret | Self::Npr | Self::Prom | Self::Reservasjon => None,
            Self::Kuhr => NaiveDate::from_ymd_opt(2016, 7, 1),
            Self::Iplos => NaiveDate::from_ymd_opt(2017, 1, 1),
        }
    }
}

/// What `delivery.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The register it belongs to.
    pub register: RegisterId,
    /// Who sent it.
    pub sender: String,
    /// The days it covers.
    pub period: Period,
    /// The day it was made.
    pub created: NaiveDate,
    /// The layout of its files.
    pub layout: Layout,
}

impl Description {
    fn check(&self) -> Result<(), String> {
        if self.layout == Layout::Npr {
            return Err(
                "the layout npr is not taken in here: the partner loads it with `kpr register load`".into()
            );
        }
        if self.register.as_str() != self.layout.register() {
            return Err(format!(
                "a delivery of layout {} belongs to register {}",
                self.layout.as_str(),
                self.layout.register()
            ));
        }
        let digits = self.sender.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 11);
        let chars = self.sender.chars().count();
        if !(1..=100).contains(&chars) || digits || self.sender.chars().any(char::is_control) {
            return Err("the sender must be 1-100 printable characters with no run of eleven digits".into());
        }
        if self.created < self.period.to() && !self.layout.is_whole() {
            return Err("a delivery cannot be made before the period it covers has ended".into());
        }
        if self.layout.begins().is_some_and(|day| self.period.from() < day) {
            return Err(format!("the period begins before data of layout {} exist", self.layout.as_str()));
        }
        Ok(())
    }
}

/// One file of a delivery, as the digest covers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    name: String,
    bytes: u64,
    digest: Digest,
}

/// All files of a delivery; its digest is the delivery's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileList {
    files: Vec<FileEntry>,
}

impl Canonical for FileList {
    const LABEL: &'static str = "kpr/delivery/v1";
}

/// The label under which the digest of one file of a delivery is made.
pub(super) const FILE_LABEL: &str = "kpr/delivery/file/v1";

/// A delivery whose description and headers are in order and whose digest is known.
#[derive(Debug, Clone)]
pub struct Delivery {
    folder: PathBuf,
    description: Description,
    files: FileList,
    digest: Digest,
}

impl Delivery {
    /// Opens the delivery in `folder`: reads its description, checks every header and takes the digest
    /// of every file. `read` is told the number of bytes of each piece read.
    ///
    /// # Errors
    /// [`DeliveryError`].
    pub fn open(folder: &Path, read: &dyn Fn(u64)) -> Result<Self, DeliveryError> {
        let failed = |e: std::io::Error| DeliveryError::Read { file: DESCRIPTION, kind: e.kind() };
        let text = std::fs::read(folder.join(DESCRIPTION)).map_err(failed)?;
        let description: Description = std::str::from_utf8(&text)
            .map_err(|_| DeliveryError::Description("it is not UTF-8".into()))
            .and_then(|text| {
                toml::from_str(text).map_err(|e| DeliveryError::Description(e.message().to_owned()))
            })?;
        description.check().map_err(DeliveryError::Description)?;

        let mut hasher = Hasher::new(FILE_LABEL);
        hasher.update(&text);
        let mut files =
            vec![FileEntry { name: DESCRIPTION.into(), bytes: text.len() as u64, digest: hasher.finish() }];
        let (identity, _) = description.layout.identity();
        let content = description.layout.content().iter().map(|(file, _)| *file);
        for file in std::iter::once(identity).chain(content) {
            let (bytes, digest) = examine(folder, file, read)?;
            files.push(FileEntry { name: file.name.into(), bytes, digest });
        }
        let files = FileList { files };
        let digest = files.digest()?;
        Ok(Self { folder: folder.to_owned(), description, files, digest })
    }

    /// What its description says.
    #[must_use]
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// The digest over all its files.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Where one of its files lies.
    #[must_use]
    pub fn path(&self, file: FileLayout) -> PathBuf {
        self.folder.join(file.name)
    }

    /// The length in bytes and the digest of one of its files.
    #[must_use]
    pub(super) fn expected(&self, file: FileLayout) -> Option<(u64, Digest)> {
        self.files.files.iter().find(|f| f.name == file.name).map(|f| (f.bytes, f.digest))
    }

    /// The length of all its files in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.files.iter().map(|f| f.bytes).sum()
    }
}

/// Checks the header of one file and takes its length and digest.
fn examine(folder: &Path, layout: FileLayout, read: &dyn Fn(u64)) -> Result<(u64, Digest), DeliveryError> {
    let failed = |e: std::io::Error| DeliveryError::Read { file: layout.name, kind: e.kind() };
    let mut file = File::open(folder.join(layout.name)).map_err(failed)?;
    let mut hasher = Hasher::new(FILE_LABEL);
    let mut head = vec![0; layout.header.len() + 1];
    let header = DeliveryError::Header { file: layout.name, expected: layout.header };
    match file.read_exact(&mut head) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Err(header),
        Err(e) => return Err(failed(e)),
    }
    if head.strip_suffix(b"\n") != Some(layout.header.as_bytes()) {
        return Err(header);
    }
    hasher.update(&head);
    let mut bytes = head.len() as u64;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = file.read(&mut buffer).map_err(failed)?;
        if n == 0 {
            return Ok((bytes, hasher.finish()));
        }
        hasher.update(buffer.get(..n).unwrap_or_default());
        bytes += n as u64;
        read(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iplos(dir: &Path) {
        let description = "register = \"KPR\"\nsender = \"Helsedirektoratet\"\ncreated = \"2025-02-01\"\n\
                           layout = \"iplos\"\n[period]\nfrom = \"2024-01-01\"\nto = \"2024-12-31\"\n";
        std::fs::write(dir.join(DESCRIPTION), description).unwrap();
        for (file, _) in Layout::Iplos.content() {
            std::fs::write(dir.join(file.name), format!("{}\n", file.header)).unwrap();
        }
        std::fs::write(dir.join("KPR_IDE.csv"), "kpr_lnr;fnr\n").unwrap();
    }

    #[test]
    fn every_byte_of_every_file_is_in_the_digest() {
        let dir = tempfile::tempdir().unwrap();
        iplos(dir.path());
        let open = || Delivery::open(dir.path(), &|_| ()).unwrap().digest();
        let first = open();
        assert_eq!(first, open());
        let mut seen = vec![first];
        for name in [DESCRIPTION, "TJENESTE.csv", "FUNKSJON.csv", "KPR_IDE.csv"] {
            let mut text = std::fs::read(dir.path().join(name)).unwrap();
            text.push(b'\n');
            std::fs::write(dir.path().join(name), text).unwrap();
            let digest = open();
            assert!(!seen.contains(&digest), "{name} is not in the digest");
            seen.push(digest);
        }
    }

    #[test]
    fn a_delivery_that_is_not_in_order_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Delivery::open(dir.path(), &|_| ()).unwrap_err().to_string();
        let path = |name: &str| dir.path().join(name);
        let describe = |from: &str, to: &str| {
            iplos(dir.path());
            let text = std::fs::read_to_string(path(DESCRIPTION)).unwrap();
            assert!(text.contains(from));
            std::fs::write(path(DESCRIPTION), text.replace(from, to)).unwrap();
        };

        assert!(open().starts_with("delivery.toml of the delivery cannot be read"));
        describe("\"KPR\"", "\"FREG\"");
        assert!(open().contains("belongs to register KPR"));
        describe("\"iplos\"", "\"npr\"");
        assert!(open().contains("kpr register load"));
        describe("2025-02-01", "2024-02-01");
        assert!(open().contains("before the period it covers has ended"));
        describe("2024-01-01", "2016-01-01");
        assert!(open().contains("before data of layout iplos exist"));
        describe("Helsedirektoratet", "02813299997");
        assert!(!open().contains("02813299997"));
        describe("created", "made");
        assert!(open().contains("unknown field"));

        iplos(dir.path());
        std::fs::remove_file(path("FUNKSJON.csv")).unwrap();
        assert!(open().starts_with("FUNKSJON.csv of the delivery cannot be read"));
        for header in ["kpr_lnr,fnr\n", "kpr_lnr;fnr", "kpr_lnr;fnr\r\n", "\u{feff}kpr_lnr;fnr\n", ""] {
            iplos(dir.path());
            std::fs::write(path("KPR_IDE.csv"), header).unwrap();
            assert_eq!(open(), "KPR_IDE.csv must begin with the header line kpr_lnr;fnr");
        }
    }
}
