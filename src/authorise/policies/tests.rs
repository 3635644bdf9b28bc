//! The case tables beside the policies, and bad folders of policies.

use std::fs;

use super::super::fixtures::{self, name};
use super::super::{Case, CaseError, Role, lines};
use super::*;

const STRANGER: &str = "NTRNO-111111111";

fn caller(role: Role) -> Caller {
    Caller::from_certificate(name(STRANGER), role, "somebody".to_owned())
}

#[test]
fn the_case_tables_hold() {
    let policies = fixtures::policies();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/tests");
    let mut cases = 0;
    let mut decided_by = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for line in lines(&text).unwrap() {
            let [who, what, on] = line.words.each_ref().map(String::as_str);
            let case = Case::read([who, what, on], &fixtures::approval()).unwrap();
            let decided = policies.explain(&case).unwrap();
            let by: Vec<String> = decided
                .decided
                .into_iter()
                .map(|(id, words)| {
                    assert!(!words.is_empty());
                    id
                })
                .collect();
            let by = by.join(", ");
            assert_eq!((decided.allowed, by.as_str()), (line.allowed, line.policies.as_str()), "{line:?}");
            assert!(decided.facts.contains(if on == "gateway" { "Gateway" } else { "Caller" }));
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
    let refusal = policies.may(&caller(Role::Consumer), Action::ReadLog, Resource::Gateway);
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
    let auditor = caller(Role::Auditor);
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

#[test]
fn words_that_are_no_request_are_refused_with_those_that_are() {
    let approval = fixtures::approval();
    let read = |who, what, on| Case::read([who, what, on], &approval).map(drop);
    assert!(
        read("steward of NTRNO-983744516", "sign_project", "project: research, protected_tables").is_ok()
    );
    assert!(read("partner NPR", "send_rows", "register NPR").is_ok());
    assert!(matches!(read("king of recipient", "read_log", "gateway"), Err(CaseError::Caller(_))));
    let unknown = read("steward of stranger", "rule", "gateway").unwrap_err().to_string();
    assert!(unknown.contains("sign_project"), "{unknown}");
    for on in
        ["", "run of recipient", "project: research", "project: fun, protected_tables", "run recipient: a, b"]
    {
        assert!(matches!(read("steward of stranger", "read_log", on), Err(CaseError::Resource(_))), "{on}");
    }
    assert_eq!(lines("| who | what |\n| a | b |").unwrap_err(), CaseError::Line(2));
}
