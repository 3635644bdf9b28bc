//! Folded tables under attack by one who knows what folding tells.

use proptest::prelude::*;

use super::FoldedFile;
use crate::disclosure::attacker::computable;
use crate::disclosure::file::{Columns, FileError, FileTable, Hierarchy, ProtectedTable};
use crate::disclosure::inspection::Range;
use crate::disclosure::pattern::PatternKey;
use crate::disclosure::primary::{Rules, Zeros};

fn columns() -> Columns {
    Columns { count: "n".to_owned(), ..Columns::default() }
}

/// A table of six places in two counties by sex and age, with these counts in turn.
fn table(counts: &[u64]) -> FileTable {
    let mut cells = "place,county,sex,age,n\n".to_owned();
    let mut next = counts.iter().cycle();
    for place in 0..6 {
        for sex in ["m", "f"] {
            for age in ["young", "old"] {
                let count = next.next().unwrap();
                cells += &format!("p{place},c{},{sex},{age},{count}\n", place / 3);
            }
        }
    }
    let county = vec![("place".to_owned(), Hierarchy::Column("county".to_owned()))];
    FileTable::read(cells.as_bytes(), &columns(), county).unwrap()
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![6 => Just(0u64), 3 => 1u64..5, 3 => 5u64..40, 1 => 40u64..400]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    /// Who knows rule, folding and all that is published computes no count of 1 to k-1. That a category which is
    /// shown has k persons at least is no knowledge beside the numbers: its total is among them.
    #[test]
    fn no_small_count_follows_from_a_folded_table(
        counts in prop::collection::vec(count(), 24), zeros in any::<bool>(), byte in any::<u8>(),
        min_range in prop::sample::select(vec![0, 5]),
    ) {
        let zeros = if zeros { Zeros::Protected } else { Zeros::Published };
        let rules = Rules { zeros, ..Rules::persons(5) };
        let table = table(&counts);
        let key = PatternKey::new([byte; 32].into());
        let FoldedFile { table: folded, protected: ProtectedTable { withheld, ranges }, .. } =
            match table.fold(&rules, min_range, &key, &mut |_| {}) {
                Ok(folded) => folded,
                Err(FileError::FoldUnprotectable(cells)) if cells > 0 => return Ok(()),
                Err(FileError::FoldNoRange(cells)) if cells > 0 && min_range > 0 => return Ok(()),
                Err(error) => panic!("{error}"),
            };
        let (lattice, persons) = (&folded.lattice, &folded.persons);
        for (cell, shown) in folded.margins_of_one().into_iter().enumerate() {
            let told = !shown || !withheld[cell] && (persons[cell] >= 5 || persons[cell] == 0);
            prop_assert!(told, "{}", persons[cell]);
        }
        let empty: Vec<usize> = lattice.inner().into_iter().filter(|&c| persons[c] == 0 && !withheld[c]).collect();
        let known = computable(lattice, &withheld, &empty);
        for cell in 0..lattice.cells() {
            let small = rules.is_small(persons[cell]);
            prop_assert!(!(known[cell] && small), "{}", persons[cell]);
            let wide = |range: &Range| range.high - range.low >= min_range;
            prop_assert!(!small || min_range == 0 || ranges[cell].as_ref().is_some_and(wide));
        }
        prop_assert_eq!(persons[0], table.persons[0]);
    }
}

#[test]
fn most_tables_can_be_folded_and_protected() {
    let key = PatternKey::new([1; 32].into());
    let some = [0, 3, 12, 1, 0, 40, 7, 0, 2, 31, 5, 0, 0, 4, 90, 6, 1, 0, 22, 8];
    let protected = (0..8).filter(|turn| {
        let counts: Vec<u64> = some.iter().cycle().skip(*turn).take(24 + turn).copied().collect();
        table(&counts).fold(&Rules::persons(5), 0, &key, &mut |_| {}).is_ok()
    });
    assert!(protected.count() >= 6);
}

#[test]
fn what_would_take_ovrig_apart_is_refused() {
    let key = PatternKey::new([1; 32].into());
    let fold = |cells: &'static str, columns: Columns| {
        let table = FileTable::read(cells.as_bytes(), &columns, Vec::new()).unwrap();
        table.fold(&Rules::persons(5), 5, &key, &mut |_| {}).unwrap_err().to_string()
    };
    let impossible =
        "icd,sex,n\nprostate,m,3\nprostate,f,.\npregnancy,m,.\npregnancy,f,30\nflu,m,90\nflu,f,80\n";
    assert!(fold(impossible, columns()).contains("count them as 0"));
    let cost = Columns { sum: Some("cost".to_owned()), ..columns() };
    assert!(fold("icd,n,cost\na,3,5\nb,9,9\n", cost).contains("not sums"));
    let who = Columns { contributors: Some("id".to_owned()), ..columns() };
    assert!(fold("id,icd,n\nx,a,1\nx,b,1\ny,a,1\n", who).contains("do not add up"));
    let two = vec![
        ("place".to_owned(), Hierarchy::Lines(Box::new("a,north\nb,south\n".as_bytes()))),
        ("place".to_owned(), Hierarchy::Lines(Box::new("a,coast\nb,coast\n".as_bytes()))),
    ];
    let table = FileTable::read("place,n\na,3\nb,9\n".as_bytes(), &columns(), two).unwrap();
    let error = table.fold(&Rules::persons(5), 5, &key, &mut |_| {}).unwrap_err();
    assert!(matches!(error, FileError::SeveralHierarchies(name) if name == "place"));
    let table = FileTable::read("place,n\na,3\nb,9\n".as_bytes(), &columns(), Vec::new()).unwrap();
    assert!(matches!(table.fold(&Rules::persons(2), 5, &key, &mut |_| {}), Err(FileError::Rule(_))));
}
