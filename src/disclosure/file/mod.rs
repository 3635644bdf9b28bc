//! Tables in files: what a steward protects at the command line.

mod atoms;
mod dimension;
mod error;
mod protect;
mod read;
mod table;
#[cfg(test)]
mod tests;
mod write;

pub use error::FileError;
pub use protect::{Ask, ProtectedTable, Stage};
pub use read::{Columns, Hierarchy};
pub use table::FileTable;
