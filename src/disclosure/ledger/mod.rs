//! Several releases judged together.
//!
//! A recipient who holds several tables can add and subtract them. A new release is therefore judged
//! together with everything its recipient knows: no group of 1..k-1 persons, whichever it is, may have a
//! count that is a combination of the published ones and was not one before.
//!
//! - [`membership`]: who is in the cells of one release; cells need not add up
//! - [`family`], [`peel`]: what of the earlier releases can matter
//! - [`numbering`], [`refine`]: the common refinement by membership, its atoms
//! - [`echelon`], [`queue`], [`words`]: the small groups among the combinations of published cells
//! - [`light`]: what of them can matter for the proposal
//! - [`moves`]: other populations that would have given the same counts
//! - [`table`]: the membership of a counted table; [`seal`]: what is kept outside disclosure control
//! - [`recalled`]: earlier releases, opened
//! - [`ground`]: what a pattern of the proposal gives away beside them
//! - [`judge()`]: release, withhold more, or refuse

mod divisible;
mod echelon;
mod family;
mod ground;
mod judge;
mod light;
mod membership;
mod moves;
mod numbering;
mod peel;
mod queue;
mod recalled;
mod refine;
mod release;
mod seal;
mod table;
mod words;

pub use judge::{Judgement, KnowledgeSet, MOST_CELLS, MOST_RELEASES, Proposal, Refused, judge};
pub use membership::{Membership, MembershipBuilder, MembershipError};
pub use recalled::{Recalled, Recollection};
pub use release::{Release, WrongPattern, pattern_bytes};
pub use seal::NotSealed;
pub(in crate::disclosure) use seal::SealingKey;
pub(in crate::disclosure) use table::of_table;

#[cfg(test)]
mod tests;
