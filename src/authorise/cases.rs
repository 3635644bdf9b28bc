//! Requests in words, as the case tables beside the policies and `kpr policy explain` write them.
//!
//! Who: `researcher of recipient`, `steward of NTRNO-983744516`, `partner NPR`. What: an action. On what: `gateway`,
//! `project: research, protected_tables` (purpose and tier, `indirect_microdata with conditions`; for a query also the sections of the registers it links, as
//! in `project: research, protected_tables, section_9a section_11`, and section 11 where none is named), `run of
//! recipient: research, protected_tables` (the organisation that asked), `register NPR`. `recipient` is an organisation
//! that the approval names, `stranger` one that it does not.

use std::collections::BTreeMap;

use cedar_policy::{Decision, Entities, PolicyId};

use super::action::{Action, Resource, facts};
use super::caller::{Caller, Role};
use super::policies::Policies;
use crate::domain::approval::Approval;
use crate::domain::feed::{Every, Feed};
use crate::domain::ids::{OrganisationId, RegisterId, RunId};
use crate::domain::indirect::IndirectTerms;
use crate::domain::section::Section;
use crate::domain::words::Words;

/// The organisation that `stranger` stands for.
const STRANGER: &str = "NTRNO-000000000";
/// The run that cases are about.
const RUN: &str = "r-00000000000000000000000000000000";

/// A request in words cannot be read, or not be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// Words that are no caller.
    #[error(
        "{0:?} is no caller: write a role and an organisation, as in \"researcher of recipient\", or \"partner NPR\""
    )]
    Caller(String),
    /// A word that is no action.
    #[error("{0:?} is no action; actions are: {1}")]
    Action(String, String),
    /// Words that are nothing an action is done on.
    #[error(
        "{0:?} is nothing that an action is done on: write gateway, \"project: research, protected_tables\", \"run of \
         recipient: research, protected_tables\" or \"register NPR\""
    )]
    Resource(String),
    /// A line of a table that is not a case.
    #[error(
        "line {0}: a case has five columns: who, what, on what, allow or deny, and the policies that decided"
    )]
    Line(usize),
    /// Evaluation failed, so the request is denied.
    #[error("the policies cannot be evaluated for this request; it is denied")]
    NotEvaluated,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    caller: Caller,
    action: Action,
    on: On,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum On {
    Gateway,
    Project(Box<Approval>),
    Query(Box<Approval>, BTreeMap<RegisterId, Option<Section>>),
    Run(Box<Approval>, OrganisationId),
    Register(RegisterId),
}

/// How a request is decided, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The policies that decided, each with what it says of itself. None where no policy permits.
    pub decided: Vec<(String, String)>,
    /// What the policies know of caller and resource, as JSON.
    pub facts: String,
}

/// A line of a case table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it stands.
    pub number: usize,
    /// Its words: who, what, on what.
    pub words: [String; 3],
    /// Whether it is to be allowed.
    pub allowed: bool,
    /// The policies that are to decide, separated by commas.
    pub policies: String,
}

/// The cases of a table: every line that begins with `| ` but the headings.
///
/// # Errors
/// [`CaseError::Line`].
pub fn lines(table: &str) -> Result<Vec<Line>, CaseError> {
    let rows = table.lines().enumerate().filter(|(_, line)| line.starts_with("| ")).skip(1);
    rows.map(|(at, line)| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, who, what, on, decision @ ("allow" | "deny"), policies, _] = cells[..] else {
            return Err(CaseError::Line(at + 1));
        };
        Ok(Line {
            number: at + 1,
            words: [who, what, on].map(ToOwned::to_owned),
            allowed: decision == "allow",
            policies: policies.to_owned(),
        })
    })
    .collect()
}

impl Case {
    /// Reads a request. An approval like this one, with the purpose and tier that the words name, is what projects and
    /// runs are of.
    ///
    /// # Errors
    /// [`CaseError`]: which words are not understood, and which would be.
    pub fn read([who, what, on]: [&str; 3], approval: &Approval) -> Result<Self, CaseError> {
        let actions = || Action::ALL.map(Action::as_str).join(", ");
        let action = Action::ALL.into_iter().find(|action| action.as_str() == what);
        let action = action.ok_or_else(|| CaseError::Action(what.to_owned(), actions()))?;
        let caller = caller(who, approval).ok_or_else(|| CaseError::Caller(who.to_owned()))?;
        let on = resource(on, action, approval).ok_or_else(|| CaseError::Resource(on.to_owned()))?;
        Ok(Self { caller, action, on })
    }
}

fn organisation(word: &str, approval: &Approval) -> Option<OrganisationId> {
    match word {
        "recipient" => approval.recipients.first().cloned(),
        "stranger" => OrganisationId::new(STRANGER).ok(),
        other => OrganisationId::new(other).ok(),
    }
}

