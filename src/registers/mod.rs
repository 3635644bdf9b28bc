//! Registers as they are delivered and as the gateway keeps them.
//!
//! ```text
//!   delivery folder ── identity file ──> IdentityIntake (raw bytes; answers serial -> person_no)
//!        │
//!        └─ content files ── lines, checked ── sorted by person_no, date ──> parts/*.parquet
//!                                                                        └─> snapshots/<id>.json, CURRENT
//! ```
//!
//! A delivery is taken in whole or not at all. What is kept carries `person_no` and no identity number.

pub mod delivery;
pub mod erase;
pub mod fault;
mod field;
mod folder;
mod folkeregisteret;
mod hash;
pub mod ingest;
pub mod intake;
mod iplos;
mod kuhr;
mod lines;
mod objections;
mod part;
pub mod progress;
mod prom;
pub mod quality;
mod reading;
mod record;
pub mod returns;
mod serials;
pub mod snapshot;
mod sort;
pub mod synth;

pub use intake::IdentityIntake;
pub use snapshot::Snapshot;
