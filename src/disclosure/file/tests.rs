use super::*;
use crate::disclosure::attacker::computable;
use crate::disclosure::pattern::PatternKey;
use crate::disclosure::primary::{Rules, SumRule, Zeros};

const CELLS: &str = "\
place,sex,n
a,m,2
a,f,40
b,m,30
b,f,25
c,m,9
c,f,0
";

fn counted() -> Columns {
    Columns { count: "n".to_owned(), ..Columns::default() }
}

fn with_contributors() -> Columns {
    Columns { contributors: Some("id".to_owned()), ..counted() }
}

fn read(cells: &'static str, columns: &Columns) -> Result<FileTable, FileError> {
    FileTable::read(cells.as_bytes(), columns, Vec::new())
}

fn key() -> PatternKey {
    PatternKey::new([7; 32].into())
}

/// The pattern against exact recovery.
fn protect(table: &FileTable, rules: &Rules, published: &[bool]) -> Result<Vec<bool>, FileError> {
    let ask = Ask { rules, min_range: 0, published };
    Ok(table.protect(ask, &key(), &mut |_| {})?.withheld)
}

fn protected(table: &FileTable, rules: &Rules) -> (Vec<bool>, String) {
    let withheld = protect(table, rules, &[]).unwrap();
    let mut out = Vec::new();
    table.write(&withheld, &mut out).unwrap();
    (withheld, String::from_utf8(out).unwrap())
}

#[test]
fn every_cell_of_every_margin_is_written_and_withheld_ones_have_a_colon() {
    let table = read(CELLS, &counted()).unwrap();
    let (withheld, out) = protected(&table, &Rules::persons(5));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "place,sex,value,status");
    assert_eq!(lines.len(), 1 + 4 * 3);
    assert_eq!(lines[1], "Total,Total,106,");
    assert!(lines.contains(&"a,m,,:") && lines.contains(&"c,f,0,"));
    assert_eq!(lines.iter().filter(|l| l.ends_with(",:")).count(), withheld.iter().filter(|w| **w).count());
    let known = computable(&table.lattice, &withheld, &[]);
    let small = lines.iter().position(|l| *l == "a,m,,:").unwrap() - 1;
    assert!(!known[small]);
}

#[test]
fn protected_zeros_are_withheld_and_impossible_combinations_are_not() {
    let rules = Rules { zeros: Zeros::Protected, ..Rules::persons(5) };
    let (_, out) = protected(&read(CELLS, &counted()).unwrap(), &rules);
    assert!(out.contains("c,f,,:\n"));
    let cells = "place,sex,n\na,m,2\na,f,40\nb,m,30\nb,f,25\nc,m,9\nc,f,.\n";
    let (_, out) = protected(&read(cells, &counted()).unwrap(), &rules);
    assert!(out.contains("c,f,,.\n"));
}

#[test]
fn a_column_can_be_the_hierarchy_of_another() {
    let cells = "place,county,n\na,north,2\nb,north,30\nc,south,9\n";
    let hierarchy = vec![("place".to_owned(), Hierarchy::Column("county".to_owned()))];
    let table = FileTable::read(cells.as_bytes(), &counted(), hierarchy).unwrap();
    let (_, out) = protected(&table, &Rules::persons(5));
    assert!(out.starts_with("place,value,status\nTotal,41,\n"), "{out}");
    assert!(out.contains("a,,:\n") && out.contains("b,,:\n") && out.contains("north,32,\n"), "{out}");
}

#[test]
fn what_was_published_stays_published() {
    let table = read(CELLS, &counted()).unwrap();
    let (withheld, out) = protected(&table, &Rules::persons(5));
    let published = table.published_in(out.as_bytes()).unwrap();
    let stricter = Rules::persons(26);
    match protect(&table, &stricter, &published) {
        Ok(_) => panic!("a count of 25 was published and cannot be withheld now"),
        Err(error) => assert!(matches!(error, FileError::Unprotectable(n) if n > 0)),
    }
    let again = protect(&table, &Rules::persons(5), &published).unwrap();
    assert_eq!(again, withheld);
    let changed = out.replace("Total,Total,106,", "Total,Total,107,");
    assert!(matches!(table.published_in(changed.as_bytes()), Err(FileError::Changed { line: 2 })));
    let other = "place,value,status\na,1,\n";
    assert!(matches!(table.published_in(other.as_bytes()), Err(FileError::OtherColumns(_))));
}

