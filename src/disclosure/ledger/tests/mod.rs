//! The attacker against series of releases.

mod attacker;
mod cases;
mod series;
pub(super) mod world;
