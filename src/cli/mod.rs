//! The command line: one file a subcommand.

pub mod audit;
pub mod backup;
mod connection;
pub mod demo;
pub mod disclosures;
pub mod identity;
pub mod ingest;
pub mod microdata;
pub mod person;
pub mod pki;
pub mod policy;
pub mod project;
pub mod protect;
pub mod query;
pub mod register;
pub mod resolve;
pub mod serve;
pub mod statistics;
mod steward;
pub mod synth;
pub mod witness;
