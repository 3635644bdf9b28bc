//! The catalogue of registers and variables, and the validation of a query against it.
//!
//! What comes out is a [`QueryPlan`]: an approved query all of whose names exist, and the shape of the
//! table it makes. Nothing else can make one.

mod catalogue;
mod error;
mod feed;
mod grouping;
mod impossible;
mod load;
mod query_plan;
mod shape;
mod validate;

#[cfg(test)]
mod tests;

pub use catalogue::{
    Catalogue, CatalogueDimension, Dataset, Register, RegisterSource, Values, Variable, VariableKind,
    VariableRole,
};
pub use error::PlanError;
pub use feed::{FeedDataset, FeedPlan, plan_feed};
pub use grouping::Grouping;
pub use impossible::Impossible;
pub use load::CatalogueError;
pub use query_plan::{Follow, Measured, QueryPlan, plan};
