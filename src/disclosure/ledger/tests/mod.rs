//! The attacker against series of releases.

mod attacker;
mod cases;
mod series;
pub(in crate::disclosure::ledger) mod world;
