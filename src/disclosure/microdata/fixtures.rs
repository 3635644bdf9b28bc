//! Small extracts for tests.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::{Attribute, Diversity, Extract, Kind, MicrodataRule, QuasiIdentifier};
use crate::disclosure::PatternKey;
use crate::domain::codelist::{Code, CodeList};
use crate::domain::ids::{CodeListId, RuleId, RunId, VariableId};
use crate::domain::microdata::{SerialNumber, Values};

/// A list with these parents; codes are named by their position.
pub(super) fn list(name: &str, parents: &[Option<u32>]) -> CodeList {
    let codes = parents.iter().enumerate().map(|(n, &parent)| Code {
        code: if n == 0 { "Total".to_owned() } else { n.to_string() },
        label: n.to_string(),
        parent,
    });
    CodeList::new(CodeListId::new(name).unwrap(), name.to_owned(), codes.collect()).unwrap()
}

/// A tree in which every code of a depth has so many children.
pub(super) fn even(name: &str, widths: &[u32]) -> CodeList {
    let mut parents = vec![None];
    let mut above = vec![0];
    for &width in widths {
        let from = parents.len() as u32;
        parents.extend(above.iter().flat_map(|&code| (0..width).map(move |_| Some(code))));
        above = (from..parents.len() as u32).collect();
    }
    list(name, &parents)
}

pub(super) fn leaves(list: &CodeList) -> Vec<u32> {
    (0..).zip(list.leaves()).filter(|(_, leaf)| *leaf).map(|(code, _)| code).collect()
}

pub(super) fn key() -> PatternKey {
    PatternKey::new([7; 32].into())
}

pub(super) fn run() -> RunId {
    RunId::new(format!("r-{}", "ab".repeat(16))).unwrap()
}

pub(super) fn rule(k: u32, permille: u32) -> MicrodataRule {
    MicrodataRule::new(RuleId::new("microdata-test").unwrap(), k, permille).unwrap()
}

pub(super) fn variable(name: &str) -> VariableId {
    VariableId::new(name).unwrap()
}

/// A serial number that has nothing to do with the order of its argument.
pub(super) fn serial(n: u64) -> SerialNumber {
    let mut bytes = [0; 20];
    ChaCha20Rng::seed_from_u64(n ^ 0x5eed).fill_bytes(&mut bytes);
    SerialNumber::new(&bytes).unwrap()
}

pub(super) fn quasi(name: &str, list: CodeList, codes: Vec<u32>) -> QuasiIdentifier {
    QuasiIdentifier { variable: variable(name), label: name.to_owned(), list, codes, weight: 1 }
}

pub(super) fn sensitive(values: Vec<Option<i64>>, diversity: Option<Diversity>) -> Attribute {
    Attribute {
        variable: variable("diagnosis"),
        label: "diagnosis".to_owned(),
        values: Values::Numbers(values),
        kind: Kind::Sensitive(diversity),
    }
}

pub(super) fn extract(quasi: Vec<QuasiIdentifier>, attributes: Vec<Attribute>) -> Extract {
    let rows = quasi.first().map_or(0, |q| q.codes.len()) as u64;
    Extract { serials: (0..rows).map(serial).collect(), quasi, attributes }
}

/// Uneven trees, skewed codes, any weights, at times with a sensitive variable that must be diverse.
pub(super) fn random(seed: u64) -> (Extract, MicrodataRule) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut below = |n: u64| rng.next_u64() % n;
    let rows = 8 + below(70) as usize;
    let variables = 1 + below(3);
    let quasi = (0..variables).map(|v| {
        let codes = 2 + below(8) as u32;
        let mut parents = vec![None];
        parents.extend((1..codes).map(|code| Some(below(u64::from(code)) as u32)));
        let list = list("list", &parents);
        let leaves = leaves(&list);
        let number = leaves.len() as u64;
        // The lower of two draws: some codes are rare.
        let draw = |_| leaves[below(number).min(below(number)) as usize];
        let codes = (0..rows).map(draw).collect();
        QuasiIdentifier { weight: 1 + below(3) as u32, ..quasi(&format!("q{v}"), list, codes) }
    });
    let quasi: Vec<_> = quasi.collect();
    let values = 2 + below(5);
    let diversity = match below(3) {
        0 => None,
        l => Some(Diversity::new(l as u32 + 1, if below(2) == 0 { [0].into() } else { [].into() }).unwrap()),
    };
    let column = (0..rows).map(|_| Some(below(values) as i64).filter(|v| *v != 4)).collect();
    let rule = rule(3 + below(3) as u32, [0, 50, 200, 1000][below(4) as usize]);
    (extract(quasi, vec![sensitive(column, diversity)]), rule)
}
