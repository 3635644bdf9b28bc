//! Differential privacy: noise so large that no person's presence or values show, whatever else is known.
//!
//! The unit is the person: neighbouring data differ by all rows of one person, there or not. What a
//! person can change is bounded by [`Contribution`], which the plan applies to the data; the noise comes
//! from OpenDP's samplers; what it costs is taken from a `BudgetLease` by [`Spending`]. Cells are those of
//! the catalogue's lists, empty ones too, so that no cell's being there tells anything.

mod contribution;
mod fit;
mod law;
mod margins;
mod mean;
mod mechanism;
mod quantile;
mod spending;
mod table;
mod values;

pub use contribution::{Contribution, Sensitivity};
pub use margins::Margins;
pub use mechanism::{Mechanism, Noisy, PrivacyError, noisy};
pub use quantile::Place;
pub use spending::{Overspent, Share, Spending};
pub use table::{NoisyTable, noisy_table, suffices_for_table};
pub use values::{Bounds, CellValues, Estimate};
