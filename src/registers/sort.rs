//! Sorting more rows than fit in memory: full buffers are sorted and put aside as runs in unnamed
//! files, which vanish with the process; the runs are merged when read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A value with a fixed width in a run.
pub(super) trait Packed: Sized {
    /// Its width in bytes.
    const WIDTH: usize;
    /// Appends its bytes.
    fn put(&self, out: &mut Vec<u8>);
    /// Takes it from the front of `bytes`.
    fn take(bytes: &mut &[u8]) -> Option<Self>;
}

/// A row to be sorted.
pub(super) trait Sortable: Packed + Copy + Ord {
    /// The first part of its order as a number: a row with a lower key is the lower row.
    fn key(&self) -> u64;
}

macro_rules! packed_integers {
    ($($int:ty),*) => {$(
        impl Packed for $int {
            const WIDTH: usize = size_of::<$int>();
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                let (head, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(<$int>::from_le_bytes(*head))
            }
        }
    )*};
}
packed_integers!(u8, u16, u32, u64, i32);

impl<const N: usize> Packed for [u8; N] {
    const WIDTH: usize = N;
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(*head)
    }
}

/// Collects rows.
pub(super) struct Sorter<R> {
    rows: Vec<R>,
    most: usize,
    runs: Vec<File>,
    folder: PathBuf,
    bytes: Vec<u8>,
}

impl<R: Sortable> Sorter<R> {
    /// A sorter that keeps at most `memory` bytes of rows and puts runs aside in `folder`.
    pub(super) fn new(folder: &Path, memory: usize) -> Self {
        let most = (memory / (size_of::<R>() + 2 * size_of::<Entry>())).max(1);
        Self { rows: Vec::new(), most, runs: Vec::new(), folder: folder.to_owned(), bytes: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: R) -> io::Result<()> {
        if self.rows.len() >= self.most {
            self.put_aside()?;
        }
        self.rows.push(row);
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let mut run = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(&self.folder)?);
        for (_, index) in order(&self.rows) {
            self.bytes.clear();
            if let Some(row) = self.rows.get(index as usize) {
                row.put(&mut self.bytes);
            }
            run.write_all(&self.bytes)?;
        }
        let mut file = run.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        self.runs.push(file);
        self.rows.clear();
        Ok(())
    }

    /// All rows, in order.
    pub(super) fn finish(mut self) -> io::Result<Sorted<R>> {
        if self.runs.is_empty() {
            let order = order(&self.rows).into_iter();
            return Ok(Sorted { rows: self.rows, order, runs: Vec::new(), heads: BinaryHeap::new() });
        }
        self.put_aside()?;
        let order = Vec::new().into_iter();
        let mut sorted = Sorted { rows: Vec::new(), order, runs: Vec::new(), heads: BinaryHeap::new() };
        for (index, file) in self.runs.into_iter().enumerate() {
            let mut run = Run { reader: BufReader::with_capacity(1 << 20, file), bytes: vec![0; R::WIDTH] };
            if let Some(row) = run.next()? {
                sorted.heads.push(Reverse((row, index)));
            }
            sorted.runs.push(run);
        }
        Ok(sorted)
    }
}

/// A row's key and its index.
type Entry = (u64, u32);
/// Fewer rows than this are sorted by comparing.
const FEW: usize = 1 << 12;
/// The digits of a key.
const DIGITS: [u32; 4] = [0, 16, 32, 48];

/// The rows in order, by index: their keys digit by digit, then by comparing where keys are equal.
fn order<R: Sortable>(rows: &[R]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = rows.iter().map(R::key).zip(0..).collect();
    if entries.len() < FEW {
        entries.sort_unstable();
    } else {
        let mut other = vec![(0, 0); entries.len()];
        for shift in DIGITS {
            if distribute(&entries, &mut other, shift) {
                std::mem::swap(&mut entries, &mut other);
            }
        }
    }
    for alike in entries.chunk_by_mut(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
        alike.sort_unstable_by_key(|(_, index)| rows.get(*index as usize));
    }
    entries
}

