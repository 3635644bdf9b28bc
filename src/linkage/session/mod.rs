//! The linkage session: orders out to the partners, their rows in.

mod desk;
mod intake;
#[cfg(test)]
mod tests;

pub use desk::{DeskLimits, OrderDesk, Orders, Partners};
pub use intake::Intake;
