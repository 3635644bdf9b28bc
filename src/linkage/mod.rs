//! Codes to linked batches; the linkage session; linkage quality.

mod code;

pub use code::LinkageCode;
