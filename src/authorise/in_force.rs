//! The policies that decide now.

use std::sync::{Arc, PoisonError, RwLock};

use super::policies::Policies;

/// Policies that can be replaced while they decide. A decision is by one set of them, whose digest it records.
#[derive(Debug)]
pub struct PoliciesInForce(RwLock<Arc<Policies>>);

impl PoliciesInForce {
    /// These decide at first.
    #[must_use]
    pub fn new(first: Policies) -> Self {
        Self(RwLock::new(Arc::new(first)))
    }

    /// Those that decide now.
    #[must_use]
    pub fn now(&self) -> Arc<Policies> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets others decide from now on, all of them at once.
    pub fn replace(&self, by: Policies) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(by);
    }
}
