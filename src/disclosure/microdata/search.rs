//! The lattice of generalisation levels, and its node of least loss.
//!
//! A node says for each variable to which level it is generalised (Samarati & Sweeney 1998). Its loss is
//! what the released rows lose by generalisation and the suppressed ones altogether. Without suppression
//! the loss would be a sum over variables that needs no look at the rows: it bounds the true loss from
//! below. Nodes are taken in the order of that bound until it passes the best true loss, so the result is
//! the optimum (as OLA, El Emam 2009, but over the whole loss). Most nodes are never counted: with too many
//! rows in small classes at one node there are at least as many at every finer one, and a binary search
//! upwards finds such nodes as high as it can (Flash, Kohlmayer 2012). Classes are counted from the
//! smallest finer table held, not from the rows (Incognito, LeFevre 2005).
#![allow(clippy::indexing_slicing, reason = "variables and levels are indices of the frame")]

use std::rc::Rc;

use rand::Rng;

use super::MicrodataError;
use super::classes::{Class, Frame, merged, rows_in_small};
use super::suppression::{Suppressed, suppress};

/// The most nodes a lattice may have.
const MOST_NODES: usize = 1 << 20;
/// The most classes held for later, 16 bytes each.
const MOST_HELD: usize = 1 << 22;

/// A node, and what becomes of the rows there.
pub(super) struct Choice {
    pub(super) levels: Vec<usize>,
    pub(super) classes: Rc<Vec<Class>>,
    pub(super) suppressed: Suppressed,
    /// In weighted millionths of a row.
    pub(super) loss: u128,
}

/// The classes at a node.
struct Counted {
    levels: Vec<usize>,
    classes: Rc<Vec<Class>>,
}

/// What has been counted of one table so far.
pub(super) struct Search<'a> {
    frame: &'a Frame,
    counted: Vec<Counted>,
    held: usize,
    /// By variable and level, the loss of all rows.
    level_loss: Vec<Vec<u128>>,
    /// By variable and level, a keyed draw: their sum breaks ties between nodes.
    noise: Vec<Vec<u64>>,
}

/// Whether every level of `a` is at most that of `b`.
fn below(a: &[usize], b: &[usize]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b)
}

impl<'a> Search<'a> {
    /// A search over these classes, all at level 0.
    pub(super) fn new(
        frame: &'a Frame,
        classes: Vec<Class>,
        rng: &mut impl Rng,
    ) -> Result<Self, MicrodataError> {
        let nodes = frame.trees.iter().try_fold(1_usize, |n, t| n.checked_mul(t.highest() + 1));
        if nodes.is_none_or(|n| n > MOST_NODES) {
            return Err(MicrodataError::TooWide);
        }
        let each = frame.trees.iter().zip(&frame.weights).enumerate();
        let level_loss = each.map(|(v, (tree, &weight))| {
            let mut rows = vec![0_u128; tree.codes()];
            for class in &classes {
                rows[frame.code(class.key, v) as usize] += u128::from(class.rows);
            }
            let lost = |cut: &[u32]| -> u128 {
                rows.iter().zip(cut).map(|(rows, &code)| rows * u128::from(weight * tree.loss(code))).sum()
            };
            (0..=tree.highest()).map(|level| lost(tree.cut(level))).collect()
        });
        let level_loss = level_loss.collect();
        let levels = frame.trees.iter().map(|tree| 0..=tree.highest());
        let noise = levels.map(|levels| levels.map(|_| rng.next_u64()).collect()).collect();
        let held = classes.len();
        let bottom = Counted { levels: vec![0; frame.trees.len()], classes: Rc::new(classes) };
        Ok(Self { frame, counted: vec![bottom], held, level_loss, noise })
    }

    /// The node of least loss, at `floor` or above, where at most `limit` rows are suppressed so that every
    /// class has `least` rows. `None` if there is none. Ties go by a keyed draw.
    pub(super) fn best(&mut self, least: u32, limit: u64, floor: &[usize]) -> Option<Choice> {
        let mut too_fine: Vec<Vec<usize>> = Vec::new();
        let mut coarse: Vec<Vec<usize>> = Vec::new();
        let mut best: Option<(u64, Choice)> = None;
        for (bound, noise, number) in self.nodes(floor) {
            if best.as_ref().is_some_and(|(_, best)| bound > best.loss) {
                break;
            }
            let levels = self.levels(number);
            if too_fine.iter().any(|node| below(&levels, node)) {
                continue;
            }
            if !coarse.iter().any(|node| below(node, &levels)) {
                let path = self.path(levels.clone());
                let (mut from, mut to) = (0, path.len());
                // Nodes before `from` are too fine, those from `to` on are not.
                while from < to {
                    let middle = from.midpoint(to);
                    let small = rows_in_small(&self.count(&path[middle]), least);
                    if small > limit { from = middle + 1 } else { to = middle }
                }
                if let Some(node) = from.checked_sub(1).and_then(|n| path.get(n)) {
                    too_fine.retain(|other| !below(other, node));
                    too_fine.push(node.clone());
                }
                coarse.extend(path.get(to).cloned());
                if to > 0 {
                    continue;
                }
            }
            if let Some(choice) = self.choice(levels, least, limit, noise)
                && best.as_ref().is_none_or(|(n, best)| (choice.loss, noise) < (best.loss, *n))
            {
                best = Some((noise, choice));
            }
        }
        best.map(|(_, choice)| choice)
    }

