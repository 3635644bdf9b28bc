//! The integration tests: one binary, a module for each topic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod access;
mod architecture;
mod attack;
mod audited;
mod budget;
mod cellkey;
mod faults;
mod feed;
mod identity;
mod indirect;
mod ingest;
mod leak;
mod lifecycle;
mod microdata;
mod oracle;
mod partner;
mod person;
mod policy;
mod postgres;
mod protect;
mod question;
mod resolve;
mod reuse;
mod scenario;
mod series;
mod signed;
mod values;
mod witness;
mod world;
