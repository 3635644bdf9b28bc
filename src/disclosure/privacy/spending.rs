//! From a lease of the project's budget to the shares that single mechanisms spend.

use crate::domain::rho::Rho;
use crate::store::BudgetLease;

/// What is left of a lease while a result is made. Mechanisms take their [`Share`] by value, so all
/// of a run's releases together never cost more than was reserved.
#[derive(Debug)]
pub struct Spending {
    left: Rho,
}

/// What one mechanism may cost. Not `Clone`: used once.
///
/// ```compile_fail,E0599
/// fn twice(share: kpr::disclosure::privacy::Share) {
///     let copy = share.clone();
/// }
/// ```
#[derive(Debug)]
pub struct Share(Rho);

/// More was asked for than the lease has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the releases of this run cost more than was reserved for it")]
pub struct Overspent;

impl Spending {
    /// Spends this lease.
    #[must_use]
    pub fn new(lease: BudgetLease) -> Self {
        Self { left: lease.rho() }
    }

    /// As if so much were leased, to see whether it would suffice. What takes its shares from here adds no noise to
    /// anything that is released.
    pub(in crate::disclosure) const fn trial(rho: Rho) -> Self {
        Self { left: rho }
    }

    /// Takes a share.
    ///
    /// # Errors
    /// [`Overspent`].
    pub fn take(&mut self, rho: Rho) -> Result<Share, Overspent> {
        self.left = self.left.minus(rho).ok_or(Overspent)?;
        Ok(Share(rho))
    }

    /// Takes all that is left.
    #[must_use]
    pub const fn rest(self) -> Share {
        Share(self.left)
    }
}

impl Share {
    /// How much it is.
    #[must_use]
    pub const fn rho(&self) -> Rho {
        self.0
    }

    /// What a steward states for a table of a file, which belongs to no project.
    pub(in crate::disclosure) const fn stated(rho: Rho) -> Self {
        Self(rho)
    }

    /// Two halves; what does not divide goes to the first.
    pub(super) fn halves(self) -> (Self, Self) {
        let half = Rho::from_units(self.0.units() / 2).unwrap_or(Rho::ZERO);
        (Self(self.0.minus(half).unwrap_or(Rho::ZERO)), Self(half))
    }

    /// So many equal parts; what does not divide is not spent.
    pub(super) fn parts(self, parts: u32) -> impl Iterator<Item = Self> {
        let part = self.0.units().checked_div(parts.into()).unwrap_or(0);
        let part = Rho::from_units(part).unwrap_or(Rho::ZERO);
        (0..parts).map(move |_| Self(part))
    }

    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        Self(text.parse().unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_sum_to_more_than_the_lease() {
        let mut spending = Spending { left: "0.3".parse().unwrap() };
        assert_eq!(spending.take("0.1".parse().unwrap()).unwrap().rho().to_string(), "0.1");
        assert_eq!(spending.take("0.200000001".parse().unwrap()).unwrap_err(), Overspent);
        let (first, second) = spending.take("0.000000003".parse().unwrap()).unwrap().halves();
        assert_eq!((first.rho().units(), second.rho().units()), (2, 1));
        let parts: Vec<u64> = Share::of("0.000000008").parts(3).map(|part| part.rho().units()).collect();
        assert_eq!(parts, [2, 2, 2]);
        assert_eq!(spending.rest().rho().to_string(), "0.199999997");
    }
}
