//! Faults as real deliveries have them, at stated rates.

use super::draw::Draw;

/// A kind of fault. What each looks like is told in `docs/deliveries.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The person's serial number is empty.
    MissingPerson,
    /// The other sex than the person's.
    ConflictingSex,
    /// Another municipality than the person's.
    ConflictingMunicipality,
    /// The same line once more.
    DuplicateLine,
    /// A wrong last check digit in an identity file.
    InvalidNumber,
    /// 30 February, or a date outside the delivery's year.
    ImpossibleDate,
    /// A number valid only by the rule from 2032. Not an error, but hard.
    NumberBy2032Rule,
    /// A field in Latin-1.
    WrongEncoding,
    /// The line ends before its last field.
    TruncatedLine,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::MissingPerson,
        Self::ConflictingSex,
        Self::ConflictingMunicipality,
        Self::DuplicateLine,
        Self::InvalidNumber,
        Self::ImpossibleDate,
        Self::NumberBy2032Rule,
        Self::WrongEncoding,
        Self::TruncatedLine,
    ];

    /// Its name, in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingPerson => "missing person",
            Self::ConflictingSex => "conflicting sex",
            Self::ConflictingMunicipality => "conflicting municipality",
            Self::DuplicateLine => "duplicate line",
            Self::InvalidNumber => "invalid number",
            Self::ImpossibleDate => "impossible date",
            Self::NumberBy2032Rule => "number by the 2032 rule",
            Self::WrongEncoding => "wrong encoding",
            Self::TruncatedLine => "truncated line",
        }
    }
}

/// Lines with each kind of fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FaultCounts([u64; Fault::ALL.len()]);

impl FaultCounts {
    pub(super) fn add(&mut self, fault: Fault) {
        if let Some(count) = self.0.get_mut(fault as usize) {
            *count += 1;
        }
    }

    pub(super) fn add_all(&mut self, other: Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Fault, u64)> {
        Fault::ALL.into_iter().zip(self.0)
    }
}

/// Faults that a kind of line can have, in lines a million.
pub(super) type Rates = [(Fault, u32)];

/// ENKELTREGNING: 0.5 % of the lines.
pub(super) const CONTACT: &Rates = &[
    (Fault::MissingPerson, 1000),
    (Fault::ConflictingSex, 600),
    (Fault::ConflictingMunicipality, 1000),
    (Fault::DuplicateLine, 800),
    (Fault::ImpossibleDate, 600),
    (Fault::WrongEncoding, 400),
    (Fault::TruncatedLine, 600),
];
/// EPISODE: 0.5 % of the lines.
pub(super) const EPISODE: &Rates = &[
    (Fault::MissingPerson, 1000),
    (Fault::ConflictingMunicipality, 1000),
    (Fault::DuplicateLine, 1000),
    (Fault::ImpossibleDate, 800),
    (Fault::WrongEncoding, 500),
    (Fault::TruncatedLine, 700),
];
/// TJENESTE: 0.5 % of the lines.
pub(super) const SERVICE: &Rates = &[
    (Fault::MissingPerson, 1000),
    (Fault::ConflictingMunicipality, 1000),
    (Fault::DuplicateLine, 1000),
    (Fault::ImpossibleDate, 1000),
    (Fault::TruncatedLine, 1000),
];
/// DIAGNOSE, TAKST and FUNKSJON: 0.5 % of the lines.
pub(super) const DETAIL: &Rates = &[(Fault::DuplicateLine, 2500), (Fault::TruncatedLine, 2500)];
/// KPR_IDE and NPR_IDE.
pub(super) const IDENTITY: &Rates = &[(Fault::InvalidNumber, 2000)];
/// The share of persons whose number is valid only by the rule from 2032.
pub(super) const NEW_RULE_SHARE: f64 = 0.003;

/// Whether and where faults go in one person's lines of one delivery.
pub(super) struct Faults(Option<Draw>);

impl Faults {
    /// Faults from this stream; none at all without one.
    pub(super) fn new(draw: Option<Draw>) -> Self {
        Self(draw)
    }

    /// The fault of the next line, if it has one.
    pub(super) fn next(&mut self, rates: &Rates) -> Option<Fault> {
        let at = self.0.as_mut()?.below(1_000_000);
        let mut upto = 0;
        rates
            .iter()
            .find(|(_, rate)| {
                upto += rate;
                at < upto
            })
            .map(|(fault, _)| *fault)
    }

    /// True for every other fault: which of two forms it takes.
    pub(super) fn first_form(&mut self) -> bool {
        self.0.as_mut().is_some_and(|draw| draw.below(2) == 0)
    }
}
