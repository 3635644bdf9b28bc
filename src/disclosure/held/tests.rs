//! Held microdata: sealed, opened by two stewards, judged beside tables and other microdata.

use ed25519_dalek::SigningKey;

use super::*;
use crate::authorise::fixtures::indirect_grant;
use crate::disclosure::ledger::{self, Recalled, Recollection};
use crate::disclosure::proposed::{Counts, Proposed};
use crate::disclosure::protect::recall;
use crate::domain::approval::{StewardKey, StewardSignature};
use crate::domain::codelist::{Code, CodeList};
use crate::domain::ids::{CodeListId, PersonNo, RuleId, StewardId, VariableId};
use crate::domain::microdata::RiskReport;
use crate::domain::period::Period;
use crate::domain::refusal::Refusal;
use crate::domain::rule::Records;
use crate::domain::table::{Dimension, Measure};
use crate::linkage::Tally;

fn key() -> PatternKey {
    PatternKey::new([7; 32].into())
}

fn persons_key() -> PersonsKey {
    PersonsKey::new(&[8; 32].into())
}

fn run_id(n: u8) -> RunId {
    RunId::new(format!("r-{}", format!("{n:02x}").repeat(16))).unwrap()
}

fn project(n: u8) -> ProjectId {
    ProjectId::new(format!("P-{n}")).unwrap()
}

/// Places in two counties, three in each; everyone, and those with one outcome.
fn shape() -> TableShape {
    let parents = [None, Some(0), Some(0), Some(1), Some(1), Some(1), Some(2), Some(2), Some(2)];
    let codes = parents.iter().enumerate().map(|(n, &parent)| Code {
        code: if n == 0 { "Total".to_owned() } else { format!("c{n}") },
        label: n.to_string(),
        parent,
    });
    let variable = |name: &str| VariableId::new(name).unwrap();
    let list =
        CodeList::new(CodeListId::new("places").unwrap(), "Places".to_owned(), codes.collect()).unwrap();
    let measure = |code: &str, nested_in| Measure {
        code: variable(code),
        label: code.to_owned(),
        nested_in,
        statistic: None,
    };
    TableShape {
        title: "Persons".to_owned(),
        dimensions: vec![Dimension {
            variable: variable("place"),
            label: "Place".to_owned(),
            codes: list,
            impossible: Vec::new(),
        }],
        measures: vec![measure("persons", vec![]), measure("seen", vec![0])],
        period: Period::new("2024-01-01".parse().unwrap(), "2024-12-31".parse().unwrap()).unwrap(),
    }
}

/// So many persons in each of the six places, the first few of each with the outcome.
fn persons(of_places: [u32; 6]) -> Vec<Placed> {
    let places = of_places.into_iter().zip([3, 4, 5, 6, 7, 8]);
    places
        .flat_map(|(persons, leaf)| {
            // Each place has numbers of its own, so that fewer persons are a part of more.
            (0..persons).map(move |n| Placed {
                person: PersonNo(1000 * leaf + n),
                leaf,
                measures: if n % 4 == 0 { 3 } else { 1 },
            })
        })
        .collect()
}

fn rule() -> Rule {
    Rule::new(RuleId::new("records-5").unwrap(), 5).unwrap()
}

