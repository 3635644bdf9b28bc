//! A query gateway over KPR, the Norwegian municipal patient and user register.

pub mod app;
pub mod audit;
pub mod authorise;
pub mod config;
pub mod disclosure;
pub mod domain;
pub mod execute;
pub mod identity;
pub mod linkage;
pub mod partner;
pub mod pipeline;
pub mod plan;
pub mod registers;
pub mod statistics;
pub mod store;
pub mod telemetry;
pub mod wire;
