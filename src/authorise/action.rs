//! What can be done at the gateway, and on what, as the policies name it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cedar_policy::{Context, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};

use crate::domain::approval::Approval;
use crate::domain::ids::{OrganisationId, RegisterId, RunId};
use crate::domain::section::Section;

use super::caller::Caller;

/// An action of the policy schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Enter a project approval, or a new version of one.
    EnterProject,
    /// Add a steward's signature.
    SignProject,
    /// Read an approval and its signatures.
    ReadProject,
    /// List all projects.
    ListProjects,
    /// Ask what a query would do.
    CheckQuery,
    /// Start a query.
    SubmitQuery,
    /// Follow a run's phases.
    WatchRun,
    /// Fetch a released result.
    FetchResult,
    /// Read what stewards are told of a released table.
    ReadDisclosureReport,
    /// List microdata that wait for stewards, with their reports.
    ListHeld,
    /// Add a steward's signature to microdata that are held, which releases them if it is the second.
    SignHeld,
    /// Refuse microdata that are held.
    RefuseHeld,
    /// Publish a released table.
    PublishTable,
    /// List published tables.
    ListTables,
    /// Read a published table.
    ReadTable,
    /// Read the latest checkpoint of the audit log.
    ReadCheckpoint,
    /// Read the entries of the audit log.
    ReadLog,
    /// Take linkage orders for a register.
    TakeOrders,
    /// Send an order's rows, or decline it.
    SendRows,
    /// Record what becomes of an application: incomplete, complete, preliminary answer, rejected, withdrawn.
    HandleApplication,
    /// Suspend a project, or lift its suspension.
    SuspendProject,
    /// Close a project for good.
    CloseProject,
    /// Read which applications wait for an answer.
    ReadWorklist,
    /// Register hours worked on a project.
    RegisterHours,
    /// Have a project's cost stated.
    ReadCost,
    /// List the overview of disclosures.
    ListDisclosures,
    /// Read what was released about the person a ticket stands for.
    ReadPersonLog,
    /// Read that person's own rows.
    ReadPersonRows,
    /// Ask the sender of a delivery to correct that person's data.
    RequestCorrection,
    /// Set or lift a restriction for that person.
    SetRestriction,
    /// Read that person's restrictions, with their history.
    ReadRestrictions,
    /// Have that person's rows erased.
    ErasePerson,
    /// List the corrections that persons have asked for.
    ListCorrections,
    /// List the persons whose data may not be released with their identity.
    ListReservations,
    /// Sign that a serial number of released records be resolved.
    SignResolution,
    /// List the resolutions that wait for a second steward.
    ListResolutions,
    /// Fetch the corrections that persons have asked the caller's own organisation for.
    FetchCorrections,
    /// Take a feed, or fetch it again.
    TakeFeed,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 38] = [
        Self::EnterProject,
        Self::SignProject,
        Self::ReadProject,
        Self::ListProjects,
        Self::CheckQuery,
        Self::SubmitQuery,
        Self::WatchRun,
        Self::FetchResult,
        Self::ReadDisclosureReport,
        Self::ListHeld,
        Self::SignHeld,
        Self::RefuseHeld,
        Self::PublishTable,
        Self::ListTables,
        Self::ReadTable,
        Self::ReadCheckpoint,
        Self::ReadLog,
        Self::TakeOrders,
        Self::SendRows,
        Self::HandleApplication,
        Self::SuspendProject,
        Self::CloseProject,
        Self::ReadWorklist,
        Self::RegisterHours,
        Self::ReadCost,
        Self::ListDisclosures,
        Self::ReadPersonLog,
        Self::ReadPersonRows,
        Self::RequestCorrection,
        Self::SetRestriction,
        Self::ReadRestrictions,
        Self::ErasePerson,
        Self::ListCorrections,
        Self::ListReservations,
        Self::SignResolution,
        Self::ListResolutions,
        Self::FetchCorrections,
        Self::TakeFeed,
    ];

    /// The name it has in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EnterProject => "enter_project",
            Self::SignProject => "sign_project",
            Self::ReadProject => "read_project",
            Self::ListProjects => "list_projects",
            Self::CheckQuery => "check_query",
            Self::SubmitQuery => "submit_query",
            Self::WatchRun => "watch_run",
            Self::FetchResult => "fetch_result",
            Self::ReadDisclosureReport => "read_disclosure_report",
            Self::ListHeld => "list_held",
            Self::SignHeld => "sign_held",
            Self::RefuseHeld => "refuse_held",
            Self::PublishTable => "publish_table",
            Self::ListTables => "list_tables",
            Self::ReadTable => "read_table",
            Self::ReadCheckpoint => "read_checkpoint",
            Self::ReadLog => "read_log",
            Self::TakeOrders => "take_orders",
            Self::SendRows => "send_rows",
            Self::HandleApplication => "handle_application",
            Self::SuspendProject => "suspend_project",
            Self::CloseProject => "close_project",
            Self::ReadWorklist => "read_worklist",
            Self::RegisterHours => "register_hours",
            Self::ReadCost => "read_cost",
            Self::ListDisclosures => "list_disclosures",
            Self::ReadPersonLog => "read_person_log",
            Self::ReadPersonRows => "read_person_rows",
            Self::RequestCorrection => "request_correction",
            Self::SetRestriction => "set_restriction",
            Self::ReadRestrictions => "read_restrictions",
            Self::ErasePerson => "erase_person",
            Self::ListCorrections => "list_corrections",
            Self::ListReservations => "list_reservations",
            Self::SignResolution => "sign_resolution",
            Self::ListResolutions => "list_resolutions",
            Self::FetchCorrections => "fetch_corrections",
            Self::TakeFeed => "take_feed",
        }
    }
}

