//! Builds the components, runs them, shuts them down.

mod checkpoint;
mod doors;
pub mod gateway;
pub mod identity;
mod policies;
pub mod register;
pub mod shutdown;
pub mod stage;
pub mod system;
pub mod witness;
mod witnesses;
