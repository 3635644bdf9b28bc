//! Who may call what: every gRPC method, the roles it is for, and how long it may take. A method
//! without a row cannot be called by anyone.

use std::time::Duration;

use tonic::{Code, Request, Status};

use crate::authorise::{Caller, Role};
use crate::config::StewardEntry;
use crate::domain::ids::{OrganisationId, StewardId};
use crate::domain::refusal::{Refusal, RefusalKind};

use Role::{Auditor, Consumer, Gateway, Ingest, Partner, Portal, Researcher, Sender, Steward};

/// One method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its full path, `/package.Service/Method`.
    pub path: &'static str,
    /// The roles it is for.
    pub roles: &'static [Role],
    /// The most time one call may take, its streams included.
    pub deadline: Duration,
    /// Whether it is a subscription, which ends when the server shuts down instead of holding it up.
    pub standing: bool,
}

/// The methods of one server.
pub type Table = &'static [Row];

const EVERY: &[Role] = &Role::ALL;

const fn call(path: &'static str, roles: &'static [Role]) -> Row {
    Row { path, roles, deadline: Duration::from_secs(30), standing: false }
}

const fn long(path: &'static str, roles: &'static [Role], minutes: u64) -> Row {
    Row { path, roles, deadline: Duration::from_secs(60 * minutes), standing: false }
}

const fn standing(path: &'static str, roles: &'static [Role]) -> Row {
    Row { path, roles, deadline: Duration::from_secs(60 * 60), standing: true }
}

/// The methods of the gateway.
pub const GATEWAY: Table = &[
    call("/kpr.v1.Projects/Enter", &[Steward]),
    call("/kpr.v1.Projects/Sign", &[Steward]),
    call("/kpr.v1.Projects/Get", &[Steward, Researcher, Auditor]),
    call("/kpr.v1.Projects/List", &[Steward, Auditor]),
    call("/kpr.v1.Queries/Check", &[Researcher]),
    call("/kpr.v1.Queries/Submit", &[Researcher]),
    standing("/kpr.v1.Queries/Watch", &[Researcher, Steward]),
    long("/kpr.v1.Queries/Fetch", &[Researcher], 10),
    call("/kpr.v1.Queries/ReadDisclosureReport", &[Steward]),
    call("/kpr.v1.Microdata/ListHeld", &[Steward]),
    call("/kpr.v1.Microdata/SignHeld", &[Steward]),
    call("/kpr.v1.Microdata/RefuseHeld", &[Steward]),
    standing("/kpr.v1.Linkage/TakeOrders", &[Partner]),
    call("/kpr.v1.Linkage/Decline", &[Partner]),
    long("/kpr.v1.Linkage/SendRows", &[Partner], 60),
    call("/kpr.v1.Statistics/Publish", &[Steward]),
    call("/kpr.v1.Statistics/ListTables", &[Steward, Researcher, Consumer, Auditor]),
    long("/kpr.v1.Statistics/GetTable", &[Steward, Researcher, Consumer, Auditor], 10),
    call("/kpr.v1.Audit/GetCheckpoint", &[Steward, Auditor]),
    long("/kpr.v1.Audit/ReadEntries", &[Auditor], 60),
    call("/kpr.v1.Projects/Record", &[Steward]),
    call("/kpr.v1.Projects/Worklist", &[Steward, Auditor]),
    call("/kpr.v1.Projects/RegisterHours", &[Steward]),
    call("/kpr.v1.Projects/Cost", &[Steward]),
    call("/kpr.v1.Disclosures/List", &[Steward, Auditor]),
    call("/kpr.v1.Disclosures/ListCorrections", &[Steward]),
    call("/kpr.v1.Disclosures/ListReservations", &[Steward]),
    call("/kpr.v1.Person/ReadLog", &[Portal]),
    long("/kpr.v1.Person/ReadRows", &[Portal], 2),
    long("/kpr.v1.Person/RequestCorrection", &[Portal], 2),
    call("/kpr.v1.Person/SetRestriction", &[Portal]),
    call("/kpr.v1.Person/ReadRestrictions", &[Portal]),
    call("/kpr.v1.Person/Erase", &[Portal]),
    call("/kpr.v1.Resolutions/Sign", &[Steward]),
    call("/kpr.v1.Resolutions/List", &[Steward]),
    call("/kpr.v1.Disclosures/FetchCorrections", &[Sender]),
    call("/kpr.v1.Queries/ReadConditions", &[Researcher]),
    long("/kpr.v1.Feeds/Take", &[Partner], 60),
    long("/kpr.v1.Feeds/Fetch", &[Partner], 60),
    call("/grpc.health.v1.Health/Check", EVERY),
    standing("/grpc.health.v1.Health/Watch", EVERY),
    standing("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", EVERY),
];

