//! Cell-key noise: the same contributors always give the same noise.
//!
//! Each person has a record key under the key of the data domain. A cell's key is the sum of the record
//! keys of its persons, and its noise is looked up in a perturbation table by its count and its key
//! (Fraser and Wooton 2005; Marley and Leaver 2011). Asking again, in other words or another table, gives
//! the same value, so that nothing averages out. Margins are perturbed on their own: they are as exact as
//! the inner cells, and are not their sums.

mod entropy;
mod quantise;
mod table;

pub use table::{Design, DesignError, PerturbationTable};
