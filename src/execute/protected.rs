//! The seal on a result before disclosure control.

use crate::disclosure::Warrant;

/// A result that nothing outside disclosure control can read. It is sealed by the engine alone.
///
/// It cannot be copied:
///
/// ```compile_fail,E0599
/// fn copy(sealed: &kpr::execute::Protected<Vec<u64>>) -> kpr::execute::Protected<Vec<u64>> {
///     sealed.clone()
/// }
/// ```
///
/// It cannot be printed:
///
/// ```compile_fail,E0277
/// fn print(sealed: &kpr::execute::Protected<Vec<u64>>) {
///     println!("{sealed:?}");
/// }
/// ```
///
/// It cannot be written out:
///
/// ```compile_fail,E0277
/// fn write(sealed: &kpr::execute::Protected<Vec<u64>>) -> serde_json::Result<Vec<u8>> {
///     serde_json::to_vec(sealed)
/// }
/// ```
///
/// It does not stand in for what it holds:
///
/// ```compile_fail,E0599
/// fn peek(sealed: &kpr::execute::Protected<Vec<u64>>) -> usize {
///     sealed.len()
/// }
/// ```
///
/// It opens for a warrant only, which disclosure control alone can make, and nobody else can call:
///
/// ```compile_fail,E0624
/// fn open(sealed: kpr::execute::Protected<Vec<u64>>, warrant: kpr::disclosure::Warrant) -> Vec<u64> {
///     sealed.open(warrant)
/// }
/// ```
///
/// Nothing else seals:
///
/// ```compile_fail,E0423
/// fn seal(counts: Vec<u64>) -> kpr::execute::Protected<Vec<u64>> {
///     kpr::execute::Protected(counts)
/// }
/// ```
///
/// What can be done with it is to hand it on:
///
/// ```
/// fn hand_on(sealed: kpr::execute::Protected<Vec<u64>>) -> kpr::execute::Protected<Vec<u64>> {
///     sealed
/// }
/// ```
pub struct Protected<T>(T);

impl<T> Protected<T> {
    pub(in crate::execute) const fn seal(value: T) -> Self {
        Self(value)
    }

    /// Looks inside, in the engine's own tests.
    #[cfg(test)]
    pub(in crate::execute) const fn peek(&self) -> &T {
        &self.0
    }

    /// Breaks the seal.
    pub(crate) fn open(self, _: Warrant) -> T {
        self.0
    }
}
