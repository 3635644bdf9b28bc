//! Tables in files: what a steward protects at the command line.

mod atoms;
mod dimension;
mod error;
mod read;
mod table;
#[cfg(test)]
mod tests;
mod write;

pub use error::FileError;
pub use read::{Columns, Hierarchy};
pub use table::FileTable;
