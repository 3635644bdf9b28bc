//! Random draws that depend on the seed, the purpose and the person alone: one stream each, so that the
//! content does not change with the order or the threads it is made in.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// What a stream is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// A person's life: kind, residence, death.
    Life,
    /// A municipality's size and habits.
    Municipality,
    /// Contacts of a year.
    Contacts(i32),
    /// Psychiatric discharges of a year.
    Discharges(i32),
    /// Contacts that follow the discharges of a year.
    FollowUp(i32),
    /// Other specialist care of a year.
    Specialist(i32),
    /// Care services; the same in every year.
    Care,
    /// Function scores of a year.
    Function(i32),
    /// Faults of one delivery, by its number.
    Faults(u16),
    /// Whether a person's number is by the 2032 rule.
    NewRule,
}

impl Purpose {
    fn code(self) -> u64 {
        let (kind, of) = match self {
            Self::Life => (0, 0),
            Self::Municipality => (1, 0),
            Self::Contacts(year) => (2, year),
            Self::Discharges(year) => (3, year),
            Self::FollowUp(year) => (4, year),
            Self::Specialist(year) => (5, year),
            Self::Care => (6, 0),
            Self::Function(year) => (7, year),
            Self::Faults(delivery) => (8, i32::from(delivery)),
            Self::NewRule => (9, 0),
        };
        (kind << 16) | u64::from(of.unsigned_abs() & 0xffff)
    }
}

/// All streams of one seed.
#[derive(Clone)]
pub(super) struct Streams {
    seed: u64,
    base: ChaCha8Rng,
}

impl Streams {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, base: ChaCha8Rng::from_seed(digest(seed, "streams")) }
    }

    /// The stream for this purpose and this person or thing.
    pub(super) fn of(&self, purpose: Purpose, item: u32) -> Draw {
        let mut rng = self.base.clone();
        rng.set_stream((purpose.code() << 32) | u64::from(item));
        Draw { rng }
    }

    /// Keys of a permutation, by its name.
    pub(super) fn keys(&self, name: &str) -> [u64; 4] {
        let mut keys = [0; 4];
        for (key, bytes) in keys.iter_mut().zip(digest(self.seed, name).as_chunks::<8>().0) {
            *key = u64::from_le_bytes(*bytes);
        }
        keys
    }
}

fn digest(seed: u64, name: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"kpr synthetic registers 1");
    hash.update(seed.to_le_bytes());
    hash.update(name.as_bytes());
    hash.finalize().into()
}

/// One stream.
pub(super) struct Draw {
    rng: ChaCha8Rng,
}

impl Draw {
    /// A number below `limit`; 0 when `limit` is 0.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        ((u64::from(self.rng.next_u32()) * u64::from(limit)) >> 32) as u32
    }

    /// A number from `low` to `high`, both included; `low` when they are the wrong way round.
    pub(super) fn between(&mut self, low: i32, high: i32) -> i32 {
        let width = high.saturating_sub(low).saturating_add(1).max(1).unsigned_abs();
        low.saturating_add_unsigned(self.below(width))
    }

    /// A number from 0 up to, not including, 1.
    pub(super) fn share(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / 4_294_967_296.0
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    /// A Poisson count with this mean (Knuth's product method; means up to 100).
    pub(super) fn poisson(&mut self, mean: f64) -> u32 {
        let floor = (-mean.min(100.0)).exp();
        let mut product = self.share();
        let mut count = 0;
        while product > floor {
            product *= self.share();
            count += 1;
        }
        count
    }

    /// A standard normal value (Box-Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }

    /// One of the values; the default of the type when there is none.
    pub(super) fn one_of<T: Copy + Default>(&mut self, values: &[T]) -> T {
        values.get(self.below(values.len() as u32) as usize).copied().unwrap_or_default()
    }
}

/// Values drawn by weight.
#[derive(Debug, Clone)]
pub(super) struct Weighted<T> {
    steps: Vec<(u32, T)>,
}

impl<T: Copy + Default> Weighted<T> {
    /// Takes values with weights of any scale.
    pub(super) fn new(values: impl IntoIterator<Item = (f64, T)>) -> Self {
        let values: Vec<_> = values.into_iter().collect();
        let total: f64 = values.iter().map(|(weight, _)| weight).sum();
        let mut sum = 0.0;
        let steps = values
            .into_iter()
            .map(|(weight, value)| {
                sum += weight;
                ((sum / total * f64::from(u32::MAX)) as u32, value)
            })
            .collect();
        Self { steps }
    }

    /// Draws one; the default of the type when there is none.
    pub(super) fn pick(&self, draw: &mut Draw) -> T {
        let at = draw.below(u32::MAX);
        let index = self.steps.partition_point(|(upto, _)| *upto <= at);
        self.steps.get(index).or(self.steps.last()).map(|(_, value)| *value).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Purpose, Streams, Weighted};

    #[test]
    fn draws_follow_their_distributions() {
        let mut draw = Streams::new(1).of(Purpose::Life, 7);
        let rounds = 20_000;
        let mean = f64::from((0..rounds).map(|_| draw.poisson(3.5)).sum::<u32>()) / f64::from(rounds);
        assert!((mean - 3.5).abs() < 0.08, "{mean}");
        let weighted = Weighted::new([(1.0, 'a'), (3.0, 'b')]);
        let b = (0..rounds).filter(|_| weighted.pick(&mut draw) == 'b').count() as f64;
        assert!((b / f64::from(rounds) - 0.75).abs() < 0.02);
        let square: f64 = (0..rounds).map(|_| draw.normal().powi(2)).sum();
        assert!((square / f64::from(rounds) - 1.0).abs() < 0.05);
        assert!((0..rounds).all(|_| (-2..=2).contains(&draw.between(-2, 2))));
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_person() {
        let first = |seed, purpose, item| Streams::new(seed).of(purpose, item).below(u32::MAX);
        let base = first(1, Purpose::Life, 1);
        assert_eq!(base, first(1, Purpose::Life, 1));
        assert_ne!(base, first(2, Purpose::Life, 1));
        assert_ne!(base, first(1, Purpose::Care, 1));
        assert_ne!(base, first(1, Purpose::Life, 2));
        assert_ne!(first(1, Purpose::Contacts(2024), 1), first(1, Purpose::Contacts(2025), 1));
    }
}
