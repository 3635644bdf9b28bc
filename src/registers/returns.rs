//! What goes back to the sender of a delivery (3-3): the report on its quality, and for each file the lines that were
//! refused, kept without a person or written in another form, by the sender's own record key.
//!
//! It goes back by the route that the delivery came by, and holds nothing that the sender did not send: no identity
//! number, no person number, and nothing that tells who objects to what. A line that was left out for an objection
//! counts as accepted here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use super::delivery::{Delivery, DeliveryError, Description, FileLayout};
use super::fault::{Fault, FaultKind};
use super::field::{hundredths, whole};
use super::ingest::IngestError;
use super::lines::Lines;
use super::quality::{Contradictions, FileQuality, QualityReport, Share};
use crate::domain::canonical::{CanonicalError, Digest};

/// The report in a return.
pub const REPORT: &str = "report.json";
/// The header of the files in a return.
pub const HEADER: &str = "line;key;outcome;fault;field;value";

/// The report as the sender gets it.
#[derive(Serialize)]
struct SenderReport<'a> {
    delivery: Digest,
    description: &'a Description,
    examined: chrono::DateTime<chrono::Utc>,
    max_bad_share: f64,
    /// Not empty: the delivery is refused, and must be sent anew.
    refused_for: &'a [&'static str],
    files: Vec<SenderFile<'a>>,
}

#[derive(Serialize)]
struct SenderFile<'a> {
    file: &'static str,
    lines: u64,
    accepted: u64,
    without_person: u64,
    unknown_person: u64,
    contradictions: Contradictions,
    faults: BTreeMap<&'static str, u64>,
    /// How many of the faults are in the file of the same name.
    listed: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    municipalities: &'a BTreeMap<String, Share>,
}

impl<'a> SenderFile<'a> {
    fn of(file: &'a FileQuality) -> Self {
        Self {
            file: file.file,
            lines: file.lines,
            accepted: file.lines.saturating_sub(file.bad()),
            without_person: file.without_person,
            unknown_person: file.unknown_person,
            contradictions: file.contradictions,
            faults: file.faults.counts().iter().map(|(kind, count)| (kind.as_str(), *count)).collect(),
            listed: file.faults.noted().len(),
            municipalities: &file.municipalities,
        }
    }
}