fn made(run: u8, persons: &[Placed], earlier: &[Earlier<'_>]) -> Result<Held, DisclosureError> {
    let microdata = MicrodataRule::of(&rule(), Records { suppressed_permille: 0, diversity: None });
    hold_persons(run_id(run), &project(1), &shape(), persons, (&rule(), microdata), earlier, &key())
}

/// Records of a run that wait, beside nothing.
pub(crate) fn held_records(run: RunId, project: &ProjectId) -> Held {
    let microdata = MicrodataRule::of(&rule(), Records { suppressed_permille: 0, diversity: None });
    let persons = persons([9, 8, 7, 6, 6, 5]);
    hold_persons(run, project, &shape(), &persons, (&rule(), microdata), &[], &key()).unwrap()
}

/// Signed by two stewards.
fn signed(statement: &ReleaseStatement) -> VerifiedRelease {
    let steward = |n: u8| StewardId::new(format!("s{n}")).unwrap();
    let pair = [1, 2].map(|n| (n, SigningKey::from_bytes(&[n; 32])));
    let keys = pair.each_ref().map(|(n, key)| StewardKey { steward: steward(*n), key: key.verifying_key() });
    let signatures: Vec<StewardSignature> =
        pair.iter().map(|(n, key)| statement.sign(steward(*n), key).unwrap()).collect();
    statement.verify(&signatures, &keys).unwrap()
}

fn release(held: &Held, earlier: &[Earlier<'_>]) -> Result<Judged<MicrodataTable>, DisclosureError> {
    release_held(&held.sealed, &signed(&held.statement), earlier, (&key(), &persons_key()))
}

fn code<T>(answer: Result<T, DisclosureError>) -> &'static str {
    Refusal::from(answer.err().unwrap()).code
}

fn opened(held: &Held) -> MicrodataTable {
    let payload = key().held_key().open(held.statement.run.as_str(), &held.sealed).unwrap();
    MicrodataTable::from_canonical(&Payload::decode(&payload).unwrap().table).unwrap()
}

#[test]
fn what_is_held_is_sealed_until_two_stewards_have_signed() {
    let held = made(1, &persons([9, 8, 2, 7, 6, 5]), &[]).unwrap();
    let table = opened(&held);
    for serial in &table.serials {
        let text = serial.to_string();
        assert!(!held.sealed.windows(text.len()).any(|window| window == text.as_bytes()));
    }
    let risk = RiskReport::from_canonical(held.risk()).unwrap();
    assert_eq!((risk.digest().unwrap(), risk.rows), (held.statement().risk, 37));
    let judged = release(&held, &[]).unwrap();
    assert_eq!(judged.disclosed().digest(), held.statement().result);
    // Who is in them is kept with them: everybody of whom there is a record, and nobody else.
    let kept = judged.persons().unwrap().clone();
    let chunk = kept.chunk_with(PersonNo(3000));
    let holds = |n| persons_key().holds(&run_id(1), PersonNo(n), &kept.set(), chunk).unwrap();
    assert!((3000..3009).all(holds) && (5000..5002).all(holds));
    assert!(!holds(3009) && !holds(5002) && !holds(2999));
    // Signatures on something else open nothing, and damaged bytes are no records.
    let other = ReleaseStatement { run: run_id(2), ..held.statement().clone() };
    assert!(release_held(&held.sealed, &signed(&other), &[], (&key(), &persons_key())).is_err());
    let other = ReleaseStatement { result: Digest::from_bytes([0; 32]), ..held.statement().clone() };
    assert!(release_held(&held.sealed, &signed(&other), &[], (&key(), &persons_key())).is_err());
    let mut damaged = held.sealed.clone();
    damaged[100] ^= 1;
    assert!(release_held(&damaged, &signed(held.statement()), &[], (&key(), &persons_key())).is_err());
    for bytes in [&[][..], &[0; 23], &[0; 25], &[255; 24]] {
        assert!(Payload::decode(bytes).is_none());
    }
}

/// The records are the persons counted: two in one place have to be given by county, and nothing else changes.
#[test]
fn records_are_the_persons_counted() {
    let persons = persons([9, 8, 2, 7, 6, 5]);
    let table = opened(&made(1, &persons, &[]).unwrap());
    assert_eq!(table.serials.len(), persons.len());
    assert!(table.serials.is_sorted());
    for (county, places) in [(1, 3..6), (2, 6..9)] {
        let of = |p: &&Placed| places.contains(&p.leaf);
        let rows =
            || (0..table.serials.len()).filter(|&row| table.columns[0].values.value(row) == Some(county));
        assert_eq!(rows().count(), persons.iter().filter(of).count());
        let seen = rows().filter(|&row| table.columns[1].values.value(row) == Some(1)).count();
        assert_eq!(seen, persons.iter().filter(of).filter(|p| p.measures == 3).count());
    }
    // A project has serial numbers of its own, and the same in all its records.
    let of = |project: &ProjectId| {
        let rule = MicrodataRule::of(&rule(), Records { suppressed_permille: 0, diversity: None });
        records(run_id(1), project, &shape(), &persons, &rule, &key()).unwrap().anonymised.table.serials
    };
    assert!(of(&project(1)) == table.serials);
    assert!(of(&project(2)).iter().all(|serial| !table.serials.contains(serial)));
    let other = PatternKey::new([8; 32].into());
    let rule = MicrodataRule::of(&rule(), Records { suppressed_permille: 0, diversity: None });
    let elsewhere = records(run_id(1), &project(1), &shape(), &persons, &rule, &other).unwrap();
    assert!(elsewhere.anonymised.table.serials.iter().all(|serial| !table.serials.contains(serial)));
}

#[test]
fn an_outcome_that_too_many_have_is_not_released_under_diversity() {
    let rule = |l| MicrodataRule::of(&rule(), Records { suppressed_permille: 0, diversity: Some(l) });
    let persons = persons([20; 6]);
    let made = |l| records(run_id(1), &project(1), &shape(), &persons, &rule(l), &key());
    // A fourth of all have it.
    assert!(made(4).is_ok());
    assert!(made(5).is_err());
}

fn granted(run: u8, persons: &[Placed]) -> Held {
    hold_granted(run_id(run), &project(1), &shape(), persons, &indirect_grant(), &key()).unwrap()
}

/// KPR regulation 4-4. Who stands alone stands alone, which the report says, and stewards sign.
#[test]
fn records_as_they_are_wait_for_two_stewards_like_others() {
    let persons = persons([9, 1, 2, 7, 0, 5]);
    let held = granted(1, &persons);
    let table = opened(&held);
    assert_eq!(table.serials.len(), persons.len());
    for (place, number) in (3_i64..).zip([9, 1, 2, 7, 0, 5]) {
        let rows = (0..24).filter(|&row| table.columns[0].values.value(row) == Some(place));
        assert_eq!(rows.count(), number);
    }
    let risk = RiskReport::from_canonical(held.risk()).unwrap();
    let told = risk.identifiable.clone().unwrap();
    assert_eq!((told.unique, told.in_small, told.small), (1, 3, 5));
    // Other terms would be another report, and another result: what is signed is the terms too.
    let mut other = risk;
    other.identifiable.as_mut().unwrap().terms.conditions.pop();
    assert_ne!(other.digest().unwrap(), held.statement().risk);
    let mut other = opened(&held);
    other.report.terms.as_mut().unwrap().conditions.pop();
    assert_ne!(other.digest().unwrap(), held.statement().result);
    // Released as they were signed, with who is in them, and with nothing for the ledger.
    let judged = release(&held, &[]).unwrap();
    assert_eq!(judged.disclosed().digest(), held.statement().result);
    assert!(judged.remembered().is_none());
    let kept = judged.persons().unwrap();
    let holds = |n: u32| {
        persons_key().holds(&run_id(1), PersonNo(n), &kept.set(), kept.chunk_with(PersonNo(n))).unwrap()
    };
    assert!((3000..3009).all(holds) && holds(4000) && !holds(4001));
    // A project has the same serial numbers in all its records, and they are not a person's in another.
    assert!(opened(&granted(2, &persons)).serials == table.serials);
}

/// Records without terms are judged, whoever asked: nothing that is not under terms leaves the ledger out.
#[test]
fn anonymous_records_are_judged_and_remembered() {
    let held = made(1, &persons([9, 8, 7, 7, 6, 5]), &[]).unwrap();
    assert_eq!(opened(&held).report.terms, None);
    assert!(release(&held, &[]).unwrap().remembered().is_some());
}

/// An earlier table of so many persons in each place, all of it published.
fn table(of_places: [u32; 6]) -> Recalled {
    let membership = ledger::of_table(&shape(), &persons(of_places)).unwrap();
    let withheld = vec![false; membership.cells()];
    Recalled::new(ledger::Release::new(membership, withheld).unwrap())
}

fn earlier(recalled: &Recalled) -> Earlier<'_> {
    Earlier { recalled: Some(recalled), same_question: false, microdata: false }
}

