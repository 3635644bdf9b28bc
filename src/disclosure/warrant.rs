//! The right to open a protected result.

/// Opens `execute::Protected`. Made only in `disclosure`, so that nothing else can look inside.
///
/// ```compile_fail,E0624
/// let warrant = kpr::disclosure::Warrant::new();
/// ```
#[derive(Debug)]
pub struct Warrant(());

impl Warrant {
    /// The warrant.
    pub(in crate::disclosure) const fn new() -> Self {
        Self(())
    }
}