fn caller(words: &str, approval: &Approval) -> Option<Caller> {
    if let Some(register) = words.strip_prefix("partner ").filter(|rest| !rest.starts_with("of ")) {
        let (register, of) = register.split_once(" of ").unwrap_or((register, "stranger"));
        let register = RegisterId::new(register).ok()?.to_string();
        return Some(Caller::from_certificate(organisation(of, approval)?, Role::Partner, register));
    }
    let (role, of) = words.split_once(" of ")?;
    let organisation = organisation(of, approval)?;
    Some(Caller::from_certificate(organisation, role.parse().ok()?, "somebody".to_owned()))
}

/// The registers of a query that links with registers under these sections, of which only the sections matter.
fn registers(sections: &str) -> Option<BTreeMap<RegisterId, Option<Section>>> {
    sections
        .split(' ')
        .map(|name| {
            let section = serde_json::from_value(serde_json::Value::from(name)).ok()?;
            Some((RegisterId::new(name.to_owned()).ok()?, Some(section)))
        })
        .collect()
}

/// An interest and a condition, of which only matters that they are stated.
fn stated() -> Option<IndirectTerms> {
    let words = Words::new("stated").ok()?;
    Some(IndirectTerms { interest: words.clone(), conditions: vec![words] })
}

/// A feed to a register by its basis: `NPR by section_11`.
fn feed_to(words: &str) -> Option<Feed> {
    let (register, basis) = words.split_once(" by ")?;
    let basis = serde_json::from_value(serde_json::Value::from(basis)).ok()?;
    Some(Feed { register: RegisterId::new(register).ok()?, basis, every: Every::Month })
}

fn resource(words: &str, action: Action, approval: &Approval) -> Option<On> {
    let like = |words: &str| {
        let (purpose, tier) = words.split_once(", ")?;
        let named = |word: &str| serde_json::Value::from(word);
        let (purpose, basis) = match purpose.split_once(" by ") {
            Some((purpose, basis)) => (purpose, Some(serde_json::from_value(named(basis)).ok()?)),
            None => (purpose, None),
        };
        let (tier, indirect) = match tier.strip_suffix(" with conditions") {
            Some(tier) => (tier, Some(stated()?)),
            None => (tier, None),
        };
        let (tier, feed) = match tier.split_once(" to ") {
            Some((tier, feed)) => (tier, Some(feed_to(feed)?)),
            None => (tier, None),
        };
        Some(Box::new(Approval {
            feed,
            purpose: serde_json::from_value(named(purpose)).ok()?,
            other_basis: basis,
            tier: serde_json::from_value(named(tier)).ok()?,
            indirect,
            ..approval.clone()
        }))
    };
    match words.split_once(' ') {
        None if words == "gateway" => Some(On::Gateway),
        Some(("project:", rest)) if matches!(action, Action::CheckQuery | Action::SubmitQuery) => {
            let (project, sections) = match rest.match_indices(", ").nth(1) {
                Some((at, _)) => (rest.get(..at)?, rest.get(at + 2..)?),
                None => (rest, Section::Section11.as_str()),
            };
            Some(On::Query(like(project)?, registers(sections)?))
        }
        Some(("project:", rest)) => like(rest).map(On::Project),
        Some(("run", rest)) => {
            let (of, rest) = rest.strip_prefix("of ")?.split_once(": ")?;
            Some(On::Run(like(rest)?, organisation(of, approval)?))
        }
        Some(("register", register)) => RegisterId::new(register).ok().map(On::Register),
        _ => None,
    }
}

impl Policies {
    /// How these policies decide a request, and why.
    ///
    /// # Errors
    /// [`CaseError::NotEvaluated`]; such a request is denied.
    pub fn explain(&self, case: &Case) -> Result<Explanation, CaseError> {
        let run = RunId::new(RUN).map_err(|_| CaseError::NotEvaluated)?;
        let on = match &case.on {
            On::Gateway => Resource::Gateway,
            On::Project(approval) => Resource::Project(approval),
            On::Query(approval, registers) => Resource::Query { approval, registers },
            On::Run(approval, organisation) => Resource::Run { run: &run, approval, organisation },
            On::Register(register) => Resource::Register(register),
        };
        let (decision, policies) =
            self.decide(&case.caller, case.action, on).ok_or(CaseError::NotEvaluated)?;
        let known = facts(&case.caller, case.action, on).map_err(|_| CaseError::NotEvaluated)?;
        let entities = Entities::from_entities(known.entities, None).map_err(|_| CaseError::NotEvaluated)?;
        let entities = entities.to_json_value().map_err(|_| CaseError::NotEvaluated)?;
        let facts = match known.sections {
            Some(sections) => serde_json::json!({ "entities": entities, "sections": sections }),
            None => entities,
        };
        let mut decided: Vec<(String, String)> =
            policies.iter().map(|id: &PolicyId| (id.to_string(), self.words(id))).collect();
        decided.sort();
        Ok(Explanation { allowed: decision == Decision::Allow, decided, facts: format!("{facts:#}") })
    }
}
