//! Tables in files: what a steward protects at the command line.

mod atoms;
mod cellkey;
mod dimension;
mod error;
mod fold;
mod noise;
mod protect;
mod read;
mod shape;
mod table;
#[cfg(test)]
mod tests;
mod write;

pub use super::proved::Stage;
pub use cellkey::RecordSecret;
pub use error::FileError;
pub use fold::FoldedFile;
pub use noise::NoiseAsked;
pub use protect::{Ask, ProtectedTable};
pub use read::{Columns, Hierarchy};
pub use table::FileTable;
