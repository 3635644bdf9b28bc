//! A register in a few rows, written as a snapshot, for tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, StringArray, UInt8Array, UInt32Array, UInt64Array};
use arrow::datatypes::Date32Type;
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::authorise::fixtures::period;
use crate::domain::canonical::{Canonical, Digest};
use crate::registers::Snapshot;
use crate::registers::delivery::{Description, Layout};
use crate::registers::snapshot::{Manifest, Part, Taken};

/// A person of the population: number, sex, date of birth.
pub(crate) type Person = (u32, u8, NaiveDate);
/// A residence: number, municipality, first day, last day.
pub(crate) type Home = (u32, &'static str, NaiveDate, Option<NaiveDate>);
/// A contact: number, date, type of service, type of contact.
pub(crate) type Contact = (Option<u32>, NaiveDate, u8, u8);

/// What a snapshot is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) population: Vec<Person>,
    pub(crate) homes: Vec<Home>,
    pub(crate) contacts: Vec<Contact>,
}

fn days(dates: impl Iterator<Item = Option<NaiveDate>>) -> ArrayRef {
    Arc::new(dates.map(|d| d.map(Date32Type::from_naive_date)).collect::<Date32Array>())
}

fn write(folder: &Path, name: &str, columns: Vec<(&str, ArrayRef)>) -> Part {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    // Small row groups, so that a file is more than one.
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(16)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    let file = Digest::of_bytes(name, &bytes);
    std::fs::write(folder.join(format!("{file}.parquet")), &bytes).unwrap();
    let delivery = Digest::of_bytes("kpr/test", name.as_bytes());
    let (bytes, rows) = (bytes.len() as u64, batch.num_rows() as u64);
    Part { file, delivery, bytes, rows, first: None, last: None }
}

/// What was paid for a contact, in øre; every seventh day of a month it is not known.
pub(super) fn refund((_, date, ..): &Contact) -> Option<i64> {
    let day = chrono::Datelike::day(date);
    (day % 7 > 0).then_some(1000 * i64::from(day))
}

fn contacts(folder: &Path, rows: &[Contact]) -> Part {
    let number = rows.iter().zip(0_u64..).map(|(_, n)| n);
    write(
        folder,
        "kuhr_contact",
        vec![
            ("person_no", Arc::new(rows.iter().map(|r| r.0).collect::<UInt32Array>())),
            ("dato", days(rows.iter().map(|r| Some(r.1)))),
            ("contact_no", Arc::new(UInt64Array::from_iter_values(number))),
            ("tjenestetype", Arc::new(UInt8Array::from_iter_values(rows.iter().map(|r| r.2)))),
            ("kontakttype", Arc::new(UInt8Array::from_iter_values(rows.iter().map(|r| r.3)))),
            ("refusjon_ore", Arc::new(rows.iter().map(refund).collect::<Int64Array>())),
        ],
    )
}

impl World {
    /// Writes it as the current snapshot of the register in `folder`, contacts in one part a year, and
    /// says that contacts are delivered for these years.
    pub(crate) fn snapshot(&self, folder: &Path, years: std::ops::RangeInclusive<i32>) -> Snapshot {
        let mut sorted = self.clone();
        sorted.population.sort();
        sorted.homes.sort_by_key(|h| (h.0, h.2));
        sorted.contacts.sort_by_key(|c| (c.0.unwrap_or(u32::MAX), c.1));
        let parts: PathBuf = folder.join("parts");
        std::fs::create_dir_all(&parts).unwrap();
        std::fs::create_dir_all(folder.join("snapshots")).unwrap();

        let mut manifest = Manifest::default();
        for year in years {
            manifest.deliveries.push(Taken {
                digest: Digest::of_bytes("kpr/test", &year.to_be_bytes()),
                description: Description {
                    register: "KPR".to_owned().try_into().unwrap(),
                    sender: "Helfo".to_owned(),
                    period: period(&format!("{year}-01-01"), &format!("{year}-12-31")),
                    created: NaiveDate::from_ymd_opt(year + 1, 2, 1).unwrap(),
                    layout: Layout::Kuhr,
                },
                replaced_by: None,
            });
            let of_year = |c: &&Contact| chrono::Datelike::year(&c.1) == year;
            let rows: Vec<Contact> = sorted.contacts.iter().filter(of_year).copied().collect();
            let part = contacts(&parts, &rows);
            manifest.datasets.entry("kuhr_contact".to_owned()).or_default().push(part);
        }
        let people = &sorted.population;
        let population = write(
            &parts,
            "population",
            vec![
                ("person_no", Arc::new(UInt32Array::from_iter_values(people.iter().map(|p| p.0)))),
                ("sex", Arc::new(UInt8Array::from_iter_values(people.iter().map(|p| p.1)))),
                ("birth_date", days(people.iter().map(|p| Some(p.2)))),
            ],
        );
        let homes = &sorted.homes;
        let residence = write(
            &parts,
            "residence",
            vec![
                ("person_no", Arc::new(UInt32Array::from_iter_values(homes.iter().map(|h| h.0)))),
                ("municipality", Arc::new(StringArray::from_iter_values(homes.iter().map(|h| h.1)))),
                ("from_date", days(homes.iter().map(|h| Some(h.2)))),
                ("to_date", days(homes.iter().map(|h| h.3))),
            ],
        );
        manifest.datasets.insert("population".to_owned(), vec![population]);
        manifest.datasets.insert("residence".to_owned(), vec![residence]);
        manifest.municipalities = homes.iter().map(|h| h.1.to_owned()).collect();
        let (bytes, id) = (manifest.canonical().unwrap(), manifest.digest().unwrap());
        std::fs::write(folder.join(format!("snapshots/{id}.json")), bytes).unwrap();
        std::fs::write(folder.join("CURRENT"), format!("{id}\n")).unwrap();
        Snapshot::open_current(folder).unwrap()
    }
}