#[test]
fn a_dominated_sum_is_withheld_and_its_contributor_cannot_compute_another() {
    let cells = "\
id,place,n,cost
h1,a,1,900
h2,a,1,50
h3,b,1,400
h4,b,1,400
h5,b,1,400
h6,c,1,300
h7,c,1,300
h8,c,1,300
";
    let columns = Columns { sum: Some("cost".to_owned()), ..with_contributors() };
    let table = read(cells, &columns).unwrap();
    let rules = Rules { sums: vec!["1:85".parse().unwrap()], ..Rules::persons(2) };
    let (withheld, out) = protected(&table, &rules);
    assert!(out.contains("Total,3050,\n") && out.contains("a,,:\n"), "{out}");
    assert_eq!(withheld.iter().filter(|w| **w).count(), 2);
    assert!(matches!(read(CELLS, &counted()).unwrap().primary(&rules), Err(FileError::NoContributors)));
}

#[test]
fn persons_in_several_cells_are_counted_once_and_cannot_be_worked_out() {
    // Six persons in both services; one more in the second alone.
    let mut cells = "id,service,n\n".to_owned();
    for person in 0..6 {
        cells += &format!("p{person},home,1\np{person},alarm,1\n");
    }
    for person in 6..16 {
        cells += &format!("p{person},home,1\n");
    }
    cells += "p20,alarm,1\nq1,day,1\nq2,day,1\n";
    let table = FileTable::read(cells.as_bytes(), &with_contributors(), Vec::new()).unwrap();
    assert_eq!(table.persons[0], 19);
    let (_, out) = protected(&table, &Rules::persons(5));
    assert!(out.contains("day,,:\n"), "{out}");
}

#[test]
fn faults_are_named() {
    let is = |cells: &'static str, columns: &Columns, fault: &str| {
        let error = read(cells, columns).unwrap_err().to_string();
        assert!(error.contains(fault), "{error}");
    };
    let other = Columns { count: "m".to_owned(), ..counted() };
    is(CELLS, &other, "no column m; the columns are place, sex, n");
    is("", &counted(), "the file is empty");
    is("place,n\n", &counted(), "no cells");
    is("n\n3\n", &counted(), "at least one dimension");
    is("place,place,n\na,a,3\n", &counted(), "stands twice in the header");
    is("place,n\na,-3\n", &counted(), "line 2: n must be a whole number");
    is("place,n\na,3.5\n", &counted(), "line 2: n must be a whole number");
    is("place,n\n,3\n", &counted(), "line 2: the column place is empty");
    is("place,n\na,3\na,4\n", &counted(), "line 3: this cell stands in the file already; several lines");
    is("place,n\na,3\nb,4\nTotal,8\n", &counted(), "line 4: this margin is not the sum");
    is("id,place,n\nx,a,2\n", &with_contributors(), "line 2: with contributors, a line counts one");
    is(
        "id,place,n\nx,a,1\nx,a,1\n",
        &with_contributors(),
        "line 3: this cell stands in the file already for",
    );
    assert!(read("place,n\na,3\nb,4\nTotal,7\n", &counted()).is_ok());
    let hierarchy = |name: &str, text: &'static str| {
        let lines = Hierarchy::Lines(Box::new(text.as_bytes()));
        FileTable::read(CELLS.as_bytes(), &counted(), vec![(name.to_owned(), lines)]).unwrap_err().to_string()
    };
    assert!(hierarchy("region", "a,x\n").contains("no dimension region"));
    assert!(hierarchy("place", "z,x\n").contains("line 1: the child is neither"));
}

