//! Plain types without I/O: ids, digests, queries, approvals, the life of projects, orders, tables, microdata, code
//! lists, costs, working days, the clock.
//!
//! Everything here is data that may be logged or stored, except where a type says otherwise.

pub mod answer;
pub mod approval;
pub mod canonical;
pub mod clock;
pub mod codelist;
pub mod cost;
pub mod disclosure_report;
pub mod feed;
pub mod feed_data;
pub mod held;
pub mod ids;
pub mod indirect;
pub mod lifecycle;
pub mod linked_set;
pub mod method;
pub mod microdata;
pub mod order;
pub mod other_basis;
pub mod overview;
pub mod period;
pub mod person;
pub mod purpose;
pub mod query;
pub mod record_key;
pub mod refusal;
pub mod resolution;
pub mod rho;
pub mod rule;
pub mod section;
pub mod table;
pub mod words;
pub mod working_days;
pub mod worklist;
