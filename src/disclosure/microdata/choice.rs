//! Which generalisation is released, and why the choice tells nothing of the sensitive variables.
//!
//! An attacker who knows everybody's quasi-identifiers and this source code can ask why the data were not
//! left finer. If that was because some class was not diverse, the sensitive values of its rows are
//! betrayed (minimality attack, Wong 2007). So the levels, and the rows to suppress, are chosen by the
//! quasi-identifiers alone. Where the sensitive variables are not diverse there, larger classes are asked
//! for, of twice the size, again by quasi-identifiers alone; and by a keyed draw in a quarter of cases also
//! where they are diverse. That the next step was taken is therefore at most four times as likely under
//! one set of sensitive values as under another.

use rand::Rng;

use super::MicrodataError;
use super::classes::{Class, Frame, merged};
use super::diversity;
use super::extract::Extract;
use super::rule::MicrodataRule;
use super::search::{Choice, Search};

/// By how much classes grow from one step to the next.
const GROWTH: u32 = 2;

/// What is released.
pub(super) struct Chosen {
    pub(super) choice: Choice,
    /// Rows by class at the chosen levels, suppressed rows under a key of their own.
    pub(super) members: Vec<(u64, u32)>,
    /// How often larger classes were asked for.
    pub(super) steps: u32,
}

/// The classes of the rows as they are delivered.
pub(super) fn bottom(keys: &[u64]) -> Vec<Class> {
    merged(keys.iter().map(|&key| Class { key, rows: 1 }).collect())
}

/// Chooses levels and suppressed rows. `rng` must depend on the quasi-identifiers and a secret only.
pub(super) fn choose(
    extract: &Extract,
    frame: &Frame,
    keys: &[u64],
    rule: &MicrodataRule,
    rng: &mut impl Rng,
) -> Result<Chosen, MicrodataError> {
    let limit = rule.suppressed_limit(keys.len());
    let mut search = Search::new(frame, bottom(keys), rng)?;
    let mut choice =
        search.best(rule.min_persons(), limit, &vec![0; frame.trees.len()]).ok_or(MicrodataError::TooFew)?;
    let mut least = rule.min_persons();
    let mut steps = 0;
    loop {
        let climbs = rng.next_u64() & 3 == 0;
        let members = members(frame, keys, &choice);
        let diverse = extract.diverse().all(|(values, asked)| diversity::holds(&members, values, asked));
        let last = choice.levels == frame.top();
        let may_climb = climbs && !last && extract.diverse().next().is_some();
        if diverse && !may_climb {
            return Ok(Chosen { choice, members, steps });
        }
        if last {
            return Err(MicrodataError::NotDiverse);
        }
        // Steps that change nothing are passed over: they are decided by quasi-identifiers too.
        choice = loop {
            least = least.saturating_mul(GROWTH);
            match search.best(least, limit, &choice.levels) {
                Some(next) if next.levels == choice.levels && next.suppressed == choice.suppressed => {}
                Some(next) => break next,
                None => break search.top(rule.min_persons()).ok_or(MicrodataError::TooFew)?,
            }
        };
        steps += 1;
    }
}

/// Rows by class, sorted.
fn members(frame: &Frame, keys: &[u64], choice: &Choice) -> Vec<(u64, u32)> {
    let lift = frame.lift(&vec![0; frame.trees.len()], &choice.levels);
    let mut members: Vec<(u64, u32)> = (0..)
        .zip(keys)
        .map(|(row, &key)| {
            let key = lift(key);
            (if choice.suppressed.has(key) { frame.unknown() } else { key }, row)
        })
        .collect();
    members.sort_unstable();
    members
}