/// Small counts of a table are known no closer than asked for, and the rest is told as it is.
fn widened(table: &FileTable, rules: &Rules, min_range: u64) {
    let protected = table.protect(Ask { rules, min_range, published: &[] }, &key(), &mut |_| {}).unwrap();
    for cell in 0..table.cells() {
        assert_eq!(protected.withheld[cell], protected.ranges[cell].is_some());
        let persons = table.persons[cell];
        let Some(range) = protected.ranges[cell] else {
            assert!(!rules.is_small(persons) || table.impossible[cell]);
            continue;
        };
        assert!(range.low <= persons && persons <= range.high);
        assert!(range.low > 0 || rules.zeros == Zeros::Protected);
        assert!(!rules.is_small(persons) || range.high - range.low >= min_range);
    }
}

#[test]
fn a_small_count_has_its_range() {
    widened(&read(CELLS, &counted()).unwrap(), &Rules::persons(5), 5);
    widened(&read(CELLS, &counted()).unwrap(), &Rules::persons(5), 9);
    let zeros = Rules { zeros: Zeros::Protected, ..Rules::persons(5) };
    widened(&read(CELLS, &counted()).unwrap(), &zeros, 5);
    let cells = "place,sex,n\na,m,2\na,f,40\nb,m,30\nb,f,25\nc,m,9\nc,f,.\n";
    widened(&read(cells, &counted()).unwrap(), &zeros, 5);
}

#[test]
fn a_small_count_of_persons_in_several_cells_has_its_range() {
    // Twelve persons use x, nine use y, three of them both; two use z, one of them x as well.
    let mut cells = "service,id,n\n".to_owned();
    for (service, persons) in [("x", 0..12), ("y", 9..18), ("z", 11..13)] {
        for person in persons {
            cells += &format!("{service},p{person},1\n");
        }
    }
    let table = FileTable::read(cells.as_bytes(), &with_contributors(), Vec::new()).unwrap();
    assert!(!table.lattice.is_additive(&table.persons));
    widened(&table, &Rules::persons(5), 5);
}

#[test]
fn a_range_that_what_is_published_rules_out_is_refused() {
    let table = read("place,n\na,2\nb,3\nc,50\n", &counted()).unwrap();
    let published = [true, false, false, true];
    let rules = Rules::persons(5);
    let asked = |min_range| {
        table.protect(Ask { rules: &rules, min_range, published: &published }, &key(), &mut |_| {})
    };
    // The two sum to five, and each is one at least.
    assert!(asked(3).is_ok());
    assert!(matches!(asked(4), Err(FileError::NoRange(2))));
}

#[test]
fn few_reporting_units_and_an_estimate_of_the_largest_are_withheld() {
    // Ten persons in each place: those of a were reported by one unit, those of b by three.
    let mut cells = "place,id,unit,cost,n\n".to_owned();
    for person in 0..10 {
        cells += &format!(
            "a,{person},u1,10,1\nb,{},u{},10,1\nc,{},u{},10,1\n",
            10 + person,
            person % 3,
            20 + person,
            person % 3
        );
    }
    let columns = Columns { units: Some("unit".to_owned()), ..with_contributors() };
    let reported = FileTable::read(
        cells.replace(",cost", "").replace(",10,1", ",1").leak().as_bytes(),
        &columns,
        Vec::new(),
    );
    let rules = Rules { min_units: 3, ..Rules::persons(5) };
    let places = |table: &FileTable, rules: &Rules| table.primary(rules).unwrap()[1..].to_vec();
    assert_eq!(places(&reported.unwrap(), &rules), [true, false, false]);

    // One of b's costs nearly all there is: the second largest knows it to within 10 %.
    let costs = cells.replace("b,10,u0,10", "b,10,u0,5000").leak();
    let columns =
        Columns { sum: Some("cost".to_owned()), units: Some("unit".to_owned()), ..with_contributors() };
    let table = FileTable::read(costs.as_bytes(), &columns, Vec::new()).unwrap();
    let rules = Rules { sums: vec![SumRule::percent(10)], ..Rules::persons(5) };
    assert_eq!(places(&table, &rules), [false, true, false]);
}
