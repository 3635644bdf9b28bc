//! Released results in the formats statistics consumers read.
//!
//! A withheld count is never a number: it is null, and its status is `:`. A share of which either count is
//! withheld is withheld too. The share of a cell without persons is not applicable, `.`, and so is
//! everything of a cell that nobody can be in.

mod columns;
mod csv;
mod figures;
mod format;
mod json_stat;
mod records;
mod render;
mod report;
#[cfg(test)]
mod testing;

pub use format::{Format, UnknownFormat};
pub use records::render_microdata;
pub use render::{RenderError, render};
