//! Who asks, and whether the query falls under an approval: caller, Cedar policies, disclosure rules.
//!
//! What comes out is an [`ApprovedQuery`]: the query, the approval it falls under, the rule that
//! applies. Nothing else can make one.

mod caller;

pub use caller::{Caller, Role, UnknownRole};
