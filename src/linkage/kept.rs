//! Linked rows as bytes: what is sealed where an approval lets them be used again.

use std::io::Cursor;

use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use zeroize::Zeroizing;

use super::error::LinkageError;
use super::link::{Linked, LinkedBatch};
use super::quality::Tally;

/// More than what the stream has beside the values: its schema, and what stands before each batch. Also the fewest bytes.
const OTHER: usize = 4096;
/// The bytes of a tally: four numbers.
const TALLY: usize = 32;

fn failed(_: ArrowError) -> LinkageError {
    LinkageError::Assembly
}

impl Linked {
    /// The tally, and the rows as an Arrow stream, with zeros up to a power of two: whoever has the sealed bytes must not count
    /// the rows by their length. They are rows of persons: for sealing, and nothing else.
    pub(crate) fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, LinkageError> {
        let Tally { matched, unknown, several_numbers, invalid_rows } = self.tally();
        // With room for all, since what a vector leaves behind when it grows is not erased.
        let most = self.memory() + OTHER * (1 + self.batches().len());
        let mut bytes = Zeroizing::new(Vec::with_capacity(most.next_power_of_two()));
        for number in [matched, unknown, several_numbers, invalid_rows] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        let mut writer = StreamWriter::try_new(&mut *bytes, &self.schema()).map_err(failed)?;
        for batch in self.batches() {
            writer.write(batch.record_batch()).map_err(failed)?;
        }
        writer.finish().map_err(failed)?;
        drop(writer);
        let padded = bytes.len().next_power_of_two().max(OTHER);
        bytes.resize(padded, 0);
        Ok(bytes)
    }

    /// What [`Linked::to_bytes`] gave. The bytes must be such as this process has sealed.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, LinkageError> {
        let (tally, rows) = bytes.split_first_chunk::<TALLY>().ok_or(LinkageError::Assembly)?;
        let mut numbers = tally.as_chunks::<8>().0.iter().map(|number| u64::from_be_bytes(*number));
        let mut number = || numbers.next().ok_or(LinkageError::Assembly);
        let tally = Tally {
            matched: number()?,
            unknown: number()?,
            several_numbers: number()?,
            invalid_rows: number()?,
        };
        let reader = StreamReader::try_new(Cursor::new(rows), None).map_err(failed)?;
        let schema = reader.schema();
        let batches = reader.map(|batch| batch.map(LinkedBatch::of).map_err(failed));
        Ok(Self::of(schema, batches.collect::<Result<_, _>>()?, tally))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::linkage::testing::{linked_persons, order};

    #[tokio::test]
    async fn what_is_kept_reads_back() {
        let rows = [2, 200, 3, 2, 8].map(|person| (person, "2024-05-05".parse().unwrap()));
        for rows in [&rows[..], &[]] {
            let mut order = order(1, TimeDelta::minutes(1));
            order.columns.truncate(1);
            let linked = linked_persons(order, rows).await;
            let bytes = linked.to_bytes().unwrap();
            let read = Linked::from_bytes(&bytes).ok().unwrap();
            assert_eq!(read.schema(), linked.schema());
            assert!(read.tally() == linked.tally());
            let rows = |linked: &Linked| -> Vec<_> {
                linked.batches().iter().map(|batch| batch.record_batch().clone()).collect()
            };
            assert_eq!(rows(&read), rows(&linked));
            assert_eq!(bytes.len(), OTHER, "one row more or less is not seen");
            for short in [0, 8, TALLY, TALLY + 100] {
                assert!(Linked::from_bytes(&bytes[..short]).is_err(), "{short}");
            }
        }
    }
}