/// Copies the entries in the order of one digit, those with the same in the order they had. False, and
/// nothing copied, if the digit is the same in all.
fn distribute(entries: &[Entry], into: &mut [Entry], shift: u32) -> bool {
    let digit = |key: u64| usize::from((key >> shift) as u16);
    let mut places = vec![0_usize; 1 << 16];
    for (key, _) in entries {
        if let Some(count) = places.get_mut(digit(*key)) {
            *count += 1;
        }
    }
    let mut next = 0;
    for place in &mut places {
        if *place == entries.len() {
            return false;
        }
        next += std::mem::replace(place, next);
    }
    for entry in entries {
        if let Some(place) = places.get_mut(digit(entry.0)) {
            if let Some(slot) = into.get_mut(*place) {
                *slot = *entry;
            }
            *place += 1;
        }
    }
    true
}

struct Run {
    reader: BufReader<File>,
    bytes: Vec<u8>,
}

impl Run {
    fn next<R: Packed>(&mut self) -> io::Result<Option<R>> {
        match self.reader.read_exact(&mut self.bytes) {
            Ok(()) => Ok(R::take(&mut self.bytes.as_slice())),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// Rows in order, once.
pub(super) struct Sorted<R> {
    rows: Vec<R>,
    order: std::vec::IntoIter<Entry>,
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<(R, usize)>>,
}

impl<R: Sortable> Sorted<R> {
    /// The next row.
    pub(super) fn next(&mut self) -> io::Result<Option<R>> {
        let Some(mut head) = self.heads.peek_mut() else {
            return Ok(self.order.next().and_then(|(_, index)| self.rows.get(index as usize).copied()));
        };
        let Reverse((row, index)) = *head;
        match self.runs.get_mut(index).map(Run::next).transpose()?.flatten() {
            // The next row of the same run takes its place; the heap is put in order once, not twice.
            Some(next) => *head = Reverse((next, index)),
            None => {
                std::collections::binary_heap::PeekMut::pop(head);
            }
        }
        Ok(Some(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sorted by its first half, then by its second.
    type Pair = [u8; 8];

    impl Sortable for Pair {
        fn key(&self) -> u64 {
            self.iter().take(4).fold(0, |key, byte| key << 16 | u64::from(*byte))
        }
    }

    fn sorted(rows: &[Pair], memory: usize) -> Vec<Pair> {
        let dir = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(dir.path(), memory);
        for row in rows {
            sorter.push(*row).unwrap();
        }
        let mut sorted = sorter.finish().unwrap();
        std::iter::from_fn(|| sorted.next().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn rows_come_out_in_order_whatever_the_memory(
            mut rows in prop::collection::vec(prop::array::uniform8(0_u8..4), 0..400),
            memory in 0_usize..10_000,
        ) {
            let out = sorted(&rows, memory);
            rows.sort_unstable();
            prop_assert_eq!(out, rows);
        }
    }

    #[test]
    fn many_rows_come_out_in_order() {
        let mut rows: Vec<Pair> =
            (0..20_000_u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()).collect();
        rows.extend_from_within(..5000);
        for (constant, memory) in [(None, usize::MAX / 2), (Some(7), usize::MAX / 2), (Some(7), 300_000)] {
            if let Some(constant) = constant {
                rows.iter_mut().for_each(|row| row[1] = constant);
            }
            let out = sorted(&rows, memory);
            rows.sort_unstable();
            assert_eq!(out, rows);
        }
    }

    #[test]
    fn runs_have_no_names() {
        let dir = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(dir.path(), 4);
        for row in [3_u64, 1, 2].map(u64::to_be_bytes) {
            sorter.push(row).unwrap();
        }
        assert_eq!(sorter.runs.len(), 2);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