/// Writes the return of a delivery as a folder named by its digest in `returns`, in place of an earlier one.
///
/// # Errors
/// [`IngestError`]; there is no new return then.
pub(super) fn write(delivery: &Delivery, quality: &QualityReport, returns: &Path) -> Result<(), IngestError> {
    let failed = |e: io::Error| IngestError::io("the folder of returns", &e);
    let name = quality.delivery.to_string();
    let (folder, unfinished) = (returns.join(&name), returns.join(format!("{name}.unfinished")));
    remove(&unfinished).map_err(failed)?;
    std::fs::create_dir_all(&unfinished).map_err(failed)?;
    let report = SenderReport {
        delivery: quality.delivery,
        description: &quality.description,
        examined: quality.examined,
        max_bad_share: quality.max_bad_share,
        refused_for: &quality.refused_for,
        files: quality.files.iter().map(SenderFile::of).collect(),
    };
    let report =
        serde_json::to_vec_pretty(&report).map_err(|_| CanonicalError::NotEncodable("report to a sender"))?;
    std::fs::write(unfinished.join(REPORT), report).map_err(failed)?;
    let content = quality.description.layout.content();
    for file in &quality.files {
        let mut out = BufWriter::new(File::create(unfinished.join(file.file)).map_err(failed)?);
        writeln!(out, "{HEADER}").map_err(failed)?;
        match content.iter().find(|(layout, _)| layout.name == file.file) {
            Some((layout, _)) => rows(delivery, *layout, file, &mut out)?,
            // The identity file is not looked into here.
            None => {
                for fault in file.faults.noted() {
                    row(&mut out, fault.line, None, Some(fault.kind), None).map_err(failed)?;
                }
            }
        }
        out.into_inner().map_err(|e| failed(e.into_error()))?.sync_all().map_err(failed)?;
    }
    remove(&folder).map_err(failed)?;
    std::fs::rename(&unfinished, &folder).map_err(failed)
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Writes the rows of one content file, by reading it once more.
fn rows(
    delivery: &Delivery,
    layout: FileLayout,
    file: &FileQuality,
    out: &mut impl Write,
) -> Result<(), IngestError> {
    let unread = |e: io::Error| DeliveryError::Read { file: layout.name, kind: e.kind() };
    let failed = |e: io::Error| IngestError::io("the folder of returns", &e);
    let noted = file.faults.noted();
    let all = noted.len() as u64 == file.faults.counts().values().sum::<u64>();
    let mut faults = noted.into_iter().peekable();
    let mut lines = Lines::open(&delivery.path(layout)).map_err(unread)?;
    while let Some((number, line)) = lines.next().map_err(unread)? {
        let line = line.unwrap_or_default();
        let key = line.split(|b| *b == b';').next().and_then(key);
        let mut refused = false;
        while let Some(Fault { kind, .. }) = faults.next_if(|fault| fault.line <= number) {
            refused |= kind != FaultKind::UnknownPerson;
            row(out, number, key, Some(kind), None).map_err(failed)?;
        }
        if faults.peek().is_none() && !all {
            // What lies beyond the faults that were noted may be faulty too.
            return Ok(());
        }
        if !refused {
            for (field, value) in normalised(layout, line) {
                row(out, number, key, None, Some((field, &value))).map_err(failed)?;
            }
        }
    }
    if delivery.expected(layout) != Some(lines.finish()) {
        return Err(DeliveryError::Changed(layout.name).into());
    }
    Ok(())
}

/// The sender's own record key. Eleven digits and more may be an identity number in the wrong column: it is not written.
fn key(field: &[u8]) -> Option<u64> {
    whole(field).ok().filter(|_| field.len() < 11)
}

/// Writes one row: a fault, or a field and its value as the register has it.
fn row(
    out: &mut impl Write,
    line: u64,
    key: Option<u64>,
    fault: Option<FaultKind>,
    kept: Option<(&str, &str)>,
) -> io::Result<()> {
    let key = key.map(|key| key.to_string()).unwrap_or_default();
    let outcome = match fault {
        None => "normalised",
        Some(FaultKind::UnknownPerson) => "kept_without_person",
        Some(_) => "refused",
    };
    let (field, value) = kept.unwrap_or_default();
    writeln!(out, "{line};{key};{outcome};{};{field};{value}", fault.map_or("", FaultKind::as_str))
}

/// The fields of a file that are read in more forms than the one they are described in, by position: amounts in kroner
/// and hours a week.
fn decimals(file: &str) -> &'static [usize] {
    match file {
        "ENKELTREGNING.csv" => &[11, 12],
        "TJENESTE.csv" => &[5],
        _ => &[],
    }
}

/// The fields of an accepted line that have another form in the register than in the delivery.
fn normalised(layout: FileLayout, line: &[u8]) -> Vec<(&'static str, String)> {
    let names = || layout.header.split(';');
    let changed = |place: &usize| {
        let sent = line.split(|b| *b == b';').nth(*place)?;
        let n = hundredths(sent, u32::MAX).ok()?;
        // Hours have one decimal, unless more was sent.
        let kept = if layout.name == "TJENESTE.csv" && n.is_multiple_of(10) {
            format!("{}.{}", n / 100, n / 10 % 10)
        } else {
            format!("{}.{:02}", n / 100, n % 100)
        };
        (kept.as_bytes() != sent).then_some((names().nth(*place)?, kept))
    };
    decimals(layout.name).iter().filter_map(changed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registers::delivery::Layout;

    #[test]
    fn another_form_of_the_same_number_is_told_as_the_register_has_it() {
        let [(contact, _), (diagnosis, _), _] = Layout::Kuhr.content() else { panic!("three files") };
        let [(service, _), _] = Layout::Iplos.content() else { panic!("two files") };
        let line = |fee: &str, refund: &str| format!("1;2;2024-01-01;;;;;;1;3;;{fee};{refund}").into_bytes();
        let of = |fee, refund| normalised(*contact, &line(fee, refund));
        assert!(of("179.00", "").is_empty());
        let changed =
            [("egenandelPasient", "12.50".to_owned()), ("refusjonUtbetaltBelop", "7.00".to_owned())];
        assert_eq!(of("12,5", "7"), changed);
        assert_eq!(of("12.50", "007.00"), [("refusjonUtbetaltBelop", "7.00".to_owned())]);
        assert!(normalised(*diagnosis, b"1;P76;ICPC-2;1;1").is_empty());
        let hours = |hours: &str| normalised(*service, format!("1;0301;1;2024-01-01;;{hours}").as_bytes());
        assert!(hours("7.5").is_empty() && hours("7.25").is_empty() && hours("").is_empty());
        assert_eq!(hours("7,25"), [("timer", "7.25".to_owned())]);
        assert_eq!(hours("7"), [("timer", "7.0".to_owned())]);
    }
}