/// What the ledger keeps of released records, opened.
fn recalled(released: &Judged<MicrodataTable>) -> Recalled {
    let Remembered { pattern, sealed, .. } = released.remembered().unwrap();
    recall(&Recollection::new(0), &run_id(1), (pattern, sealed), &key(), 0).unwrap()
}

/// The attacker holds a table of all but two persons, and would hold the records of all: their difference is two.
#[test]
fn records_that_differ_from_an_earlier_table_by_few_are_refused() {
    let all = [9, 8, 7, 7, 6, 5];
    let (same, fewer) = (table(all), table([9, 8, 5, 7, 6, 5]));
    assert!(made(1, &persons(all), &[earlier(&same)]).is_ok());
    assert_eq!(code(made(1, &persons(all), &[earlier(&fewer)])), "disclosure.not_beside_earlier");
    // Also where the table is released while the records wait.
    let held = made(1, &persons(all), &[]).unwrap();
    assert_eq!(code(release(&held, &[earlier(&fewer)])), "disclosure.not_beside_earlier");
    assert!(release(&held, &[earlier(&same)]).is_ok());
    // What is no longer known to be in a table cannot be compared with.
    let forgotten = Earlier { recalled: None, ..earlier(&same) };
    assert_eq!(code(made(1, &persons(all), &[forgotten])), "disclosure.not_beside_earlier");
}

