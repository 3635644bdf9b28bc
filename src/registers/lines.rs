//! The lines of one file of a delivery, as bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::delivery::FILE_LABEL;
use super::fault::FaultKind;
use super::hash::Hashing;
use crate::domain::canonical::Digest;

/// The longest line of any layout, in bytes, its end included. Longer ones are faults, so that a file
/// without line ends does not fill the memory.
const LONGEST: u64 = 1024;

/// A line's number, and the line without its end, or what makes it unfit to be read at all.
pub(super) type Line<'a> = (u64, Result<&'a [u8], FaultKind>);

/// Reads a file line by line, the header left out, and takes its digest on the way.
pub(super) struct Lines {
    reader: BufReader<Hashing<File>>,
    line: Vec<u8>,
    number: u64,
    taken: u64,
}

impl Lines {
    /// Opens the file and skips its header, which has been checked before.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = Hashing::new(FILE_LABEL, File::open(path)?);
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let mut header = Vec::new();
        let taken = reader.by_ref().take(LONGEST).read_until(b'\n', &mut header)? as u64;
        Ok(Self { reader, line: Vec::with_capacity(256), number: 1, taken })
    }

    /// The next line.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        self.taken += self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut self.line)? as u64;
        if self.line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if self.line.last() != Some(&b'\n') {
            let long = self.line.len() as u64 == LONGEST;
            if long {
                self.skip_line()?;
            }
            let kind = if long { FaultKind::TooLong } else { FaultKind::Unended };
            return Ok(Some((self.number, Err(kind))));
        }
        self.line.pop();
        Ok(Some((self.number, Ok(self.line.as_slice()))))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            let end = buffer.iter().position(|b| *b == b'\n');
            let n = end.map_or(buffer.len(), |at| at + 1);
            self.reader.consume(n);
            self.taken += n as u64;
            if end.is_some() || n == 0 {
                return Ok(());
            }
        }
    }

    /// The bytes read so far.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// After the last line: the length of the file and its digest.
    pub(super) fn finish(self) -> (u64, Digest) {
        let (_, bytes, digest) = self.reader.into_inner().finish();
        (bytes, digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(u64, Result<Vec<u8>, FaultKind>)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.csv");
        std::fs::write(&path, text).unwrap();
        let mut lines = Lines::open(&path).unwrap();
        let mut all = Vec::new();
        while let Some((number, line)) = lines.next().unwrap() {
            all.push((number, line.map(<[u8]>::to_vec)));
        }
        assert_eq!(lines.taken(), text.len() as u64);
        assert_eq!(lines.finish(), (text.len() as u64, Digest::of_bytes(FILE_LABEL, text)));
        all
    }

    #[test]
    fn lines_are_numbered_from_the_header() {
        assert_eq!(read(b"a;b\n"), vec![]);
        assert_eq!(read(b"a;b\n1;2\n\n"), vec![(2, Ok(b"1;2".to_vec())), (3, Ok(vec![]))]);
    }

    #[test]
    fn a_line_that_cannot_be_read_does_not_stop_the_next() {
        let long = [b'x'; 5000];
        let text = [b"h\n".as_slice(), &long, b"\nok\nbl\xe5\ncut"].concat();
        assert_eq!(
            read(&text),
            vec![
                (2, Err(FaultKind::TooLong)),
                (3, Ok(b"ok".to_vec())),
                (4, Ok(b"bl\xe5".to_vec())),
                (5, Err(FaultKind::Unended)),
            ]
        );
        let text = [b"h\n".as_slice(), &[b'x'; 1024]].concat();
        assert_eq!(read(&text), vec![(2, Err(FaultKind::TooLong))]);
        let text = [b"h\n".as_slice(), &[b'x'; 1023], b"\n"].concat();
        assert_eq!(read(&text), vec![(2, Ok(vec![b'x'; 1023]))]);
    }
}
