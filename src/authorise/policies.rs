//! The policies of a folder: Cedar policies and their schema, disclosure rules. All are checked when
//! they are loaded; a bad or unknown file stops the start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cedar_policy::{
    ActionConstraint, Authorizer, Decision, Effect, Entities, Policy, PolicyId, PolicySet, Request, Schema,
    ValidationMode, Validator,
};

use crate::domain::approval::Approval;
use crate::domain::canonical::Digest;
use crate::domain::ids::{DomainId, OrganisationId, RegisterId};
use crate::domain::method::Cellkey;
use crate::domain::query::Query;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::section::Section;

use super::action::{Action, Resource, facts};
use super::caller::Caller;
use super::disclosure::{Applied, DisclosurePolicy};

const SCHEMA: &str = "gateway.cedarschema";
const DISCLOSURE: &str = "disclosure.toml";
/// Folders that belong to the catalogue of registers, the policies' own tests, and examples of the
/// policies that register nodes hold themselves.
const FOLDERS: [&str; 4] = ["registers", "codelists", "tests", "partners"];
/// The codes a `forbid` may give. They are part of the interface, so a policy cannot make up others.
const FORBID_CODES: [&str; 8] = [
    "policy.purpose_prohibited",
    "policy.direct_identifiers",
    "policy.blind_linkage",
    "policy.statistics_only",
    "policy.other_purpose",
    "policy.indirect_conditions",
    "policy.feed_no_query",
    "policy.no_feed",
];

/// Why a folder of policies is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file or the folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A file is not one that belongs here.
    #[error(
        "{0} does not belong in the policies: expected are *.cedar, gateway.cedarschema, disclosure.toml \
         and the folders registers, codelists, tests and partners"
    )]
    UnknownFile(PathBuf),
    /// A file that must be there is not.
    #[error("{0} is missing")]
    Missing(PathBuf),
    /// A file is not well formed, or breaks a rule for its kind.
    #[error("{path}: {reason}")]
    Bad {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
}

/// The policies in force.
#[derive(Debug)]
pub struct Policies {
    schema: Schema,
    policies: PolicySet,
    /// For each action, in words, whom its permits let through.
    accepts: BTreeMap<&'static str, Vec<String>>,
    disclosure: DisclosurePolicy,
    digest: Digest,
}

