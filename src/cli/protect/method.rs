//! The methods of `kpr protect`, and which options each of them takes.

use std::num::NonZeroU32;

use clap::ValueEnum;
use kpr::disclosure::cellkey::{Design, DesignError, PerturbationTable};
use kpr::disclosure::file::NoiseAsked;
use kpr::disclosure::privacy::Mechanism;
use kpr::domain::method::Tenths;
use kpr::domain::rho::Rho;

use super::Args;

/// How a table is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Method {
    /// Withhold small cells, and others so that they cannot be computed
    Suppress,
    /// Fold categories with few persons into one, in their parent group, and withhold what is still small
    Fold,
    /// Give every cell noise that depends on who is in it, so that asking again tells nothing new
    Cellkey,
    /// Give every cell noise for differential privacy, with a 95 % interval
    Noise,
}

/// The law of noise for differential privacy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Law {
    /// Discrete Laplace
    Laplace,
    /// Discrete Gaussian: less noise where there are many margins
    Gaussian,
}

/// What the two methods with noise take.
#[derive(Debug, clap::Args)]
pub(super) struct NoiseArgs {
    /// With cellkey: the most by which a value may differ from its count; twice the least number of persons if not given
    #[arg(long, value_name = "PERSONS")]
    noise_bound: Option<u32>,
    /// With cellkey: the variance of the noise, with at most one decimal; 4 if not given
    #[arg(long, value_name = "VARIANCE")]
    noise_variance: Option<Tenths>,
    /// With noise: the privacy loss of the whole table, in zCDP, such as 0.1
    #[arg(long)]
    rho: Option<Rho>,
    /// With noise: its law; Gaussian if not given
    #[arg(long, value_enum)]
    mechanism: Option<Law>,
    /// With noise: in how many inner cells a person counts at most. Of a contributor in more, some are drawn
    #[arg(long, value_name = "CELLS")]
    cells_a_person: Option<NonZeroU32>,
    /// With noise: margins that are the sums of their cells
    #[arg(long)]
    consistent_margins: bool,
}

/// An option and a method that do not go together, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum MethodError {
    /// The method has no use for the option.
    #[error("--{option} does not go with --method {method}: {why}")]
    Refused {
        /// The option.
        option: &'static str,
        /// The method.
        method: &'static str,
        /// Why.
        why: &'static str,
    },
    /// The method cannot do without the option.
    #[error("--method {method} needs --{option}: {why}")]
    Needed {
        /// The option.
        option: &'static str,
        /// The method.
        method: &'static str,
        /// Why.
        why: &'static str,
    },
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Suppress => "suppress",
            Self::Fold => "fold",
            Self::Cellkey => "cellkey",
            Self::Noise => "noise",
        }
    }

    /// Why the method does not take an option; nothing if it does.
    fn refuses(self, option: &str) -> Option<&'static str> {
        use Method::{Cellkey, Fold, Noise, Suppress};
        match (self, option) {
            (Fold | Cellkey | Noise, "sum") => {
                Some("it protects counts of persons; only suppress protects sums")
            }
            (Fold | Cellkey | Noise, "min-units") => {
                Some("only suppress withholds what too few units have reported")
            }
            (Cellkey | Noise, "min-range" | "audit") => Some("it withholds nothing, so nothing has a range"),
            (Fold, "frozen") => {
                Some("an earlier table with other categories would take «øvrig» apart; suppress keeps to one")
            }
            (Cellkey | Noise, "frozen") => Some(
                "true counts published beside noisy ones take the noise off; suppress keeps to an earlier table",
            ),
            (Cellkey, "protect-zeros") => {
                Some("a cell with nobody in it stays zero; suppress and noise hide that")
            }
            (Noise, "protect-zeros") => Some("empty cells have noise as all others have"),
            (Noise, "min-persons") => Some("every person is protected alike, however many are in a cell"),
            (Noise, "key") => Some("its noise is drawn anew each time, and each time costs"),
            (Suppress | Fold | Noise, "noise-bound" | "noise-variance") => {
                Some("it belongs to cellkey; the noise of --method noise follows from --rho")
            }
            (Suppress | Fold | Cellkey, "rho" | "mechanism" | "cells-a-person" | "consistent-margins") => {
                Some("it belongs to noise")
            }
            _ => None,
        }
    }
}

/// Whether the options given go with the method.
pub(super) fn check(args: &Args) -> Result<(), MethodError> {
    let (method, noise) = (args.method, &args.noise);
    let given = [
        ("sum", args.sum.is_some()),
        ("frozen", args.frozen.is_some()),
        ("protect-zeros", args.protect_zeros),
        ("min-persons", args.min_persons.is_some()),
        ("min-units", args.min_units.is_some()),
        ("min-range", args.min_range.is_some()),
        ("audit", args.audit),
        ("key", args.key.is_some()),
        ("noise-bound", noise.noise_bound.is_some()),
        ("noise-variance", noise.noise_variance.is_some()),
        ("rho", noise.rho.is_some()),
        ("mechanism", noise.mechanism.is_some()),
        ("cells-a-person", noise.cells_a_person.is_some()),
        ("consistent-margins", noise.consistent_margins),
    ];
    for (option, _) in given.into_iter().filter(|(_, given)| *given) {
        if let Some(why) = method.refuses(option) {
            return Err(MethodError::Refused { option, method: method.as_str(), why });
        }
    }
    let needed = |option, given: bool, why| {
        if given { Ok(()) } else { Err(MethodError::Needed { option, method: method.as_str(), why }) }
    };
    match method {
        Method::Suppress | Method::Fold => Ok(()),
        Method::Cellkey => {
            needed("contributors", args.contributors.is_some(), "a cell's noise comes from who is in it")?;
            needed("key", args.key.is_some(), "under a key drawn anew the same cell would get other noise")
        }
        Method::Noise => {
            needed("rho", noise.rho.is_some(), "the noise follows from what it may cost")?;
            let why = "noise can hide one who is in a stated number of cells only";
            needed("cells-a-person", noise.cells_a_person.is_some(), why)
        }
    }
}

/// The variance of cell-key noise where nothing else is asked for.
const VARIANCE: Tenths = Tenths::new(40);

impl NoiseArgs {
    /// The perturbation table for values of so many persons at least.
    pub(super) fn perturbation(&self, min_persons: u32) -> Result<PerturbationTable, DesignError> {
        PerturbationTable::new(Design {
            min_persons,
            bound: self.noise_bound.unwrap_or(min_persons.saturating_mul(2)),
            variance_tenths: self.noise_variance.unwrap_or(VARIANCE).tenths(),
        })
    }

    /// What noise is asked for.
    pub(super) fn asked(&self) -> anyhow::Result<NoiseAsked> {
        let (Some(rho), Some(cells_a_person)) = (self.rho, self.cells_a_person) else {
            anyhow::bail!("--method noise needs --rho and --cells-a-person");
        };
        let mechanism = match self.mechanism {
            Some(Law::Laplace) => Mechanism::Laplace,
            Some(Law::Gaussian) | None => Mechanism::Gaussian,
        };
        Ok(NoiseAsked { rho, mechanism, cells_a_person, consistent: self.consistent_margins })
    }
}
