//! Records as an approval grants them: every value the true one, at the granularity that is asked for and approved. They
//! single persons out, which the report for the stewards counts.

use std::rc::Rc;

use super::choice::{Chosen, bottom};
use super::classes::Frame;
use super::extract::Extract;
use super::search::Choice;
use super::suppression::Suppressed;
use super::{Checked, MicrodataError, columns, generalised, order, risk, verify};
use crate::authorise::IndirectGrant;
use crate::domain::ids::RunId;
use crate::domain::method::Method;
use crate::domain::microdata::{Identifiable, MicrodataReport, MicrodataTable};

/// Makes indirectly identifiable microdata. That they may be given is what the grant says, and only
/// [`crate::authorise`] makes one.
///
/// # Errors
/// [`MicrodataError`]; nothing may leave then.
pub(super) fn granted(
    run: RunId,
    title: String,
    extract: &Extract,
    grant: &IndirectGrant,
) -> Result<Checked, MicrodataError> {
    extract.check()?;
    let (frame, keys) = Frame::of(extract)?;
    let chosen = as_they_are(&frame, &keys);
    let order = order(extract);
    let table = MicrodataTable {
        run,
        title,
        serials: order.iter().filter_map(|&row| extract.serials.get(row).cloned()).collect(),
        columns: columns(extract, &frame, &keys, &chosen, &order),
        report: MicrodataReport {
            rule: grant.rule().clone(),
            rule_text: Method::AS_APPROVED_TEXT.to_owned(),
            min_persons: 1,
            rows: extract.rows() as u64,
            suppressed: 0,
            generalised: generalised(extract, &chosen, &frame),
            terms: Some(grant.terms().clone()),
        },
    };
    // Measured on the rows that leave, by the code of the gate.
    let groups = verify::verify_granted(extract, &table)?;
    let small = grant.small();
    let in_groups = |below: usize| groups.iter().filter(|group| **group < below).sum::<usize>() as u64;
    let mut risk = risk::risk(extract, &frame, &chosen, (1, 0));
    risk.identifiable = Some(Identifiable {
        unique: in_groups(2),
        small,
        in_small: in_groups(small as usize),
        terms: grant.terms().clone(),
    });
    Ok(Checked { table, risk })
}