/// The methods of the identity service.
pub const IDENTITY: Table = &[
    long("/kpr.v1.Identity/Resolve", &[Ingest], 120),
    call("/kpr.v1.Identity/IssueKey", &[Partner]),
    long("/kpr.v1.Identity/MapCodes", &[Gateway], 60),
    call("/kpr.v1.Identity/OpenTicket", &[Portal]),
    call("/kpr.v1.Identity/RedeemTicket", &[Gateway]),
    call("/kpr.v1.Identity/ReadUses", &[Portal]),
    call("/kpr.v1.Identity/DepositResolution", &[Gateway]),
    call("/kpr.v1.Identity/CollectResolution", &[Steward]),
    call("/grpc.health.v1.Health/Check", EVERY),
    standing("/grpc.health.v1.Health/Watch", EVERY),
    standing("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", EVERY),
];

/// The methods of a witness.
pub const WITNESS: Table = &[
    call("/kpr.v1.Witness/AddCheckpoint", &[Gateway]),
    call("/kpr.v1.Witness/GetHeld", &[Gateway, Steward, Auditor]),
    call("/grpc.health.v1.Health/Check", EVERY),
    standing("/grpc.health.v1.Health/Watch", EVERY),
    standing("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", EVERY),
];

/// The row of a method, if `role` may call it.
///
/// # Errors
/// `UNIMPLEMENTED` for a method without a row, `PERMISSION_DENIED` for a role that is not in it.
pub(super) fn admit(table: Table, path: &str, role: Role) -> Result<&'static Row, Status> {
    let Some(row) = table.iter().find(|row| row.path == path) else {
        return Err(Status::new(Code::Unimplemented, "access.method: this server has no such method"));
    };
    if row.roles.contains(&role) {
        return Ok(row);
    }
    let roles: Vec<&str> = row.roles.iter().map(|role| role.as_str()).collect();
    let hint = format!(
        "this method is for certificates with the role {}; the caller's role is {role}",
        roles.join(", ")
    );
    Err(Refusal::new(RefusalKind::Denied, "access.role", hint).into())
}

/// The stewards that a configuration names, each of an organisation.
#[derive(Debug, Clone, Default)]
pub struct Stewards(Vec<(StewardId, OrganisationId)>);

impl Stewards {
    /// Those of a configuration.
    #[must_use]
    pub fn new(entries: &[StewardEntry]) -> Self {
        Self(entries.iter().map(|entry| (entry.steward.clone(), entry.organisation.clone())).collect())
    }

    /// Lets in everybody who is no steward, and those who are named: a certificate of another organisation is not a
    /// steward's, whatever name it has.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`.
    #[allow(clippy::result_large_err, reason = "tonic's handlers return Status by value")]
    pub(super) fn admit(&self, caller: &Caller) -> Result<(), Status> {
        let named = |(steward, organisation): &(StewardId, OrganisationId)| {
            steward.as_str() == caller.name() && organisation == caller.organisation()
        };
        if caller.role() != Steward || self.0.iter().any(named) {
            return Ok(());
        }
        let hint =
            "the configuration ([[stewards]]) names no steward of the certificate's name and organisation";
        Err(Refusal::new(RefusalKind::Denied, "access.steward", hint).into())
    }
}

/// Who calls, as the server put it into the request.
///
/// # Errors
/// `UNAUTHENTICATED` where the request did not come through [`super::serve::grpc`].
#[allow(clippy::result_large_err, reason = "tonic's handlers return Status by value")]
pub(super) fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    request
        .extensions()
        .get::<Caller>()
        .cloned()
        .ok_or_else(|| Status::unauthenticated("access.certificate: no client certificate was shown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_without_a_row_is_refused_to_every_role() {
        for role in Role::ALL {
            let status = admit(GATEWAY, "/kpr.v1.Queries/Everything", role).unwrap_err();
            assert_eq!(status.code(), Code::Unimplemented);
            assert!(admit(IDENTITY, "/kpr.v1.Queries/Check", role).is_err());
        }
    }

    #[test]
    fn a_steward_is_one_by_name_and_organisation() {
        let organisation = |text: &str| OrganisationId::new(text).unwrap();
        let (own, other) = ("NTRNO-983744516", "NTRNO-310000078");
        let named = Stewards::new(&[StewardEntry {
            steward: StewardId::new("anna").unwrap(),
            organisation: organisation(own),
            key: String::new(),
        }]);
        for (of, role, name, let_in) in [
            (own, Steward, "anna", true),
            (other, Steward, "anna", false),
            (own, Steward, "bjorn", false),
            (other, Researcher, "anna", true),
        ] {
            let caller = Caller::from_certificate(organisation(of), role, name.to_owned());
            assert_eq!(named.admit(&caller).is_ok(), let_in, "{caller:?}");
        }
        let nobody = Stewards::default();
        assert!(
            nobody.admit(&Caller::from_certificate(organisation(own), Steward, "anna".to_owned())).is_err()
        );
    }

    #[test]
    fn a_refusal_says_whom_the_method_is_for() {
        let status = admit(GATEWAY, "/kpr.v1.Projects/Sign", Consumer).unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
        assert!(status.message().contains("the role steward; the caller's role is consumer"));
    }

    #[test]
    fn no_path_has_two_rows() {
        for table in [GATEWAY, IDENTITY, WITNESS] {
            let mut paths: Vec<_> = table.iter().map(|row| row.path).collect();
            paths.sort_unstable();
            paths.dedup();
            assert_eq!(paths.len(), table.len());
        }
    }
}
