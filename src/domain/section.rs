//! The provision a register stands under, and what it asks of linkage with KPR (KPR regulation 4-2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::RegisterId;
use super::query::Query;

/// The provision a register stands under: a section of helseregisterloven, or one of the sources beside it that 4-2
/// names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Section 8: established by regulation.
    #[serde(rename = "section_8")]
    Section8,
    /// Section 9 a: established with the registered persons' consent.
    #[serde(rename = "section_9a")]
    Section9a,
    /// Section 9 b: pseudonymous.
    #[serde(rename = "section_9b")]
    Section9b,
    /// Section 10: without consent, the registered person may opt out.
    #[serde(rename = "section_10")]
    Section10,
    /// Section 11: established by law, without consent and without opting out.
    #[serde(rename = "section_11")]
    Section11,
    /// Folkeregisteret.
    PopulationRegister,
    /// Socio-economic data.
    SocioEconomic,
    /// IPLOS of 2006-2016: pseudonymous, for statistics with KPR only (6-1).
    HistoricIplos,
}

/// What a section asks of linkage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkageTerms {
    /// Neither consent nor opting out is asked about.
    Free,
    /// Only persons who have consented.
    Consent,
    /// Only persons who have not opted out.
    OptOut,
    /// Only where the controller sees no direct identifier.
    Blind,
}

impl LinkageTerms {
    /// Whose rows the partner leaves out, for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Free => "nobody is left out",
            Self::Consent => "the partner leaves out persons without consent",
            Self::OptOut => "the partner leaves out persons who have opted out",
            Self::Blind => "only by blind linkage",
        }
    }
}

impl Section {
    /// All sections.
    pub const ALL: [Self; 8] = [
        Self::Section8,
        Self::Section9a,
        Self::Section9b,
        Self::Section10,
        Self::Section11,
        Self::PopulationRegister,
        Self::SocioEconomic,
        Self::HistoricIplos,
    ];

    /// The name it has in register descriptions, orders and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Section8 => "section_8",
            Self::Section9a => "section_9a",
            Self::Section9b => "section_9b",
            Self::Section10 => "section_10",
            Self::Section11 => "section_11",
            Self::PopulationRegister => "population_register",
            Self::SocioEconomic => "socio_economic",
            Self::HistoricIplos => "historic_iplos",
        }
    }

    /// What it asks of linkage.
    #[must_use]
    pub const fn terms(self) -> LinkageTerms {
        match self {
            Self::Section8 | Self::Section11 | Self::PopulationRegister | Self::SocioEconomic => {
                LinkageTerms::Free
            }
            Self::Section9a => LinkageTerms::Consent,
            Self::Section10 => LinkageTerms::OptOut,
            Self::Section9b | Self::HistoricIplos => LinkageTerms::Blind,
        }
    }
}

/// The section of each register, as the catalogue states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sections {
    population: RegisterId,
    of: BTreeMap<RegisterId, Section>,
}

impl Sections {
    /// The sections of these registers, `population` being the one that every person is looked up in.
    #[must_use]
    pub const fn new(population: RegisterId, of: BTreeMap<RegisterId, Section>) -> Self {
        Self { population, of }
    }

    /// The section of a register, if it is known.
    #[must_use]
    pub fn of_register(&self, register: &RegisterId) -> Option<Section> {
        self.of.get(register).copied()
    }

    /// The registers that a query links, the population among them, with their sections; none for a register that
    /// is not known.
    #[must_use]
    pub fn of_query(&self, query: &Query) -> BTreeMap<RegisterId, Option<Section>> {
        [&self.population, &query.cohort.register]
            .into_iter()
            .chain(query.outcomes.iter().map(|outcome| &outcome.register))
            .map(|register| (register.clone(), self.of.get(register).copied()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_has_one_name() {
        for section in Section::ALL {
            assert_eq!(serde_json::to_value(section).unwrap(), section.as_str());
        }
    }

    #[test]
    fn sections_ask_what_the_regulation_says() {
        let asks = |terms| Section::ALL.into_iter().filter(|s| s.terms() == terms).collect::<Vec<_>>();
        assert_eq!(asks(LinkageTerms::Consent), [Section::Section9a]);
        assert_eq!(asks(LinkageTerms::OptOut), [Section::Section10]);
        assert_eq!(asks(LinkageTerms::Blind), [Section::Section9b, Section::HistoricIplos]);
    }
}
