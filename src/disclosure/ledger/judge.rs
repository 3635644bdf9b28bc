//! The judgement of a release together with what its recipients know already.
#![allow(clippy::indexing_slicing, reason = "cells are indices of the proposal")]

use rand::Rng;

use super::family::Family;
use super::ground::Ground;
use super::membership::Membership;
use super::peel::peel;
use super::refine::{Reach, refine};
use super::release::{Release, WrongPattern};
use crate::domain::refusal::{Refusal, RefusalKind};

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// Who is in its cells.
    pub membership: &'a Membership,
    /// For each cell whether it is to be withheld.
    pub withheld: &'a [bool],
    /// The least number of persons k of the rule.
    pub least: u32,
}

/// What a recipient knows: what is public, and what was released to any project of its organisation.
#[derive(Debug, Clone, Default)]
pub struct KnowledgeSet<'a> {
    releases: Vec<&'a Release>,
    cells: usize,
    lacking: bool,
}

impl KnowledgeSet<'_> {
    /// The same set with a release more, of which neither the membership is kept nor can the definition be
    /// evaluated again. Nothing can be judged beside it.
    #[must_use]
    pub fn lacking_one(self) -> Self {
        Self { lacking: true, ..self }
    }
}

impl<'a> FromIterator<&'a Release> for KnowledgeSet<'a> {
    fn from_iter<I: IntoIterator<Item = &'a Release>>(releases: I) -> Self {
        let releases: Vec<&Release> = releases.into_iter().collect();
        let cells = releases.iter().map(|release| release.membership().cells()).sum();
        Self { releases, cells, lacking: false }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It may be released as proposed.
    Release,
    /// It may be released if these further cells are withheld too.
    WithholdMore(Vec<usize>),
    /// It may not be released.
    Refuse(Refused),
}

/// Why a release is refused. The texts name what would be accepted and depend on no count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// By definition: more releases or cells than are judged together.
    #[error(
        "the recipient has received more than is judged together; ask under an earlier table's definition"
    )]
    TooMuchKnown,
    /// By definition: an earlier release can no longer be evaluated.
    #[error(
        "an earlier release to the recipient can no longer be compared with; ask on data of which nothing has \
         been released to it"
    )]
    EarlierGone,
    /// Nothing would be left of it, or no pattern is found.
    #[error(
        "the table cannot be released beside what the recipient has received; ask for coarser dimensions, or \
         for groups that differ less finely from those of earlier tables"
    )]
    NotBesideEarlier,
    /// By definition: the organisation has received other microdata.
    #[error("an organisation receives microdata once; ask the question they answered, or for a table")]
    MicrodataOnce,
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        if refused == Refused::MicrodataOnce {
            return Self::new(RefusalKind::Precondition, "disclosure.microdata_once", refused.to_string());
        }
        // One text for all: one that depends on counts reads like those that do not.
        let hint = "the result cannot be released beside what its recipients have received; ask for coarser \
                    dimensions, for groups that differ less finely from those of earlier tables, or on data \
                    of which nothing has been released to them";
        Self::new(RefusalKind::Precondition, "disclosure.not_beside_earlier", hint)
    }
}

/// The most releases that are judged together.
pub const MOST_RELEASES: usize = 10_000;
/// The most cells that are judged together.
pub const MOST_CELLS: usize = 2_000_000;
/// How many persons must be able to leave a group for it to give and take whatever a change to fewer than `least` persons
/// needs.
pub(super) const fn enough(least: u32) -> u32 {
    2 * least.saturating_sub(1)
}

/// The most combinations of earlier cells that are brought over common atoms; beyond them a release is refused.
const MOST_VECTORS: usize = 50_000;

/// Judges a proposal against each knowledge set that it would become part of: its recipient's, or every
/// one if it is to be published. The draws break ties; they belong to the table (`PatternKey`), so that
/// the same table is answered the same way.
///
/// # Errors
/// [`WrongPattern`].
pub fn judge(
    proposal: Proposal<'_>,
    knowledge: &[KnowledgeSet<'_>],
    rng: &mut impl Rng,
) -> Result<Judgement, WrongPattern> {
    judge_within(MOST_VECTORS, proposal, knowledge, rng)
}

/// The same, where no more than some combinations of earlier cells are brought over the atoms of all persons.
pub(super) fn judge_within(
    most_vectors: usize,
    proposal: Proposal<'_>,
    knowledge: &[KnowledgeSet<'_>],
    rng: &mut impl Rng,
) -> Result<Judgement, WrongPattern> {
    let Proposal { membership, withheld: proposed, least } = proposal;
    if proposed.len() != membership.cells() {
        return Err(WrongPattern);
    }
    let too_much = |set: &KnowledgeSet<'_>| {
        set.releases.len() >= MOST_RELEASES || set.cells + membership.cells() > MOST_CELLS
    };
    if knowledge.iter().any(too_much) {
        return Ok(Judgement::Refuse(Refused::TooMuchKnown));
    }
    if knowledge.iter().any(|set| set.lacking) {
        return Ok(Judgement::Refuse(Refused::EarlierGone));
    }
    let counts = membership.counts();
    let mut withheld = proposed.to_vec();
    for set in knowledge {
        // Withholding more never tells more, so what one set needs does not undo what another needed.
        let mut families = Family::all(&set.releases);
        let few: Vec<&[u32]> = set.releases.iter().flat_map(|release| release.few()).collect();
        peel(&mut families, &membership.population.persons, &few, enough(least));
        let many = families.iter().map(|family| family.space.vectors().count()).sum::<usize>() > most_vectors;
        // Most often the persons asked for and those around them are enough to see that nothing can be counted anew.
        let around = refine(&families, membership, Reach::Asked, &few, enough(least), rng);
        if around.earlier.len() <= MOST_VECTORS && Ground::new(&around, &counts, least).has_room(&withheld) {
            continue;
        }
        drop(around);
        if many {
            return Ok(Judgement::Refuse(Refused::NotBesideEarlier));
        }
        let refined = refine(&families, membership, Reach::Connected, &few, enough(least), rng);
        drop(families);
        let mut ground = Ground::new(&refined, &counts, least);
        if ground.protect(&mut withheld, rng).is_err() {
            return Ok(Judgement::Refuse(Refused::NotBesideEarlier));
        }
    }
    let more: Vec<usize> = (0..withheld.len()).filter(|&c| withheld[c] && !proposed[c]).collect();
    let nothing_left = (0..withheld.len()).all(|c| withheld[c] || counts[c] == 0);
    Ok(match more.is_empty() {
        true => Judgement::Release,
        false if nothing_left => Judgement::Refuse(Refused::NotBesideEarlier),
        false => Judgement::WithholdMore(more),
    })
}