impl Policies {
    /// Reads and checks the policies of a folder.
    ///
    /// # Errors
    /// [`PolicyError`], for the first file that is not accepted.
    pub fn load(dir: &Path) -> Result<Self, PolicyError> {
        let files = files(dir)?;
        let text = |name: &str| files.get(name).ok_or_else(|| PolicyError::Missing(dir.join(name)));
        let schema = schema(text(SCHEMA)?).map_err(|reason| bad(dir.join(SCHEMA), reason))?;
        let mut policies = PolicySet::new();
        for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".cedar")) {
            add(&mut policies, text).map_err(|reason| bad(dir.join(name), reason))?;
        }
        validate(&schema, &policies).map_err(|reason| bad(dir.to_owned(), reason))?;
        let disclosure = DisclosurePolicy::parse(text(DISCLOSURE)?)
            .map_err(|fault| bad(dir.join(DISCLOSURE), fault.to_string()))?;
        let framed: Vec<u8> = files
            .iter()
            .flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()])
            .flat_map(|part| [&(part.len() as u64).to_be_bytes(), part].concat())
            .collect();
        let digest = Digest::of_bytes("kpr/policies/v1", &framed);
        Ok(Self { accepts: accepts(&policies), schema, policies, disclosure, digest })
    }

    /// The disclosure rule and method for a query of an organisation under an approval.
    ///
    /// # Errors
    /// A [`Refusal`]: which rule refused, what was asked, and what would be accepted.
    pub(super) fn disclosure(
        &self,
        query: &Query,
        approval: &Approval,
        organisation: &OrganisationId,
    ) -> Result<Applied, Refusal> {
        self.disclosure.apply(query, approval, organisation)
    }

    /// The one data domain that what is granted to a feed lies in.
    ///
    /// # Errors
    /// A [`Refusal`] if there is none, or more than one.
    pub(super) fn feed_domain(&self, approval: &Approval) -> Result<DomainId, Refusal> {
        self.disclosure.feed_domain(approval)
    }

    /// The cell-key noises of all domains.
    pub fn cellkeys(&self) -> impl Iterator<Item = Cellkey> + '_ {
        self.disclosure.cellkeys()
    }

    /// Whether a table that this query gave may be published.
    ///
    /// # Errors
    /// A [`Refusal`] if its data domain is not published.
    pub fn may_publish(&self, query: &Query) -> Result<(), Refusal> {
        self.disclosure.may_publish(query)
    }

    /// The digest of the policy files: label `kpr/policies/v1` over name and content of each file in
    /// the order of their names, each framed by its length as u64 big-endian.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether the policies let `caller` do `action` on `on`. Anything that goes wrong on the way to a
    /// decision denies.
    ///
    /// # Errors
    /// A [`Refusal`]: the code and reason of the `forbid` that stopped it, or whom the permits for this
    /// action let through.
    pub fn may(&self, caller: &Caller, action: Action, on: Resource<'_>) -> Result<(), Refusal> {
        let (decision, decided) = self.decide(caller, action, on).ok_or_else(|| {
            Refusal::new(
                RefusalKind::Denied,
                "policy.error",
                "the policies could not be evaluated for this request, so it is denied; the register keeper \
                 must correct them",
            )
        })?;
        if decision == Decision::Allow {
            return Ok(());
        }
        let forbid = decided.iter().filter_map(|id| self.policies.policy(id)).find_map(|policy| {
            let code = policy.annotation("code")?;
            let code = FORBID_CODES.into_iter().find(|known| *known == code)?;
            Some(Refusal::new(RefusalKind::Denied, code, linked(policy.annotation("reason")?, on)))
        });
        Err(forbid.unwrap_or_else(|| {
            let accepted = self.accepts.get(action.as_str()).map_or_else(String::new, |a| a.join("; or "));
            Refusal::new(
                RefusalKind::Denied,
                "policy.not_permitted",
                format!(
                    "no policy permits {} to a {} of {}; permitted is: {accepted}",
                    action.as_str(),
                    caller.role(),
                    caller.organisation()
                ),
            )
        }))
    }

    /// What a policy says of itself: whom it lets through, or the rule it stands on.
    pub(super) fn words(&self, id: &PolicyId) -> String {
        let policy = self.policies.policy(id);
        let said = policy.and_then(|p| p.annotation("accepts").or_else(|| p.annotation("reason")));
        said.unwrap_or_default().to_owned()
    }

    /// The names of all policies.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.policies.policies().map(|policy| policy.id().to_string())
    }

    /// The decision and the policies that led to it; nothing if any of them could not be evaluated.
    pub(super) fn decide(
        &self,
        caller: &Caller,
        action: Action,
        on: Resource<'_>,
    ) -> Option<(Decision, Vec<PolicyId>)> {
        let facts = facts(caller, action, on).ok()?;
        let context = facts.context().ok()?;
        let entities = Entities::from_entities(facts.entities, Some(&self.schema)).ok()?;
        let request =
            Request::new(facts.principal, facts.action, facts.resource, context, Some(&self.schema)).ok()?;
        let response = Authorizer::new().is_authorized(&request, &self.policies, &entities);
        if response.diagnostics().errors().next().is_some() {
            return None;
        }
        let mut reasons: Vec<PolicyId> = response.diagnostics().reason().cloned().collect();
        reasons.sort();
        Some((response.decision(), reasons))
    }
}

/// A reason, with the registers that the query links, if there is one.
fn linked(reason: &str, on: Resource<'_>) -> String {
    let Resource::Query { registers, .. } = on else { return reason.to_owned() };
    let named = |(register, section): (&RegisterId, &Option<Section>)| {
        format!("{register} ({})", section.map_or("not in the catalogue", Section::as_str))
    };
    let registers: Vec<String> = registers.iter().map(named).collect();
    format!("{reason}; the query links {}", registers.join(", "))
}

