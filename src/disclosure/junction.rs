//! The order in which a dimension is worked out: the largest family of its nodes that lie in each other or
//! apart, as a tree. A node that cuts across the family (of another hierarchy) is settled at the least
//! member around it; below that, what it takes apart is kept apart, as parts.
#![allow(
    clippy::indexing_slicing,
    reason = "nodes, members and parts are indices this module has made itself"
)]

use std::collections::BTreeMap;

use super::tree::Tree;

/// A member of the family.
#[derive(Debug, Default)]
pub(super) struct Join {
    /// The member right around it.
    pub(super) parent: Option<usize>,
    /// The members right in it, and which of this member's parts each of their outer parts lies in.
    pub(super) children: Vec<(usize, Vec<usize>)>,
    /// How many parts are kept apart while this member is worked out.
    pub(super) parts: usize,
    /// The nodes that are settled here, each with the parts that it is the sum of.
    pub(super) settled: Vec<(usize, Vec<usize>)>,
    /// For each part the outer part it belongs to once this member's nodes are settled.
    pub(super) outer: Vec<usize>,
    /// How many outer parts there are.
    pub(super) outer_parts: usize,
    /// The leaf, if the member is one.
    pub(super) leaf: Option<usize>,
}

/// The family of a dimension: the total first, every member after those around it.
pub(super) fn joins(tree: &Tree) -> Vec<Join> {
    let mut order: Vec<usize> = (0..tree.len()).collect();
    order.sort_by_key(|&n| std::cmp::Reverse(tree.leaves_below(n).len()));
    let mut joins: Vec<Join> = Vec::new();
    let mut leaves: Vec<&[usize]> = Vec::new();
    let mut members: Vec<Vec<usize>> = Vec::new();
    let mut crossing: Vec<usize> = Vec::new();
    // The least member so far around each leaf. Larger nodes come first, so a node fits into the family
    // exactly if all its leaves have the same one.
    let mut home: Vec<Option<usize>> = vec![None; tree.len()];
    for node in order {
        let mine = tree.leaves_below(node);
        let around = home[mine[0]];
        if mine.iter().any(|&leaf| home[leaf] != around) {
            crossing.push(node);
        } else if let Some(same) = around.filter(|&a| leaves[a].len() == mine.len()) {
            members[same].push(node);
        } else {
            for &leaf in mine {
                home[leaf] = Some(joins.len());
            }
            let leaf = (mine.len() == 1).then(|| mine[0]);
            joins.push(Join { parent: around, leaf, ..Join::default() });
            leaves.push(mine);
            members.push(vec![node]);
        }
    }
    let settled_at: Vec<usize> =
        crossing.iter().map(|&m| least_around(&joins, &home, tree.leaves_below(m))).collect();
    let is_around = |above: usize, member: usize| {
        std::iter::successors(Some(member), |&m| joins[m].parent).any(|m| m == above)
    };
    // For each member: the part of each of its leaves, before and after its nodes are settled.
    let parts: Vec<(Vec<usize>, Vec<usize>)> = (0..joins.len())
        .map(|member| {
            let cuts = |m: &usize| {
                let inside = leaves[member].iter().filter(|&&l| tree.covers(crossing[*m], l)).count();
                inside > 0 && inside < leaves[member].len() && is_around(settled_at[*m], member)
            };
            let open: Vec<usize> = (0..crossing.len()).filter(cuts).collect();
            let still: Vec<usize> = open.iter().copied().filter(|&m| settled_at[m] != member).collect();
            let nodes = |list: &[usize]| list.iter().map(|&m| crossing[m]).collect::<Vec<_>>();
            (partition(tree, leaves[member], &nodes(&open)), partition(tree, leaves[member], &nodes(&still)))
        })
        .collect();
    let place = |member: usize, leaf: usize| leaves[member].binary_search(&leaf).unwrap_or_default();
    let count = |parts: &[usize]| parts.iter().max().map_or(0, |most| most + 1);
    let children: Vec<(usize, usize)> =
        joins.iter().enumerate().filter_map(|(member, join)| Some((join.parent?, member))).collect();
    for (parent, child) in children {
        let mut map = vec![0; count(&parts[child].1)];
        for (leaf, &part) in leaves[child].iter().zip(&parts[child].1) {
            map[part] = parts[parent].0[place(parent, *leaf)];
        }
        joins[parent].children.push((child, map));
    }
    for (member, join) in joins.iter_mut().enumerate() {
        let (fine, outer) = &parts[member];
        join.parts = count(fine);
        join.outer_parts = count(outer);
        join.outer = vec![0; join.parts];
        for (&part, &outer) in fine.iter().zip(outer) {
            join.outer[part] = outer;
        }
        join.settled = members[member].iter().map(|&node| (node, (0..join.parts).collect())).collect();
        for (&node, _) in crossing.iter().zip(&settled_at).filter(|(_, at)| **at == member) {
            let mut inside: Vec<usize> =
                tree.leaves_below(node).iter().map(|&leaf| fine[place(member, leaf)]).collect();
            inside.sort_unstable();
            inside.dedup();
            join.settled.push((node, inside));
        }
    }
    joins
}

/// The least member around all of these leaves.
fn least_around(joins: &[Join], home: &[Option<usize>], leaves: &[usize]) -> usize {
    let mut seen = vec![0; joins.len()];
    for &leaf in leaves {
        for member in std::iter::successors(home[leaf], |&m| joins[m].parent) {
            seen[member] += 1;
        }
    }
    // Members come after those around them, so the last that has them all is the least.
    (0..joins.len()).rev().find(|&m| seen[m] == leaves.len()).unwrap_or(0)
}

/// Numbers the leaves' parts: two leaves are in the same one if they lie in the same of these nodes.
fn partition(tree: &Tree, leaves: &[usize], nodes: &[usize]) -> Vec<usize> {
    let mut numbers: BTreeMap<Vec<bool>, usize> = BTreeMap::new();
    leaves
        .iter()
        .map(|&leaf| {
            let next = numbers.len();
            *numbers.entry(nodes.iter().map(|&n| tree.covers(n, leaf)).collect()).or_insert(next)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_across_others_is_settled_around_them_and_keeps_its_parts_apart_until_then() {
        // Groups 1 = {3, 4, 5} and 2 = {6, 7}; the leaf set {5, 6} of node 8 cuts across both.
        let mut parents = vec![vec![], vec![0], vec![0]];
        parents.extend([vec![1], vec![1], vec![1, 8], vec![2, 8], vec![2]]);
        // Parents come first: node 8 moves before the leaves.
        let order = [0, 1, 2, 8, 3, 4, 5, 6, 7];
        parents.push(vec![0]);
        let parents: Vec<Vec<usize>> = order
            .iter()
            .map(|&n: &usize| parents[n].iter().map(|p| order.iter().position(|o| o == p).unwrap()).collect())
            .collect();
        let joins = joins(&Tree::new(parents));
        let root = &joins[0];
        assert_eq!((root.parts, root.outer_parts), (2, 1));
        assert_eq!(root.settled.len(), 2);
        let crossing = root.settled.iter().find(|(node, _)| *node == 3).unwrap();
        assert_eq!(crossing.1.len(), 1);
        for (child, map) in &root.children {
            assert_eq!((joins[*child].parts, joins[*child].outer_parts, map.len()), (2, 2, 2));
        }
    }
}
