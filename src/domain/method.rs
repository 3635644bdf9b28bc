//! How a result is protected, as `policies/disclosure.toml` states it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::rho::Rho;
use super::rule::{Records, Rule};

/// How a table is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// Small counts are withheld, and others with which they could be computed.
    Suppress,
    /// Categories with few persons are folded into one in their parent group; what is still small is withheld.
    Fold,
    /// Every number has noise that depends on who is counted in it: asked again, it is the same.
    Cellkey(Cellkey),
    /// Every number has noise, for differential privacy.
    Noise(Noise),
    /// Records of which each is like so many others; never a domain's method, but what a rule for microdata asks for.
    #[serde(skip)]
    Generalise(Records),
    /// Records as the approval grants them, indirectly identifiable; never a domain's method either.
    #[serde(skip)]
    AsApproved,
}

/// Cell-key noise. It is the same for all recipients of a domain: another bound would give the same cell another
/// value, and the two would narrow down its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cellkey {
    /// The least number of persons that a number shows, zero aside.
    pub min_persons: u32,
    /// The most by which a number differs from its count.
    pub bound: u32,
    /// The variance of the noise.
    pub variance: Tenths,
}

/// A number with at most one decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenths(u32);

/// A text is no such number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a variance is a number with at most one decimal, such as 4 or 2.5")]
pub struct NotTenths;

impl Tenths {
    /// So many tenths.
    #[must_use]
    pub const fn new(tenths: u32) -> Self {
        Self(tenths)
    }

    /// How many tenths it is.
    #[must_use]
    pub const fn tenths(self) -> u32 {
        self.0
    }
}

impl FromStr for Tenths {
    type Err = NotTenths;
    fn from_str(text: &str) -> Result<Self, NotTenths> {
        let (whole, decimal) = text.split_once('.').unwrap_or((text, "0"));
        let whole: u32 = whole.parse().map_err(|_| NotTenths)?;
        let decimal: u32 = decimal.parse().ok().filter(|_| decimal.len() == 1).ok_or(NotTenths)?;
        whole.checked_mul(10).and_then(|tenths| tenths.checked_add(decimal)).map(Self).ok_or(NotTenths)
    }
}

impl TryFrom<String> for Tenths {
    type Error = NotTenths;
    fn try_from(text: String) -> Result<Self, NotTenths> {
        text.parse()
    }
}

impl From<Tenths> for String {
    fn from(tenths: Tenths) -> Self {
        tenths.to_string()
    }
}

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 10 {
            0 => write!(f, "{}", self.0 / 10),
            decimal => write!(f, "{}.{decimal}", self.0 / 10),
        }
    }
}

/// The noise of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// The law of the noise.
    pub mechanism: Mechanism,
    /// The privacy loss of the whole table.
    pub rho: Rho,
    /// Whether margins are the sums of their cells. Otherwise each has noise of its own, less of it.
    #[serde(default)]
    pub consistent_margins: bool,
}

/// The law of the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// Discrete Laplace: pure differential privacy, for few cells.
    Laplace,
    /// Discrete Gaussian: less noise where a person changes many cells.
    Gaussian,
}

impl Mechanism {
    /// The name it has in policies and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Laplace => "laplace",
            Self::Gaussian => "gaussian",
        }
    }
}

impl Method {
    /// The name of [`Method::AsApproved`].
    pub const AS_APPROVED: &'static str = "as_approved";
    /// What a recipient is told of it.
    pub const AS_APPROVED_TEXT: &'static str = "The values are given as the approval grants them, so a person can be alone with them: the records are \
         indirectly identifiable (KPR regulation 4-4) and are given under conditions. The order of the records tells \
         nothing.";

    /// The name it has in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suppress => "suppress",
            Self::Fold => "fold",
            Self::Cellkey(_) => "cellkey",
            Self::Noise(_) => "noise",
            Self::Generalise(_) => "generalise",
            Self::AsApproved => Self::AS_APPROVED,
        }
    }

    /// What a recipient is told of the method under a rule, in words.
    #[must_use]
    pub fn text(self, rule: &Rule) -> String {
        match self {
            Self::Suppress => rule.text(),
            Self::Fold => format!(
                "Categories with fewer than {} persons stand together, with others, as one in their parent group; \
                 totals are kept. {}",
                rule.min_persons(),
                rule.text()
            ),
            Self::Cellkey(cellkey) => cellkey.text(),
            Self::Noise(noise) => noise.text(),
            Self::Generalise(records) => records.text(rule.min_persons()),
            Self::AsApproved => Self::AS_APPROVED_TEXT.to_owned(),
        }
    }
}

impl Cellkey {
    fn text(self) -> String {
        format!(
            "Every number of persons has noise with mean 0, variance {} and at most {} in size; near zero the variance \
             is the nearest one that is possible. The same persons have the same noise in every table. No number from \
             1 to {} is shown, and a number of nobody is 0, as some small ones are. The true number lies between low \
             and high with 95 % probability. Margins have noise of their own and are not sums.",
            self.variance,
            self.bound,
            self.min_persons.saturating_sub(1)
        )
    }
}

impl Noise {
    /// The δ at which a loss is told as an ε too: 10 to the minus of this.
    pub const DELTA_EXPONENT: u32 = 6;

    fn text(self) -> String {
        let epsilon = self.rho.epsilon_thousandths(Self::DELTA_EXPONENT);
        format!(
            "Every number has {} noise, empty cells too, so that no person's being there shows: zCDP with rho = {}, \
             that is epsilon = {}.{:03} at delta = 10^-{}. The true number lies between low and high with 95 % \
             probability. Numbers may be negative. Margins of counts and sums {}.",
            match self.mechanism {
                Mechanism::Laplace => "discrete Laplace",
                Mechanism::Gaussian => "discrete Gaussian",
            },
            self.rho,
            epsilon / 1000,
            epsilon % 1000,
            Self::DELTA_EXPONENT,
            if self.consistent_margins {
                "are the sums of their cells"
            } else {
                "have noise of their own and are not sums"
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_reads_as_policies_write_it() {
        let read = |text: &str| toml::from_str::<std::collections::BTreeMap<String, Method>>(text);
        assert_eq!(read("a = \"fold\"").unwrap()["a"], Method::Fold);
        let noise =
            Noise { mechanism: Mechanism::Gaussian, rho: "0.01".parse().unwrap(), consistent_margins: false };
        let text = "a = { noise = { mechanism = \"gaussian\", rho = \"0.01\" } }";
        assert_eq!(read(text).unwrap()["a"], Method::Noise(noise));
        let cellkey = Cellkey { min_persons: 5, bound: 10, variance: Tenths::new(25) };
        let text = "a = { cellkey = { min_persons = 5, bound = 10, variance = \"2.5\" } }";
        assert_eq!(read(text).unwrap()["a"], Method::Cellkey(cellkey));
        assert!(cellkey.text().contains("variance 2.5 and at most 10") && cellkey.text().contains("1 to 4"));
        for bad in ["4.25", "4.05", "-1", "", "4.", "x"] {
            assert_eq!(bad.parse::<Tenths>(), Err(NotTenths), "{bad}");
        }
        for bad in ["\"none\"", "\"noise\"", "{ noise = { mechanism = \"gaussian\", rho = \"-1\" } }"] {
            assert!(read(&format!("a = {bad}")).is_err(), "{bad}");
        }
        assert!(
            Method::Noise(noise)
                .text(&Rule::new("r".to_owned().try_into().unwrap(), 5).unwrap())
                .contains("rho = 0.01")
        );
    }
}
