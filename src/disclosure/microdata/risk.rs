//! Risk and loss of a release, for the stewards.
#![allow(clippy::indexing_slicing, reason = "variables and levels are indices of the frame")]

use super::choice::Chosen;
use super::classes::Frame;
use super::diversity::measure;
use super::extract::{Extract, Kind};
use super::hierarchy::WHOLE;
use crate::domain::microdata::{ClassSizes, Diverse, Generalised, RiskReport};

/// The report on what was chosen. Sizes of classes are counted in ranges from `least` on.
pub(super) fn risk(
    extract: &Extract,
    frame: &Frame,
    chosen: &Chosen,
    (least, suppressed_limit): (u64, u64),
) -> RiskReport {
    let members = &chosen.members;
    let rows = members.len() as u64;
    let sizes: Vec<u64> = members.chunk_by(|a, b| a.0 == b.0).map(|class| class.len() as u64).collect();
    let smallest = sizes.iter().copied().min().unwrap_or(0);
    let classes = sizes.len() as u64;
    let suppressed = &chosen.choice.suppressed;
    let generalised: Vec<Generalised> = extract
        .quasi
        .iter()
        .enumerate()
        .map(|(v, quasi)| {
            let tree = &frame.trees[v];
            let kept = chosen.choice.classes.iter().filter(|class| !suppressed.has(class.key));
            let lost = kept.map(|c| u128::from(c.rows) * u128::from(tree.loss(frame.code(c.key, v))));
            let lost = lost.sum::<u128>() + u128::from(suppressed.rows) * u128::from(WHOLE);
            Generalised {
                variable: quasi.variable.clone(),
                level: chosen.choice.levels[v] as u32,
                highest: tree.highest() as u32,
                loss_permille: permille(lost, u128::from(rows) * u128::from(WHOLE)),
            }
        })
        .collect();
    let discernible = chosen.choice.classes.iter().filter(|class| !suppressed.has(class.key));
    let discernibility =
        discernible.map(|class| u64::from(class.rows).pow(2)).sum::<u64>() + suppressed.rows * rows;
    let sensitive = extract.attributes.iter().filter_map(|a| match &a.kind {
        Kind::Sensitive(asked) => {
            let measured = measure(members, &a.values, asked.as_ref());
            Some(Diverse {
                variable: a.variable.clone(),
                asked: asked.as_ref().map(super::rule::Diversity::l),
                largest_share_permille: measured.largest_share_permille,
                distinct: measured.distinct,
                entropy_l_milli: measured.entropy_l_milli,
                skewness_permille: measured.skewness_permille,
            })
        }
        Kind::Other => None,
    });
    RiskReport {
        rows,
        classes,
        smallest,
        sizes: histogram(&sizes, least),
        suppressed: suppressed.rows,
        suppressed_limit,
        steps: chosen.steps,
        prosecutor_ppm: WHOLE.div_ceil(smallest.max(1)),
        marketer_ppm: (classes * WHOLE).div_ceil(rows.max(1)),
        expected_reidentified: classes,
        loss_permille: permille(chosen.choice.loss, u128::from(rows) * u128::from(frame.whole())),
        generalised,
        discernibility,
        sensitive: sensitive.collect(),
        identifiable: None,
    }
}

fn permille(part: u128, whole: u128) -> u64 {
    u64::try_from((part * 1000).div_ceil(whole.max(1))).unwrap_or(1000)
}

/// Classes by size, in ranges that double from the least size on.
fn histogram(sizes: &[u64], least: u64) -> Vec<ClassSizes> {
    let most = sizes.iter().copied().max().unwrap_or(0);
    std::iter::successors(Some(least), |from| from.checked_mul(2))
        .take_while(|&from| from <= most)
        .map(|from| {
            let within = sizes.iter().filter(|&&size| size >= from && size / 2 < from);
            let (classes, rows) = within.fold((0, 0), |(n, rows), size| (n + 1, rows + size));
            ClassSizes { from, classes, rows }
        })
        .filter(|range| range.classes > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_in_one_range() {
        let found = histogram(&[3, 5, 6, 12, 11, 100], 3);
        let expected = [(3, 2, 8), (6, 2, 17), (12, 1, 12), (96, 1, 100)]
            .map(|(from, classes, rows)| ClassSizes { from, classes, rows });
        assert_eq!(found, expected);
    }
}
