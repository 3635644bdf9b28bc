//! Builds the components, runs them, shuts them down.

pub mod system;
