//! Local suppression: which rows lose all their quasi-identifiers.

use super::classes::{Class, Frame};

/// The classes that are suppressed, as sorted keys, and how many rows they have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Suppressed {
    pub(super) keys: Vec<u64>,
    pub(super) rows: u64,
}

impl Suppressed {
    /// Whether a class is suppressed.
    pub(super) fn has(&self, key: u64) -> bool {
        self.keys.binary_search(&key).is_ok()
    }
}

/// Every class of fewer than `least` rows; and where these are fewer than `least` rows together, the
/// smallest of the others too, since suppressed rows are a class of their own. Of equal ones that which
/// tells least goes, and then `tie`, a keyed draw, decides. `None` where there are fewer than `least` rows. Looks at
/// quasi-identifiers only.
pub(super) fn suppress(frame: &Frame, classes: &[Class], least: u32, tie: u64) -> Option<Suppressed> {
    let mut found = Suppressed::default();
    for class in classes.iter().filter(|class| class.rows < least) {
        found.keys.push(class.key);
        found.rows += u64::from(class.rows);
    }
    if found.rows > 0 && found.rows < u64::from(least) {
        let large = classes.iter().filter(|class| class.rows >= least);
        let cost = |class: &&Class| (class.rows, frame.whole() - frame.loss(class.key));
        let cheapest = large.clone().map(|class| cost(&class)).min()?;
        let equal: Vec<&Class> = large.filter(|class| cost(class) == cheapest).collect();
        let drawn = usize::try_from(tie.checked_rem(equal.len() as u64)?).ok()?;
        let class = equal.get(drawn)?;
        found.keys.push(class.key);
        found.rows += u64::from(class.rows);
    }
    found.keys.sort_unstable();
    Some(found)
}
