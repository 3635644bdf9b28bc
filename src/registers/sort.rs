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

impl<R: Packed + Copy + Ord> Sorter<R> {
    /// A sorter that keeps at most `memory` bytes of rows and puts runs aside in `folder`.
    pub(super) fn new(folder: &Path, memory: usize) -> Self {
        let most = (memory / size_of::<R>().max(1)).max(1);
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
        self.rows.sort_unstable();
        let mut run = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(&self.folder)?);
        for row in &self.rows {
            self.bytes.clear();
            row.put(&mut self.bytes);
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
            self.rows.sort_unstable();
            return Ok(Sorted { rest: self.rows.into_iter(), runs: Vec::new(), heads: BinaryHeap::new() });
        }
        self.put_aside()?;
        let mut sorted = Sorted { rest: Vec::new().into_iter(), runs: Vec::new(), heads: BinaryHeap::new() };
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
    rest: std::vec::IntoIter<R>,
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<(R, usize)>>,
}

impl<R: Packed + Copy + Ord> Sorted<R> {
    /// The next row.
    pub(super) fn next(&mut self) -> io::Result<Option<R>> {
        let Some(mut head) = self.heads.peek_mut() else {
            return Ok(self.rest.next());
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

    proptest! {
        #[test]
        fn rows_come_out_in_order_whatever_the_memory(
            rows in prop::collection::vec(any::<u32>(), 0..400),
            memory in 0_usize..1000,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::new(dir.path(), memory);
            for row in &rows {
                sorter.push(*row).unwrap();
            }
            let mut sorted = sorter.finish().unwrap();
            let mut out = Vec::new();
            while let Some(row) = sorted.next().unwrap() {
                out.push(row);
            }
            let mut expected = rows;
            expected.sort_unstable();
            prop_assert_eq!(out, expected);
        }
    }

    #[test]
    fn runs_have_no_names() {
        let dir = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(dir.path(), 4);
        for row in [3_u32, 1, 2] {
            sorter.push(row).unwrap();
        }
        assert_eq!(sorter.runs.len(), 2);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
