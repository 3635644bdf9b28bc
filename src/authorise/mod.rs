//! Who asks, and whether the query falls under an approval: caller, Cedar policies, disclosure rules.
//!
//! What comes out is an [`ApprovedQuery`]: the query, the approval it falls under, the rule that
//! applies. Nothing else can make one.

mod action;
mod approved;
mod caller;
mod cases;
mod checks;
mod disclosure;
mod feed;
#[cfg(test)]
pub(crate) mod fixtures;
mod in_force;
mod indirect;
mod method;
mod policies;

pub use action::{Action, Resource};
pub use approved::{ApprovedQuery, authorise, authorise_again};
pub use caller::{Caller, Role, UnknownRole};
pub use cases::{Case, CaseError, Explanation, Line, lines};
pub use feed::{ApprovedFeed, authorise_feed};
pub use in_force::PoliciesInForce;
pub use indirect::IndirectGrant;
pub use policies::{Policies, PolicyError};
