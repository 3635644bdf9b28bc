//! The engine: distinct persons for every cell and margin of a plan, over linked rows and a snapshot.
//!
//! ```text
//! Linked ── index: a person's first event ──┐
//! population, residence ── those persons ───┼─ one row a person ── leaf cells ── margins ── Protected
//! contacts ── first event after the index ──┘
//! ```
//!
//! What comes out is sealed: only disclosure control can look inside.

mod cells;
mod cohort_first;
mod engine;
mod error;
mod expressions;
mod feed;
mod measured;
mod own;
mod person_index;
mod persons;
mod protected;
mod sources;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use cells::{Counted, Placed, PlacedValue};
pub use engine::Engine;
pub use error::ExecuteError;
pub use feed::{FeedRows, PersonRow};
pub use protected::Protected;
