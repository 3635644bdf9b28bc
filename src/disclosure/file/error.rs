//! What can be wrong with the files of a steward. No text carries a value of a cell.

use crate::disclosure::fold::FoldError;
use crate::disclosure::privacy::PrivacyError;
use crate::disclosure::proved::Unproved;
use crate::domain::canonical::CanonicalError;
use crate::domain::codelist::CodeListError;
use crate::domain::rule::LooseRule;

/// Why a file is not protected.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file is not readable CSV.
    #[error("{0}: {1}")]
    Csv(&'static str, csv::Error),
    /// There is nothing in the file.
    #[error("the file is empty: a header and a line for each inner cell are expected")]
    NoHeader,
    /// A column is not in the file.
    #[error("there is no column {column}; the columns are {columns}")]
    NoColumn {
        /// The column asked for.
        column: String,
        /// Those there are.
        columns: String,
    },
    /// A column stands twice in the header.
    #[error("the column {0} stands twice in the header")]
    ColumnTwice(String),
    /// Nothing is left to divide the counts by.
    #[error("there is no column beside the counts: a table needs at least one dimension")]
    NoDimension,
    /// There are no lines.
    #[error("the file has no cells")]
    Empty,
    /// A code is empty.
    #[error("line {line}: the column {column} is empty")]
    NoCode {
        /// The line.
        line: u64,
        /// The column.
        column: String,
    },
    /// A count or sum is not a whole number from 0 to 2^53.
    #[error(
        "line {line}: {column} must be a whole number from 0 to 2^53, or . for an impossible combination"
    )]
    NotACount {
        /// The line.
        line: u64,
        /// The column.
        column: String,
    },
    /// The total is too great.
    #[error("line {line}: the total so far is greater than 2^53")]
    TooMany {
        /// The line.
        line: u64,
    },
    /// With contributors, a line is about one of them.
    #[error("line {line}: with contributors, a line counts one of them: 0 or 1")]
    NotOne {
        /// The line.
        line: u64,
    },
    /// A cell, or a contributor in a cell, stands twice.
    #[error("line {line}: this cell stands in the file already{hint}")]
    Twice {
        /// The second line.
        line: u64,
        /// What may help.
        hint: &'static str,
    },
    /// A margin is not the sum of its inner cells.
    #[error(
        "line {line}: this margin is not the sum of its cells; where one person can be in several cells, give a \
         line a person and cell, and name the column with --contributors"
    )]
    NotAdditive {
        /// The line.
        line: u64,
    },
    /// With contributors, margins are worked out.
    #[error("line {line}: with contributors, only inner cells are read, not margins")]
    Margin {
        /// The line.
        line: u64,
    },
    /// A hierarchy is given for something that is not a dimension.
    #[error("there is no dimension {0} for this hierarchy")]
    NoHierarchyDimension(String),
    /// A line of a hierarchy is not a child and its parent.
    #[error("hierarchy of {dimension}, line {line}: a line is a child and its parent")]
    NotAHierarchy {
        /// The dimension.
        dimension: String,
        /// The line.
        line: u64,
    },
    /// A child is not in the data.
    #[error("hierarchy of {dimension}, line {line}: the child is neither a code of the data nor a parent")]
    NoSuchChild {
        /// The dimension.
        dimension: String,
        /// The line.
        line: u64,
    },
    /// A hierarchy goes in a circle.
    #[error("hierarchy of {0}: a code lies below itself")]
    Circle(String),
    /// There are more cells than can be protected at once.
    #[error("the table has more than {0} cells with its margins; ask for fewer or coarser dimensions")]
    TooLarge(usize),
    /// A dominance rule is about contributors.
    #[error("a rule for sums needs --sum and --contributors")]
    NoContributors,
    /// The earlier table does not have the columns of this one.
    #[error("the earlier table must have the columns {0}")]
    OtherColumns(String),
    /// A line of the earlier table is not a cell of this one.
    #[error("the earlier table, line {line}: this is not a cell of the table")]
    NoSuchCell {
        /// The line.
        line: u64,
    },
    /// Data have changed since the earlier table.
    #[error("the earlier table, line {line}: the cell was published with another value")]
    Changed {
        /// The line.
        line: u64,
    },
    /// Nothing protects every cell.
    #[error("{0} cells that must not be known follow from cells that stay published; no pattern hides them")]
    Unprotectable(usize),
    /// A least number of persons that no rule may have.
    #[error(transparent)]
    Rule(#[from] LooseRule),
    /// Folding and noise are about trees of codes.
    #[error("{0} has several hierarchies; folding and noise take one parent for each code")]
    SeveralHierarchies(String),
    /// A dimension cannot be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The codes do not form a list.
    #[error(transparent)]
    Codes(#[from] CodeListError),
    /// Impossible combinations tell who can be in a folded category, and have no part in fitted margins.
    #[error(
        "the file has impossible combinations (.), and with them {0}; count them as 0, or use another method"
    )]
    Impossible(&'static str),
    /// What a folded table publishes gives cells away.
    #[error(
        "{0} cells that must not be known follow from the totals of the categories that are shown, which folding \
         publishes; no pattern hides them: use --method suppress"
    )]
    FoldUnprotectable(usize),
    /// What a folded table publishes narrows small counts down.
    #[error(
        "{0} small counts would be known too closely by the totals of the categories that are shown, which folding \
         publishes: fold along coarser dimensions, ask for a smaller --min-range, or use --method suppress"
    )]
    FoldNoRange(usize),
    /// Persons are counted, not sums.
    #[error("this method protects counts of persons, not sums: leave out the sum, or suppress")]
    SumAsked,
    /// The file does not say who is in a cell.
    #[error("{0} needs a line a contributor and cell: name the column with --contributors")]
    WhoContributes(&'static str),
    /// Margins that count persons once are not sums of cells that they are in several of.
    #[error(
        "persons in several cells are counted once in a margin, so margins are not sums of cells: consistent \
         margins need one cell a person"
    )]
    MarginsNotSums,
    /// Noise could not be drawn, or its share is too small.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// Nothing gives every small count its range.
    #[error("{0} small counts would be known too closely whatever is withheld; ask for a smaller range")]
    NoRange(usize),
    /// Ranges are about counts.
    #[error("a range is for counts of persons, not for sums: ask for a range of 0")]
    RangeOfSum,
    /// The last look found that something leaks.
    #[error("the protected table is not released: {0}")]
    Stopped(#[from] crate::disclosure::inspection::Stopped),
    /// The output cannot be written.
    #[error("the protected table cannot be written: {0}")]
    Write(csv::Error),
    /// The table has no canonical encoding.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

impl From<Unproved> for FileError {
    fn from(unproved: Unproved) -> Self {
        match unproved {
            Unproved::NoRange(cells) => Self::NoRange(cells),
            Unproved::Unprotectable(cells) => Self::Unprotectable(cells),
        }
    }
}
