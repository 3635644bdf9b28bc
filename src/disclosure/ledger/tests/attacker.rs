//! Plays the attacker who holds a series of releases. Shares no code with the judgement: persons are the
//! unknowns, not atoms, the prime is another, and every group of up to k-1 persons is tried.

use std::collections::{BTreeMap, BTreeSet};

const Q: u64 = 2_147_483_647;

fn power(mut base: u64, mut exponent: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % Q;
        }
        base = base * base % Q;
        exponent >>= 1;
    }
    result
}

/// What the attacker holds: published groups of persons with their counts, and withheld ones, which are not empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Attacker {
    pub(super) groups: Vec<BTreeSet<u32>>,
    pub(super) withheld: Vec<BTreeSet<u32>>,
}

impl Attacker {
    /// A basis of the changes to persons' weights that leave every published count as it is.
    fn kernel(&self, persons: usize) -> Vec<Vec<u64>> {
        let mut rows: Vec<Vec<u64>> = self
            .groups
            .iter()
            .map(|group| (0..persons).map(|p| u64::from(group.contains(&(p as u32)))).collect())
            .collect();
        let mut pivots = Vec::new();
        for column in 0..persons {
            let done = pivots.len();
            let Some(found) = (done..rows.len()).find(|&r| rows[r][column] != 0) else { continue };
            rows.swap(done, found);
            let scale = power(rows[done][column], Q - 2);
            let pivot: Vec<u64> = rows[done].iter().map(|x| x * scale % Q).collect();
            for (r, row) in rows.iter_mut().enumerate() {
                let factor = row[column];
                if r == done {
                    row.clone_from(&pivot);
                } else if factor != 0 {
                    for (x, &p) in row.iter_mut().zip(&pivot) {
                        *x = (*x + (Q - factor) * p) % Q;
                    }
                }
            }
            pivots.push(column);
        }
        let free = (0..persons).filter(|column| !pivots.contains(column));
        free.map(|free| {
            let mut vector = vec![0; persons];
            vector[free] = 1;
            for (row, &pivot) in rows.iter().zip(&pivots) {
                vector[pivot] = (Q - row[free]) % Q;
            }
            vector
        })
        .collect()
    }

    /// Every group of 1..k-1 persons whose count can be computed.
    pub(super) fn small_groups(&self, persons: usize, least: usize) -> BTreeSet<Vec<u32>> {
        let kernel = self.kernel(persons);
        // One mixture of the kernel finds candidates, the whole kernel decides.
        let mut mixed = vec![0; persons];
        for (at, vector) in kernel.iter().enumerate() {
            let factor = power(48271, at as u64 + 1);
            for (m, &v) in mixed.iter_mut().zip(vector) {
                *m = (*m + factor * v) % Q;
            }
        }
        let mut found = BTreeSet::new();
        let mut group = Vec::new();
        grow(&mixed, &kernel, 0, 0, least - 1, &mut group, &mut found);
        found
    }

    /// Every group of 1..k-1 persons that has the same count in all populations which would have given the
    /// same published counts: whole numbers, not negative, nobody where nobody is, somebody in every withheld cell. Tries
    /// them all;
    /// `None` if there are too many to try.
    pub(super) fn pinned_groups(&self, persons: usize, least: usize) -> Option<Vec<Vec<u32>>> {
        let mut atoms: BTreeMap<Vec<usize>, Vec<u32>> = BTreeMap::new();
        for person in 0..persons as u32 {
            let of: Vec<usize> =
                (0..self.groups.len()).filter(|&g| self.groups[g].contains(&person)).collect();
            if !of.is_empty() {
                atoms.entry(of).or_default().push(person);
            }
        }
        let left: Vec<u32> = self.groups.iter().map(|group| group.len() as u32).collect();
        let signatures: Vec<Vec<usize>> = atoms.keys().cloned().collect();
        let mut all = Vec::new();
        fill(&signatures, &left, &mut Vec::new(), &mut all);
        if all.len() > MOST_POPULATIONS || signatures.len() > 14 {
            return None;
        }
        let atoms: Vec<Vec<u32>> = atoms.into_values().collect();
        let inside = |cell: &BTreeSet<u32>| -> Option<Vec<usize>> {
            // One with persons of whom nothing is published can have somebody in every population.
            let counted: BTreeSet<u32> = atoms.iter().flatten().copied().collect();
            let whole = cell.is_subset(&counted);
            let touches = |a: &usize| atoms[*a].iter().any(|person| cell.contains(person));
            whole.then(|| (0..atoms.len()).filter(touches).collect())
        };
        let somewhere: Vec<Vec<usize>> = self.withheld.iter().filter_map(inside).collect();
        all.retain(|population| somewhere.iter().all(|cell| cell.iter().any(|&a| population[a] > 0)));
        let mut pinned = Vec::new();
        for group in 1_u32..1 << atoms.len() {
            let of = || (0..atoms.len()).filter(|a| group >> a & 1 == 1);
            let count = |population: &Vec<u32>| of().map(|a| population[a]).sum::<u32>();
            let size: usize = of().map(|a| atoms[a].len()).sum();
            if size < least && all.windows(2).all(|pair| count(&pair[0]) == count(&pair[1])) {
                pinned.push(of().flat_map(|a| atoms[a].clone()).collect());
            }
        }
        Some(pinned)
    }
}

/// The most populations that are tried.
const MOST_POPULATIONS: usize = 20_000;

fn fill(signatures: &[Vec<usize>], left: &[u32], counts: &mut Vec<u32>, all: &mut Vec<Vec<u32>>) {
    let at = counts.len();
    // A group whose atoms are all counted must be used up.
    let met = (0..left.len()).all(|g| left[g] == 0 || signatures[at..].iter().any(|s| s.contains(&g)));
    if !met || all.len() > MOST_POPULATIONS {
        return;
    }
    let Some(signature) = signatures.get(at) else {
        all.push(counts.clone());
        return;
    };
    let most = signature.iter().map(|&g| left[g]).min().unwrap_or(0);
    for count in 0..=most {
        let mut rest = left.to_vec();
        for &g in signature {
            rest[g] -= count;
        }
        counts.push(count);
        fill(signatures, &rest, counts, all);
        counts.pop();
    }
}

fn grow(
    mixed: &[u64],
    kernel: &[Vec<u64>],
    sum: u64,
    from: usize,
    left: usize,
    group: &mut Vec<u32>,
    found: &mut BTreeSet<Vec<u32>>,
) {
    for person in from..mixed.len() {
        let sum = (sum + mixed[person]) % Q;
        group.push(person as u32);
        if sum == 0 {
            let zero = |vector: &Vec<u64>| group.iter().map(|&p| vector[p as usize]).sum::<u64>() % Q == 0;
            if kernel.iter().all(zero) {
                found.insert(group.clone());
            }
        }
        if left > 1 {
            grow(mixed, kernel, sum, person + 1, left - 1, group, found);
        }
        group.pop();
    }
}
