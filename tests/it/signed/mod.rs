//! How callers sign in, with real processes.

mod certificates;
mod client;
mod issuer;
mod tokens;
