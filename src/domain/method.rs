//! How a result is protected, as `policies/disclosure.toml` states it.

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
    /// Every number has noise, for differential privacy.
    Noise(Noise),
    /// Records of which each is like so many others; never a domain's method, but what a rule for microdata asks for.
    #[serde(skip)]
    Generalise(Records),
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
    /// The name it has in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suppress => "suppress",
            Self::Fold => "fold",
            Self::Noise(_) => "noise",
            Self::Generalise(_) => "generalise",
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
            Self::Noise(noise) => noise.text(),
            Self::Generalise(records) => records.text(rule.min_persons()),
        }
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
             probability. Numbers may be negative. Margins {}.",
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
