//! The tiles of C2SP tlog-tiles: entries in bundles of 256, and the hashes of the tree, eight levels a
//! tile. They come out one by one as entries are added, so that memory stays small for any log.

use super::merkle::{Frontier, Hash, leaf_hash};

/// How many entries, or hashes, a full tile has.
pub(super) const WIDTH: usize = 256;

/// A file of the layout: its path below the folder, and its bytes.
pub(super) struct Tile {
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
}

/// `index` in groups of three digits, all but the last with an `x` before it.
fn numbered(index: u64) -> String {
    let last = format!("{:03}", index % 1000);
    let (mut rest, mut parts) = (index / 1000, vec![last]);
    while rest > 0 {
        parts.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    parts.reverse();
    parts.join("/")
}

/// The path of a tile of `kind` (`entries` or a level) with so many entries or hashes.
fn path(kind: &str, index: u64, width: usize) -> String {
    let partial = if width < WIDTH { format!(".p/{width}") } else { String::new() };
    format!("tile/{kind}/{}{partial}", numbered(index))
}

/// The path of the bundle with the entries from `index * 256` on, `width` of them.
pub(super) fn bundle_path(index: u64, width: usize) -> String {
    path("entries", index, width)
}

/// A level of hash tiles: the tile being filled.
#[derive(Default)]
struct Level {
    index: u64,
    hashes: Vec<Hash>,
}

/// Turns entries into tiles.
#[derive(Default)]
pub(super) struct Tiles {
    frontier: Frontier,
    bundle: Vec<u8>,
    levels: Vec<Level>,
}

impl Tiles {
    /// The tree so far.
    pub(super) const fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Adds an entry of at most 65535 bytes (nothing if it is longer); gives the tiles it completes.
    pub(super) fn add(&mut self, entry: &[u8]) -> Option<Vec<Tile>> {
        let length = u16::try_from(entry.len()).ok()?;
        self.bundle.extend(length.to_be_bytes());
        self.bundle.extend(entry);
        let hash = leaf_hash(entry);
        self.frontier.add(hash);
        let mut tiles = Vec::new();
        if self.frontier.size().is_multiple_of(WIDTH as u64) {
            let index = self.frontier.size() / WIDTH as u64 - 1;
            tiles.push(Tile { path: bundle_path(index, WIDTH), bytes: std::mem::take(&mut self.bundle) });
        }
        self.add_hash(hash, &mut tiles);
        Some(tiles)
    }

    /// Adds a hash to the lowest level; the root of each full tile goes up to the next.
    fn add_hash(&mut self, mut hash: Hash, tiles: &mut Vec<Tile>) {
        for number in 0.. {
            if self.levels.len() == number {
                self.levels.push(Level::default());
            }
            let Some(level) = self.levels.get_mut(number) else { return };
            level.hashes.push(hash);
            if level.hashes.len() < WIDTH {
                return;
            }
            let hashes = std::mem::take(&mut level.hashes);
            tiles.push(Tile { path: path(&number.to_string(), level.index, WIDTH), bytes: hashes.concat() });
            level.index += 1;
            hash = Frontier::of(hashes).root();
        }
    }

    /// The partial tiles at the right edge.
    pub(super) fn finish(self) -> Vec<Tile> {
        let size = self.frontier.size();
        let rest = usize::try_from(size % WIDTH as u64).unwrap_or(0);
        let bundle =
            (rest > 0).then(|| Tile { path: bundle_path(size / WIDTH as u64, rest), bytes: self.bundle });
        let hashes = self.levels.into_iter().enumerate().filter(|(_, level)| !level.hashes.is_empty());
        let hashes = hashes.map(|(number, level)| Tile {
            path: path(&number.to_string(), level.index, level.hashes.len()),
            bytes: level.hashes.concat(),
        });
        bundle.into_iter().chain(hashes).collect()
    }
}

/// The entries of a bundle; nothing if its bytes are not whole entries.
pub(super) fn entries(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bundle = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(path("0", 1_234_067, WIDTH), "tile/0/x001/x234/067");
        assert_eq!(bundle_path(0, 17), "tile/entries/000.p/17");
        assert_eq!(path("1", 1000, 1), "tile/1/x001/000.p/1");
    }

    #[test]
    fn tiles_hold_every_entry_and_every_full_subtree() {
        // Two levels full and a rest in each: 256 * 256 + 256 + 3 entries.
        let count = 256 * 256 + 256 + 3_u64;
        let mut tiles = Tiles::default();
        let mut files = Vec::new();
        for entry in 0..count {
            files.extend(tiles.add(&entry.to_be_bytes()).unwrap());
        }
        let root = tiles.frontier().root();
        files.extend(tiles.finish());
        let file = |path: &str| &files.iter().find(|t| t.path == path).expect(path).bytes;
        assert_eq!(files.len(), 257 + 1 + 257 + 1 + 1 + 1 + 1);
        assert_eq!(entries(file("tile/entries/256")).unwrap().len(), 256);
        assert_eq!(
            entries(file("tile/entries/257.p/3")).unwrap(),
            [65_792_u64, 65_793, 65_794].map(u64::to_be_bytes)
        );
        assert_eq!(file("tile/0/257.p/3").len(), 96);
        assert_eq!(file("tile/1/000").len(), 256 * 32);
        assert_eq!(file("tile/1/001.p/1").len(), 32);
        assert_eq!(file("tile/2/000.p/1").len(), 32);
        // The root from the upper tiles alone: one subtree of 65536, one of 256, three leaves.
        let chunk = |bytes: &Vec<u8>| bytes.as_chunks::<32>().0.to_vec();
        let (large, middle) = (chunk(file("tile/2/000.p/1"))[0], chunk(file("tile/1/001.p/1"))[0]);
        let small = Frontier::of(chunk(file("tile/0/257.p/3"))).root();
        use super::super::merkle::node_hash;
        assert_eq!(root, node_hash(&large, &node_hash(&middle, &small)));
    }

    #[test]
    fn a_bundle_is_whole_entries() {
        assert_eq!(entries(&[0, 1, 9, 0, 0]), Some(vec![&[9][..], &[]]));
        assert_eq!(entries(&[0, 2, 9]), None);
        assert_eq!(entries(&[0]), None);
        assert!(Tiles::default().add(&vec![0; 65_536]).is_none());
    }
}