fn bad(path: PathBuf, reason: String) -> PolicyError {
    PolicyError::Bad { path, reason }
}

/// The files of the folder that are policies, by name.
fn files(dir: &Path) -> Result<BTreeMap<String, String>, PolicyError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| PolicyError::Read { path, source }
    };
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(read(dir))? {
        let path = entry.map_err(read(dir))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && FOLDERS.contains(&name.as_str()) {
            continue;
        }
        if !path.is_file() || !(name.ends_with(".cedar") || name == SCHEMA || name == DISCLOSURE) {
            return Err(PolicyError::UnknownFile(path));
        }
        let text = std::fs::read_to_string(&path).map_err(read(&path))?;
        files.insert(name, text);
    }
    Ok(files)
}

fn schema(text: &str) -> Result<Schema, String> {
    let (schema, mut warnings) = Schema::from_cedarschema_str(text).map_err(|e| e.to_string())?;
    match warnings.next() {
        Some(warning) => Err(warning.to_string()),
        None => Ok(schema),
    }
}

/// Adds the policies of one file, each under the id that its `@id` gives.
fn add(policies: &mut PolicySet, text: &str) -> Result<(), String> {
    let parsed = PolicySet::from_str(text).map_err(|e| e.to_string())?;
    if parsed.num_of_templates() > 0 {
        return Err("templates are not used here: write the policy out".to_owned());
    }
    for policy in parsed.policies() {
        let id = policy.annotation("id").ok_or("every policy needs an @id")?;
        complete(policy).map_err(|wanted| format!("policy {id} needs {wanted}"))?;
        policies.add(policy.new_id(PolicyId::new(id))).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Whether a policy says what a caller is to be told.
fn complete(policy: &Policy) -> Result<(), String> {
    match policy.effect() {
        Effect::Permit if policy.annotation("accepts").is_none_or(str::is_empty) => {
            Err("@accepts: whom it lets through, in words".to_owned())
        }
        Effect::Forbid if !policy.annotation("code").is_some_and(|c| FORBID_CODES.contains(&c)) => {
            Err(format!("a @code out of {}", FORBID_CODES.join(", ")))
        }
        Effect::Forbid if policy.annotation("reason").is_none_or(str::is_empty) => {
            Err("a @reason: the rule it stands on, in words".to_owned())
        }
        _ => Ok(()),
    }
}

fn validate(schema: &Schema, policies: &PolicySet) -> Result<(), String> {
    let known: Vec<String> =
        schema.actions().map(|action| AsRef::<str>::as_ref(action.id()).to_owned()).collect();
    if let Some(missing) = Action::ALL.iter().find(|a| !known.iter().any(|k| k == a.as_str())) {
        return Err(format!("the schema does not have the action {}", missing.as_str()));
    }
    let result = Validator::new(schema.clone()).validate(policies, ValidationMode::Strict);
    let faults = result
        .validation_errors()
        .map(ToString::to_string)
        .chain(result.validation_warnings().map(ToString::to_string));
    match faults.reduce(|all, one| format!("{all}; {one}")) {
        Some(faults) => Err(faults),
        None => Ok(()),
    }
}

fn accepts(policies: &PolicySet) -> BTreeMap<&'static str, Vec<String>> {
    let covers = |policy: &Policy, action: Action| {
        let same = |uid: &cedar_policy::EntityUid| AsRef::<str>::as_ref(uid.id()) == action.as_str();
        match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => same(&uid),
            ActionConstraint::In(uids) => uids.iter().any(same),
        }
    };
    let words = |action: Action| {
        let mut words: Vec<String> = policies
            .policies()
            .filter(|p| p.effect() == Effect::Permit && covers(p, action))
            .filter_map(|p| p.annotation("accepts").map(str::to_owned))
            .collect();
        words.sort();
        words
    };
    Action::ALL.into_iter().map(|action| (action.as_str(), words(action))).collect()
}

#[cfg(test)]
mod tests;
