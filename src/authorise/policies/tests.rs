//! The case tables beside the policies, and bad folders of policies.

use std::fs;

use super::super::Role;
use super::super::fixtures::{self, RECIPIENT, name};
use super::*;
use crate::domain::approval::Approval;
use crate::domain::ids::{OrganisationId, RegisterId, RunId};

const STRANGER: &str = "NTRNO-111111111";

fn organisation(word: &str) -> OrganisationId {
    match word {
        "recipient" => name(RECIPIENT),
        "stranger" => name(STRANGER),
        other => panic!("no such organisation: {other}"),
    }
}

/// `researcher of recipient`, `partner NPR`.
fn caller(text: &str) -> Caller {
    if let Some(register) = text.strip_prefix("partner ").filter(|r| !r.starts_with("of ")) {
        return Caller::from_certificate(name(STRANGER), Role::Partner, register.to_owned());
    }
    let (role, of) = text.split_once(" of ").unwrap();
    Caller::from_certificate(organisation(of), role.parse().unwrap(), "somebody".to_owned())
}

fn approval(text: &str) -> Approval {
    let (purpose, tier) = text.split_once(", ").unwrap();
    let value = |text: &str| serde_json::Value::from(text);
    Approval {
        purpose: serde_json::from_value(value(purpose)).unwrap(),
        tier: serde_json::from_value(value(tier)).unwrap(),
        ..fixtures::approval()
    }
}

fn decide(policies: &Policies, who: &str, what: &str, on: &str) -> (Decision, String) {
    let caller = caller(who);
    let action = Action::ALL.into_iter().find(|a| a.as_str() == what).unwrap();
    let run: RunId = name("r-00000000000000000000000000000abc".replace('0', "a").as_str());
    let (decision, by) = match on.split_once(' ') {
        None if on == "gateway" => policies.decide(&caller, action, Resource::Gateway),
        Some(("project:", rest)) => policies.decide(&caller, action, Resource::Project(&approval(rest))),
        Some(("run", rest)) => {
            let (of, rest) = rest.strip_prefix("of ").unwrap().split_once(": ").unwrap();
            let (approval, organisation) = (approval(rest), organisation(of));
            let on = Resource::Run { run: &run, approval: &approval, organisation: &organisation };
            policies.decide(&caller, action, on)
        }
        Some(("register", register)) => {
            let register: RegisterId = name(register);
            policies.decide(&caller, action, Resource::Register(&register))
        }
        _ => panic!("no such resource: {on}"),
    }
    .unwrap_or_else(|| panic!("evaluation failed: {who}, {what}, {on}"));
    let by: Vec<&str> = by.iter().map(AsRef::as_ref).collect();
    (decision, by.join(", "))
}

#[test]
fn the_case_tables_hold() {
    let policies = fixtures::policies();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/tests");
    let mut cases = 0;
    let mut decided_by = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines().filter(|l| l.starts_with("| ")).skip(1) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, who, what, on, decision, policy, _] = cells[..] else { panic!("not a case: {line}") };
            let (decided, by) = decide(&policies, who, what, on);
            let decided = if decided == Decision::Allow { "allow" } else { "deny" };
            assert_eq!((decided, by.as_str()), (decision, policy), "{line}");
            decided_by.push(by);
            cases += 1;
        }
    }
    assert!(cases > 50, "only {cases} cases were read");
    for policy in policies.policies.policies() {
        let id: &str = policy.id().as_ref();
        assert!(decided_by.iter().any(|by| by == id), "no case shows policy {id}");
    }
}

#[test]
fn a_refusal_says_whom_the_policies_let_through() {
    let policies = fixtures::policies();
    let refusal = policies.may(&caller("consumer of stranger"), Action::ReadLog, Resource::Gateway);
    let refusal = refusal.unwrap_err();
    assert_eq!((refusal.kind, refusal.code), (RefusalKind::Denied, "policy.not_permitted"));
    assert!(refusal.hint.ends_with("permitted is: an auditor"), "{}", refusal.hint);
}

/// A copy of the real policies with one file changed, added, or (with no text) taken away.
fn changed(file: &str, text: Option<&str>) -> Result<Policies, PolicyError> {
    let dir = tempfile::tempdir().unwrap();
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for name in ["gateway.cedar", SCHEMA, DISCLOSURE] {
        fs::copy(real.join(name), dir.path().join(name)).unwrap();
    }
    match text {
        Some(text) => fs::write(dir.path().join(file), text).unwrap(),
        None => fs::remove_file(dir.path().join(file)).unwrap(),
    }
    Policies::load(dir.path())
}

const PERMIT: &str = r#"@id("x") @accepts("anyone")
    permit (principal, action == Action::"read_log", resource)"#;

#[test]
fn bad_folders_are_refused() {
    let refused = |file: &str, text: Option<&str>, word: &str| {
        let error = changed(file, text).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    refused("extra.txt", Some(""), "does not belong");
    refused(SCHEMA, None, "is missing");
    refused(DISCLOSURE, None, "is missing");
    refused("a.cedar", Some("permit ("), "a.cedar");
    refused("a.cedar", Some("permit (principal, action, resource);"), "needs an @id");
    refused("a.cedar", Some(r#"@id("x") permit (principal, action, resource);"#), "@accepts");
    refused("a.cedar", Some(r#"@id("x") forbid (principal, action, resource);"#), "@code");
    refused("a.cedar", Some(&format!("{PERMIT} when {{ principal.shoes == 1 }};")), "shoes");
    refused(
        "a.cedar",
        Some(r#"@id("x") @accepts("y") permit (principal == ?principal, action, resource);"#),
        "template",
    );
    refused("a.cedar", Some(&format!("{PERMIT}; {PERMIT};")), "x");
    refused(
        SCHEMA,
        Some("entity Caller; action read_log appliesTo { principal: Caller, resource: Caller };"),
        "",
    );
    refused(DISCLOSURE, Some("rules = []"), "disclosure.toml");
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies_everything_it_touches() {
    // Valid by type, and true for everyone if the overflow were let pass.
    let text = format!("{PERMIT} when {{ 9223372036854775807 + 1 == 0 || true }};");
    let policies = changed("a.cedar", Some(&text)).unwrap();
    let auditor = caller("auditor of stranger");
    let refusal = policies.may(&auditor, Action::ReadLog, Resource::Gateway).unwrap_err();
    assert_eq!((refusal.kind, refusal.code), (RefusalKind::Denied, "policy.error"));
    assert!(policies.may(&auditor, Action::ListProjects, Resource::Gateway).is_ok());
}

#[test]
fn the_digest_changes_with_any_file() {
    let digest = changed("a.cedar", Some("")).unwrap().digest();
    let other = changed("a.cedar", Some(&format!("{PERMIT};"))).unwrap().digest();
    assert_ne!(digest, other);
    assert_ne!(fixtures::policies().digest(), digest);
}