/// The other way round: the table is judged as if the count of each class had been published.
#[test]
fn a_table_that_differs_from_earlier_records_by_few_withholds_the_difference() {
    let all = [9, 8, 7, 7, 6, 5];
    let released = release(&made(1, &persons(all), &[]).unwrap(), &[]).unwrap();
    let released = recalled(&released);
    let records = Earlier { microdata: true, ..earlier(&released) };
    let judged = |of_places: [u32; 6], earlier: &[Earlier<'_>]| {
        let membership = ledger::of_table(&shape(), &persons(of_places)).unwrap();
        let counts = membership.counts();
        let withheld = vec![false; counts.len()];
        let tally = Tally { matched: 0, unknown: 0, several_numbers: 0, invalid_rows: 0 };
        let (run, shape, rule, method) = (run_id(2), shape(), rule(), Method::Suppress);
        let ranges = vec![None; counts.len()];
        let counts = Counts { run, shape, rule, method, counts, withheld, ranges, membership, tally };
        Proposed::exact(counts).judge(earlier, &key())
    };
    let told = |judged: Judged| judged.remembered().unwrap().pattern.clone();
    // Alone it is published as it is, the total of all places too.
    let fewer = [9, 8, 5, 7, 6, 5];
    assert!(told(judged(fewer, &[]).unwrap()).iter().all(|&withheld| withheld == 0));
    match judged(fewer, &[records]) {
        Ok(judged) => {
            let pattern = told(judged);
            // The total, the county and the place that lack two persons.
            for cell in [0, 1, 5] {
                assert_eq!(pattern[2 * cell], 1, "{cell}");
            }
        }
        Err(error) => assert_eq!(Refusal::from(error).code, "disclosure.not_beside_earlier"),
    }
    assert!(told(judged(all, &[records]).unwrap()).iter().all(|&withheld| withheld == 0));
}

#[test]
fn an_organisation_receives_one_set_of_records() {
    let all = [9, 8, 7, 7, 6, 5];
    let released = release(&made(1, &persons(all), &[]).unwrap(), &[]).unwrap();
    let released = recalled(&released);
    let of = |same_question| Earlier { recalled: Some(&released), same_question, microdata: true };
    assert!(made(2, &persons(all), &[of(true)]).is_ok());
    assert_eq!(code(made(2, &persons(all), &[of(false)])), "disclosure.microdata_once");
    // The same question of other persons: a partner's data have changed.
    assert_eq!(code(made(2, &persons([9, 8, 7, 7, 6, 6]), &[of(true)])), "disclosure.microdata_once");
    let forgotten = Earlier { recalled: None, ..of(true) };
    assert_eq!(code(made(2, &persons(all), &[forgotten])), "disclosure.not_beside_earlier");
}