    /// The node at which nothing is told, with nothing suppressed. `None` if there are too few rows.
    pub(super) fn top(&mut self, least: u32) -> Option<Choice> {
        self.choice(self.frame.top(), least, 0, 0)
    }

    /// A node and what it loses, if that few rows are suppressed there.
    fn choice(&mut self, levels: Vec<usize>, least: u32, limit: u64, tie: u64) -> Option<Choice> {
        let bound: u128 = levels.iter().enumerate().map(|(v, &level)| self.level_loss[v][level]).sum();
        let classes = self.count(&levels);
        let suppressed = suppress(self.frame, &classes, least, tie).filter(|s| s.rows <= limit)?;
        let more = classes.iter().filter(|class| suppressed.has(class.key));
        let more: u128 = more
            .map(|class| u128::from(class.rows) * u128::from(self.frame.whole() - self.frame.loss(class.key)))
            .sum();
        Some(Choice { levels, classes, suppressed, loss: bound + more })
    }

    /// The nodes at `floor` or above, each with its bound, its draw and its number, least bound first.
    fn nodes(&self, floor: &[usize]) -> Vec<(u128, u64, u32)> {
        let mut nodes = vec![(0_u128, 0_u64, 0_u32)];
        for (v, &lowest) in floor.iter().enumerate() {
            let levels = &self.level_loss[v];
            let grown = nodes.iter().flat_map(|&(bound, noise, number)| {
                (lowest..levels.len()).map(move |level| {
                    let number = number * levels.len() as u32 + level as u32;
                    (bound + levels[level], noise.wrapping_add(self.noise[v][level]), number)
                })
            });
            nodes = grown.collect();
        }
        nodes.sort_unstable();
        nodes
    }

    /// The levels of the node with this number.
    fn levels(&self, number: u32) -> Vec<usize> {
        let mut rest = number as usize;
        let mut levels: Vec<usize> = (self.level_loss.iter().rev())
            .map(|levels| {
                let level = rest % levels.len();
                rest /= levels.len();
                level
            })
            .collect();
        levels.reverse();
        levels
    }

    /// From a node to the top, each time by the step that loses least.
    fn path(&self, mut levels: Vec<usize>) -> Vec<Vec<usize>> {
        let mut path = vec![levels.clone()];
        let cost = |levels: &[usize], v: usize| {
            let level = levels[v];
            self.level_loss[v].get(level + 1).map(|next| (next - self.level_loss[v][level], v))
        };
        while let Some((_, v)) = (0..levels.len()).filter_map(|v| cost(&levels, v)).min() {
            levels[v] += 1;
            path.push(levels.clone());
        }
        path
    }

    /// The classes at a node.
    fn count(&mut self, levels: &[usize]) -> Rc<Vec<Class>> {
        let finer = self.counted.iter().filter(|c| below(&c.levels, levels));
        let Some(source) = finer.min_by_key(|c| c.classes.len()) else {
            return Rc::default();
        };
        if source.levels == levels {
            return Rc::clone(&source.classes);
        }
        let lift = self.frame.lift(&source.levels, levels);
        let lifted = source.classes.iter().map(|class| Class { key: lift(class.key), rows: class.rows });
        let classes = Rc::new(merged(lifted.collect()));
        self.held += classes.len();
        self.counted.push(Counted { levels: levels.to_vec(), classes: Rc::clone(&classes) });
        // The rows themselves stay; of the rest, the largest save the least work.
        while self.held > MOST_HELD && self.counted.len() > 1 {
            let sizes = self.counted.iter().enumerate().skip(1);
            let Some((largest, _)) = sizes.max_by_key(|(_, c)| c.classes.len()) else { break };
            self.held -= self.counted.swap_remove(largest).classes.len();
        }
        classes
    }
}