/// The lowest level of each quasi-identifier, and nothing suppressed.
fn as_they_are(frame: &Frame, keys: &[u64]) -> Chosen {
    let classes = bottom(keys);
    let mut members: Vec<(u64, u32)> = keys.iter().copied().zip(0..).collect();
    members.sort_unstable();
    let choice = Choice {
        levels: vec![0; frame.trees.len()],
        classes: Rc::new(classes),
        suppressed: Suppressed::default(),
        loss: 0,
    };
    Chosen { choice, members, steps: 0 }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::LazyLock;

    use super::super::fixtures::{extract, key, list, quasi, random, run, sensitive};
    use super::super::{Fault, anonymise};
    use super::*;
    use crate::authorise::fixtures::indirect_grant;
    use crate::domain::microdata::{Role, Values};

    /// Policies are read for it, once for all tests.
    static GRANT: LazyLock<IndirectGrant> = LazyLock::new(indirect_grant);

    fn made(extract: &Extract) -> Checked {
        granted(run(), "Records".to_owned(), extract, &GRANT).unwrap()
    }

    /// The true codes of each row, by its serial number, counted without the frame.
    fn groups(extract: &Extract) -> HashMap<Vec<u32>, usize> {
        let mut groups: HashMap<Vec<u32>, usize> = HashMap::new();
        for row in 0..extract.rows() {
            *groups.entry(extract.quasi.iter().map(|q| q.codes[row]).collect()).or_default() += 1;
        }
        groups
    }

    #[test]
    fn every_value_is_the_true_one_and_the_report_counts_who_stands_out() {
        let mut singled = 0;
        for seed in 0..300 {
            let (extract, _) = random(seed);
            let Checked { table, risk } = made(&extract);
            assert!(table.serials.is_sorted() && table.serials.len() == extract.rows());
            let row_of: HashMap<_, usize> = extract.serials.iter().zip(0..).collect();
            for (at, serial) in table.serials.iter().enumerate() {
                let row = row_of[serial];
                for (column, of) in table.columns.iter().zip(&extract.quasi) {
                    assert!(matches!(column.role, Role::QuasiIdentifier { level: 0, .. }));
                    assert_eq!(column.values.value(at), Some(of.codes[row].into()));
                }
                let others = table.columns.iter().skip(extract.quasi.len());
                for (column, of) in others.zip(&extract.attributes) {
                    assert_eq!(column.values.value(at), of.values.value(row));
                }
            }
            let sizes: Vec<usize> = groups(&extract).into_values().collect();
            let told = risk.identifiable.unwrap();
            let below = |most: usize| sizes.iter().filter(|&&n| n < most).sum::<usize>() as u64;
            assert_eq!((told.unique, told.small, told.in_small), (below(2), 5, below(5)));
            assert_eq!(
                (risk.rows, risk.classes, risk.suppressed, risk.loss_permille),
                (extract.rows() as u64, sizes.len() as u64, 0, 0)
            );
            // The ranges of sizes begin with those who are alone.
            let alone = risk.sizes.iter().find(|range| range.from == 1).map_or(0, |range| range.rows);
            assert_eq!(alone, told.unique);
            if told.unique > 0 {
                assert_eq!(risk.prosecutor_ppm, 1_000_000);
                singled += 1;
            }
            // The terms go with the records and with what stewards sign.
            assert_eq!(table.report.terms.as_ref(), Some(&told.terms));
            assert_eq!(&told.terms, GRANT.terms());
        }
        assert!(singled > 100, "records stand out in most of these: {singled}");
    }

    #[test]
    fn the_order_of_input_does_not_show() {
        let (mut extract, _) = random(7);
        let first = made(&extract).table;
        extract.serials.reverse();
        extract.quasi.iter_mut().for_each(|quasi| quasi.codes.reverse());
        let backwards: Vec<usize> = (0..extract.serials.len()).rev().collect();
        for attribute in &mut extract.attributes {
            attribute.values = attribute.values.reordered(&backwards);
        }
        assert!(made(&extract).table == first);
    }

    /// What the gate is for: records other than the true ones do not leave as these, nor such ones as anonymous.
    #[test]
    fn the_gate_stops_what_is_not_so() {
        let places = || list("places", &[None, Some(0), Some(0), Some(1), Some(1)]);
        let of = |codes: &[u32]| {
            let seen = codes.iter().map(|_| Some(1)).collect();
            extract(vec![quasi("place", places(), codes.to_vec())], vec![sensitive(seen, None)])
        };
        let rows = of(&[2, 3, 3, 4, 4]);
        let changed = |change: fn(&mut MicrodataTable)| {
            let mut table = made(&rows).table;
            change(&mut table);
            verify::verify_granted(&rows, &table)
        };
        assert_eq!(changed(|_| {}).map(|groups| groups.into_iter().sum()), Ok(5_usize));
        let set = |table: &mut MicrodataTable, code| {
            let Values::Codes { codes, .. } = &mut table.columns[0].values else { panic!() };
            let at = codes.iter().position(|code| *code == Some(3)).unwrap();
            codes[at] = code;
        };
        // The county, nothing, and another place.
        for code in [Some(1), None, Some(4)] {
            let mut table = made(&rows).table;
            set(&mut table, code);
            assert_eq!(verify::verify_granted(&rows, &table), Err(Fault::Hierarchy), "{code:?}");
        }
        assert_eq!(changed(|table| drop(table.serials.pop())), Err(Fault::Rows));
        assert_eq!(changed(|table| table.report.terms = None), Err(Fault::Report));
        assert_eq!(changed(|table| table.report.min_persons = 5), Err(Fault::Report));
        // Anonymous ones cannot carry terms, which would let them out unjudged.
        let made = |seed| {
            let (extract, rule) = random(seed);
            let made = anonymise(run(), "Records".to_owned(), &extract, &rule, &key()).ok()?;
            Some((extract, rule, made.table))
        };
        let (many, rule, mut table) = (0..50).find_map(made).unwrap();
        table.report.terms = Some(GRANT.terms().clone());
        assert_eq!(verify::verify(&many, &table, &rule), Err(Fault::Report));
    }
}
