//! Released tables in the formats statistics consumers read.

mod format;

pub use format::{Format, UnknownFormat};
