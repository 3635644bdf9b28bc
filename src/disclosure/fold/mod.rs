//! Folding: categories with few persons go into one called «øvrig», within their parent group; totals
//! are kept. The Norwegian Patient Register protects its tables this way.
//!
//! What is folded is decided by the margin of the dimension: the persons of a category over all other
//! dimensions. Deciding by the crossed cells would fold nearly every category of a crossed table, and
//! cells of «øvrig» could be small all the same. So a crossed table is folded first and the folded table
//! goes to suppression, which withholds the small cells that are left. Suppression must then take as
//! known that a category which is shown has at least k persons.

mod group;
mod table;

pub use group::FoldRule;
pub use table::{FoldError, Folded, fold};
