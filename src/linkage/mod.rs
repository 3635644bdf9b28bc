//! From a partner's coded rows to rows by person number.
//!
//! ```text
//! LinkageOrder --OrderDesk--> CodedRows --link()--> Linked --> engine
//!               (session)    (CodedBatch)          (LinkedBatch)
//! ```
//!
//! A register node answers an order with Arrow batches that carry linkage codes. Each batch is checked
//! against the order before it becomes a [`CodedBatch`]. [`link()`] passes the distinct codes, and nothing
//! else, to the identity service and puts person numbers in their place; only then is there a
//! [`Linked`], which is all the engine takes.

mod batch;
mod code;
mod error;
mod feed;
mod ipc;
mod kept;
mod link;
mod person;
mod quality;
mod resolution;
mod session;
#[cfg(test)]
pub(crate) mod testing;

pub use batch::{CodedBatch, CodedRows, row_schema};
pub use code::LinkageCode;
pub use error::{DeclineCode, DeclineReason, LinkageError};
pub use feed::{FeedMapper, GivenPersons, HeldPersons, hold};
pub use link::{CodeMapper, Linked, LinkedBatch, MappedCodes, link};
pub use person::{RegisteredPerson, TicketDesk};
pub use quality::Tally;
pub use resolution::ResolutionDesk;
pub use session::{DeskLimits, Intake, OrderDesk, Orders, Partners};