/// What an action is done on.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// The gateway itself: lists, published tables, the log.
    Gateway,
    /// A project, by its approval.
    Project(&'a Approval),
    /// A query under a project.
    Query {
        /// The approval it is asked under.
        approval: &'a Approval,
        /// The registers it links, with their sections.
        registers: &'a BTreeMap<RegisterId, Option<Section>>,
    },
    /// A run of a query.
    Run {
        /// The run.
        run: &'a RunId,
        /// The approval it was started under.
        approval: &'a Approval,
        /// The organisation that asked.
        organisation: &'a OrganisationId,
    },
    /// A partner register.
    Register(&'a RegisterId),
}

/// The facts of one request in Cedar's terms.
pub(super) struct Facts {
    pub(super) principal: EntityUid,
    pub(super) action: EntityUid,
    pub(super) resource: EntityUid,
    pub(super) entities: Vec<Entity>,
    /// The sections of the registers that a query links; none where there is no query.
    pub(super) sections: Option<BTreeSet<&'static str>>,
}

impl Facts {
    /// The request's context.
    pub(super) fn context(&self) -> Result<Context, NoFacts> {
        let Some(sections) = &self.sections else { return Ok(Context::empty()) };
        let sections = RestrictedExpression::new_set(sections.iter().map(|section| text(section)));
        Context::from_pairs([("sections".to_owned(), sections)]).map_err(|_| NoFacts)
    }
}

/// What stands for the section of a register that the catalogue does not have. Planning refuses such a query.
const UNKNOWN: &str = "unknown";

/// Something that has no form in Cedar's terms. The request is then denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be put in the policies' terms")]
pub(super) struct NoFacts;

fn uid(kind: &str, id: &str) -> Result<EntityUid, NoFacts> {
    let kind: EntityTypeName = kind.parse().map_err(|_| NoFacts)?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

fn entity<'a>(
    uid: &EntityUid,
    attributes: impl IntoIterator<Item = (&'a str, RestrictedExpression)>,
) -> Result<Entity, NoFacts> {
    let attributes: HashMap<_, _> = attributes.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    Entity::new(uid.clone(), attributes, HashSet::new()).map_err(|_| NoFacts)
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn project(approval: &Approval) -> Result<(EntityUid, Entity), NoFacts> {
    let uid = uid("Project", approval.project.as_str())?;
    let recipients = approval.recipients.iter().map(|o| text(o.as_str()));
    let always = [
        ("purpose", text(approval.purpose.as_str())),
        ("tier", text(approval.tier.as_str())),
        ("recipients", RestrictedExpression::new_set(recipients)),
    ];
    let other_basis = approval.other_basis.map(|basis| ("other_basis", text(basis.as_str())));
    let stated = approval.indirect.as_ref().map(|terms| terms.conditions.len());
    let stated = stated.map(|number| i64::try_from(number).map_err(|_| NoFacts)).transpose()?;
    let conditions = stated.map(|number| ("conditions", RestrictedExpression::new_long(number)));
    let feed = approval.feed.iter().flat_map(|feed| {
        [("feed_register", text(feed.register.as_str())), ("feed_basis", text(feed.basis.as_str()))]
    });
    let entity = entity(&uid, always.into_iter().chain(other_basis).chain(conditions).chain(feed))?;
    Ok((uid, entity))
}

/// The facts for a caller, an action and what it is done on.
pub(super) fn facts(caller: &Caller, action: Action, on: Resource<'_>) -> Result<Facts, NoFacts> {
    let principal = uid("Caller", caller.name())?;
    let mut entities = vec![entity(
        &principal,
        [
            ("organisation", text(caller.organisation().as_str())),
            ("role", text(caller.role().as_str())),
            ("name", text(caller.name())),
        ],
    )?];
    let resource = match on {
        Resource::Gateway => {
            let gateway = uid("Gateway", "gateway")?;
            entities.push(entity(&gateway, [])?);
            gateway
        }
        Resource::Project(approval) | Resource::Query { approval, .. } => {
            let (uid, entity) = project(approval)?;
            entities.push(entity);
            uid
        }
        Resource::Run { run, approval, organisation } => {
            let (project, project_entity) = project(approval)?;
            let run = uid("Run", run.as_str())?;
            entities.push(project_entity);
            entities.push(entity(
                &run,
                [
                    ("project", RestrictedExpression::new_entity_uid(project)),
                    ("organisation", text(organisation.as_str())),
                ],
            )?);
            run
        }
        Resource::Register(register) => {
            let uid = uid("Register", register.as_str())?;
            entities.push(entity(&uid, [("name", text(register.as_str()))])?);
            uid
        }
    };
    let sections = match on {
        Resource::Query { registers, .. } => {
            Some(registers.values().map(|section| section.map_or(UNKNOWN, Section::as_str)).collect())
        }
        _ => None,
    };
    Ok(Facts { principal, action: uid("Action", action.as_str())?, resource, entities, sections })
}
