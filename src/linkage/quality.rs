//! Linkage quality: how well the partner's rows found their persons.

/// Counts of a linkage. They are data like any other result, so nothing prints or serialises them;
/// the engine seals them and disclosure control decides what is said of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Persons the identity service knows.
    pub matched: u64,
    /// Identifiers it does not know.
    pub unknown: u64,
    /// Persons whose rows came under more than one of their numbers.
    pub several_numbers: u64,
    /// Rows that the partner left out because their number is not an identity number.
    pub invalid_rows: u64,
}
