//! The whole flow of one query.
