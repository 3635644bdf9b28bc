//! Rules and methods: what applies to whom, and files that are refused.

use super::*;
use crate::authorise::fixtures::{RECIPIENT, approval, name, query};
use crate::domain::method::{Cellkey, Mechanism, Noise, Tenths};
use crate::domain::query::{Answer, OutcomeValue, Statistic, ValueOf};
use crate::domain::rule::Records;

/// Two classes, two domains, one of them with noise.
const FILE: &str = r#"
[[rules]]
id = "tables-5"
min_persons = 5
[[rules]]
id = "tables-10"
min_persons = 10

[[rules]]
id = "records-5"
min_persons = 5
microdata = { suppressed_permille = 50 }
[[rules]]
id = "records-5-diverse"
min_persons = 5
microdata = { suppressed_permille = 50, diversity = 2 }

[[recipients]]
class = "projects"
[[recipients]]
class = "ministries"
organisations = ["NTRNO-111111111"]

[[bases]]
legal_basis = "helseregisterloven section 19"
tier = "protected_tables"
recipients = "projects"
rule = "tables-5"
[[bases]]
legal_basis = "act B section 2"
tier = "protected_tables"
recipients = "projects"
rule = "tables-10"
[[bases]]
legal_basis = "act B section 2"
tier = "protected_tables"
recipients = "ministries"
rule = "tables-10"

[[bases]]
legal_basis = "helseregisterloven section 19"
tier = "anonymous_microdata"
recipients = "projects"
rule = "records-5"
[[bases]]
legal_basis = "act C section 3"
tier = "anonymous_microdata"
recipients = "projects"
rule = "records-5-diverse"
[[bases]]
legal_basis = "act B section 2"
tier = "anonymous_microdata"
recipients = "ministries"
rule = "records-5"

[[domains]]
id = "services"
registers = ["KPR", "NPR"]
published = false
[domains.methods]
projects = "suppress"
ministries = { noise = { mechanism = "gaussian", rho = "0.01" } }

[[domains]]
id = "deaths"
registers = ["DAR"]
published = true
[domains.methods]
projects = "fold"
ministries = "fold"
"#;

const MINISTRY: &str = "NTRNO-111111111";

fn policy() -> DisclosurePolicy {
    DisclosurePolicy::parse(FILE).unwrap()
}

fn apply(
    to: &str,
    query_with: impl FnOnce(&mut Query),
    approval_with: impl FnOnce(&mut Approval),
) -> Result<Applied, Refusal> {
    let (mut asked, mut granted) = (query(), approval());
    query_with(&mut asked);
    approval_with(&mut granted);
    policy().apply(&asked, &granted, &name(to))
}

fn refused(
    to: &str,
    query_with: impl FnOnce(&mut Query),
    approval_with: impl FnOnce(&mut Approval),
    code: &str,
    says: &[&str],
) {
    let refusal = apply(to, query_with, approval_with).unwrap_err();
    assert_eq!(refusal.code, code, "{}", refusal.hint);
    for part in says {
        assert!(refusal.hint.contains(part), "{}", refusal.hint);
    }
}

fn as_is<T>(_: &mut T) {}

fn under_b(approval: &mut Approval) {
    approval.legal_basis = "act B section 2".to_owned();
    approval.rule = name("tables-10");
}

#[test]
fn class_basis_and_domain_decide() {
    let applied = apply(RECIPIENT, as_is, as_is).unwrap();
    assert_eq!((applied.rule.min_persons(), applied.method), (5, Method::Suppress));
    let noise =
        Noise { mechanism: Mechanism::Gaussian, rho: "0.01".parse().unwrap(), consistent_margins: false };
    assert_eq!(apply(MINISTRY, as_is, under_b).unwrap().method, Method::Noise(noise));
    let deaths = |q: &mut Query| {
        q.cohort.register = name("DAR");
        q.outcomes.clear();
    };
    assert_eq!(apply(MINISTRY, deaths, under_b).unwrap().method, Method::Fold);
}

#[test]
fn an_approval_without_a_covered_basis_is_refused() {
    let basis = |text: &'static str| move |a: &mut Approval| a.legal_basis = text.to_owned();
    refused(
        RECIPIENT,
        as_is,
        basis("consent"),
        "rule.no_basis",
        &["class projects", "\"helseregisterloven section 19\", \"act B section 2\""],
    );
    // A text that only contains the words is no statement of the basis.
    refused(RECIPIENT, as_is, basis("not helseregisterloven section 19"), "rule.no_basis", &[]);
    refused(MINISTRY, as_is, as_is, "rule.no_basis", &["class ministries", "\"act B section 2\""]);
    // Of two stated bases the stricter holds.
    refused(
        RECIPIENT,
        as_is,
        basis("helseregisterloven section 19; act B section 2"),
        "rule.looser_than_basis",
        &["tables-5 with at least 5", "tables-10", "at least 10"],
    );
    assert!(apply(RECIPIENT, as_is, under_b).is_ok());
}

#[test]
fn a_query_asks_for_stricter_only() {
    assert_eq!(apply(RECIPIENT, |q| q.min_persons = Some(8), as_is).unwrap().rule.min_persons(), 8);
    refused(RECIPIENT, |q| q.min_persons = Some(4), as_is, "rule.looser", &["at least 5"]);
    let loss = |text: &str| {
        let rho = text.parse().unwrap();
        move |q: &mut Query| q.privacy_loss = Some(rho)
    };
    refused(RECIPIENT, loss("0.001"), as_is, "rule.no_noise", &["method suppress", "leave it out"]);
    let Method::Noise(less) = apply(MINISTRY, loss("0.002"), under_b).unwrap().method else {
        panic!("no noise")
    };
    assert_eq!(less.rho.to_string(), "0.002");
    refused(MINISTRY, loss("0.010000001"), under_b, "rule.looser", &["rho = 0.01 at most"]);
    refused(MINISTRY, loss("0"), under_b, "rule.looser", &["more than 0"]);
    refused(
        MINISTRY,
        |q| q.min_persons = Some(20),
        under_b,
        "rule.no_least_number",
        &["smaller privacy loss"],
    );
}

#[test]
fn microdata_have_rules_of_their_own() {
    let records = |q: &mut Query| q.result = Answer::Microdata;
    let under = |basis: &'static str, rule: &'static str| {
        move |a: &mut Approval| {
            a.tier = Tier::AnonymousMicrodata;
            a.legal_basis = basis.to_owned();
            a.rule = name(rule);
        }
    };
    let (act, act_c) = ("helseregisterloven section 19", "act C section 3");
    let applied = apply(RECIPIENT, records, under(act, "records-5")).unwrap();
    let asked = Records { suppressed_permille: 50, diversity: None };
    assert_eq!((applied.rule.min_persons(), applied.method), (5, Method::Generalise(asked)));
    // What a rule for tables says is not what one for records says.
    refused(
        RECIPIENT,
        records,
        under(act, "tables-10"),
        "rule.other_tier",
        &["records-5, records-5-diverse"],
    );
    refused(RECIPIENT, as_is, |a| a.rule = name("records-5"), "rule.other_tier", &["tables-10, tables-5"]);
    refused(RECIPIENT, records, under("consent", "records-5"), "rule.no_basis", &["\"act C section 3\""]);
    // Records less diverse than the basis asks are looser, with as many persons.
    refused(RECIPIENT, records, under(act_c, "records-5"), "rule.looser_than_basis", &["records-5-diverse"]);
    assert!(apply(RECIPIENT, records, under(act, "records-5-diverse")).is_ok());
    // True records beside noisy numbers of the same data would take the noise off.
    refused(MINISTRY, records, under("act B section 2", "records-5"), "rule.noise_only", &["services"]);
    let stricter = |q: &mut Query| {
        q.result = Answer::Microdata;
        q.min_persons = Some(9);
    };
    assert_eq!(apply(RECIPIENT, stricter, under(act, "records-5")).unwrap().rule.min_persons(), 9);
    let noise = |q: &mut Query| {
        q.result = Answer::Microdata;
        q.privacy_loss = Some("0.1".parse().unwrap());
    };
    refused(RECIPIENT, noise, under(act, "records-5"), "rule.no_noise", &["method generalise"]);
}

/// KPR regulation 4-4: a tier has rules of its own kind, and none of them is for two.
#[test]
fn records_as_they_are_have_a_rule_and_a_basis_of_their_own() {
    let more = r#"
[[rules]]
id = "records-as-approved"
min_persons = 5
microdata = "as_approved"
[[bases]]
legal_basis = "helseregisterloven section 19"
tier = "indirect_microdata"
recipients = "projects"
rule = "records-as-approved"
[[bases]]
legal_basis = "act B section 2"
tier = "indirect_microdata"
recipients = "ministries"
rule = "records-as-approved"
"#;
    let with =
        |text: &str| DisclosurePolicy::parse(&FILE.replace("[[recipients]]\nclass = \"projects\"", text));
    let policy = with(&format!("{more}[[recipients]]\nclass = \"projects\"")).unwrap();
    let applied = |to: &str, change: fn(&mut Approval)| {
        let (mut asked, mut granted) = (query(), approval());
        asked.result = Answer::Microdata;
        crate::authorise::fixtures::indirect(&mut granted);
        change(&mut granted);
        policy.apply(&asked, &granted, &name(to))
    };
    let of_research = applied(RECIPIENT, |_| {}).unwrap();
    assert_eq!((of_research.method, of_research.of_domain), (Method::AsApproved, Method::AsApproved));
    // Where the recipient's class has noise of the domain, true records would take it off.
    let by_b = |a: &mut Approval| a.legal_basis = "act B section 2".to_owned();
    assert_eq!(applied(MINISTRY, by_b).unwrap_err().code, "rule.noise_only");
    assert_eq!(applied(RECIPIENT, by_b).unwrap_err().code, "rule.no_basis");
    // No rule of another kind stands for it, by approval or by the file.
    for rule in ["records-5", "records-5-diverse", "tables-5"] {
        let (mut asked, mut granted) = (query(), approval());
        asked.result = Answer::Microdata;
        crate::authorise::fixtures::indirect(&mut granted);
        granted.rule = name(rule);
        let refused = policy.apply(&asked, &granted, &name(RECIPIENT)).unwrap_err();
        assert_eq!(refused.code, "rule.other_tier");
        assert!(refused.hint.contains("records-as-approved"), "{}", refused.hint);
    }
    for tier in ["anonymous_microdata", "protected_tables", "direct_identifiers"] {
        let other = more.replace("indirect_microdata", tier);
        let refused = with(&format!("{other}[[recipients]]\nclass = \"projects\"")).unwrap_err();
        assert!(matches!(refused, DisclosurePolicyError::OtherKind { .. }), "{tier}: {refused}");
    }
    for bad in ["\"anonymous\"", "\"as_approved\"\nmin_range = 5", "\"as_approved\"\ngroup_disclosure = true"]
    {
        let other = more.replace("\"as_approved\"", bad);
        assert!(with(&format!("{other}[[recipients]]\nclass = \"projects\"")).is_err(), "{bad}");
    }
}

/// An attacker who asks for true counts beside noisy ones is kept out by the domains.
#[test]
fn a_query_keeps_to_one_domain_and_its_tables_to_their_readers() {
    let across = |q: &mut Query| q.cohort.register = name("DAR");
    refused(RECIPIENT, across, as_is, "rule.two_domains", &["services", "deaths"]);
    refused(RECIPIENT, |q| q.cohort.register = name("MFR"), as_is, "rule.no_domain", &["MFR", "DAR"]);
    let refusal = policy().may_publish(&query()).unwrap_err();
    assert_eq!(refusal.code, "rule.not_published");
    let mut deaths = query();
    deaths.outcomes.clear();
    deaths.cohort.register = name("DAR");
    assert_eq!(policy().may_publish(&deaths), Ok(()));
}

/// Sums and their like go out with a budget only; any other method names itself and what it takes.
#[test]
fn a_statistic_of_values_needs_noise() {
    let value = |q: &mut Query| {
        q.outcomes[0].value = Some(OutcomeValue {
            of: ValueOf::Events,
            statistic: Statistic::Mean,
            low: 0,
            high: 20,
            events: None,
        });
    };
    refused(RECIPIENT, value, as_is, "rule.value_without_noise", &["method suppress", "leave `value` out"]);
    assert!(apply(MINISTRY, value, under_b).is_ok());
}

const CELLKEY: &str = "{ cellkey = { min_persons = 6, bound = 12, variance = \"4\" } }";

/// One noise for a whole domain: nothing that a query, an approval or another class says can make another one, whose
/// values would average out beside it.
#[test]
fn cell_key_noise_is_one_for_a_domain() {
    let file = FILE.replace("projects = \"fold\"", &format!("projects = {CELLKEY}"));
    let file = file.replace("ministries = \"fold\"", &format!("ministries = {CELLKEY}"));
    let policy = DisclosurePolicy::parse(&file).unwrap();
    let noise = Cellkey { min_persons: 6, bound: 12, variance: Tenths::new(40) };
    assert_eq!(policy.cellkeys().collect::<Vec<_>>(), [noise; 2]);
    let deaths = || {
        let mut query = query();
        query.cohort.register = name("DAR");
        query.outcomes.clear();
        query
    };
    let applied = policy.apply(&deaths(), &approval(), &name(RECIPIENT)).unwrap();
    assert_eq!((applied.method, applied.domain), (Method::Cellkey(noise), name("deaths")));
    let refused = |query: &Query, approval: &Approval, code: &str| {
        let refusal = policy.apply(query, approval, &name(RECIPIENT)).unwrap_err();
        assert_eq!(refusal.code, code, "{}", refusal.hint);
    };
    refused(&Query { min_persons: Some(8), ..deaths() }, &approval(), "rule.no_least_number");
    refused(&Query { privacy_loss: Some("0.1".parse().unwrap()), ..deaths() }, &approval(), "rule.no_noise");
    let mut strict = approval();
    under_b(&mut strict);
    refused(&deaths(), &strict, "rule.stricter_than_noise");
    for more in ["min_range = 13", "group_disclosure = true"] {
        let file = file.replacen("min_persons = 5", &format!("min_persons = 5\n{more}"), 1);
        let policy = DisclosurePolicy::parse(&file).unwrap();
        let refusal = policy.apply(&deaths(), &approval(), &name(RECIPIENT)).unwrap_err();
        assert_eq!(refusal.code, "rule.stricter_than_noise", "{more}");
    }

    let bad = |from: &str, to: &str| {
        assert!(file.contains(from));
        DisclosurePolicy::parse(&file.replacen(from, to, 1)).unwrap_err().to_string()
    };
    for other in ["min_persons = 7", "min_persons = 6, more = 1"] {
        assert!(!bad("min_persons = 6", other).is_empty());
    }
    assert!(bad("variance = \"4\"", "variance = \"3\"").contains("must have the same noise"));
    assert!(
        bad(&format!("projects = {CELLKEY}"), "projects = \"fold\"")
            .contains("true counts would stand beside")
    );
}

#[test]
fn bad_files_are_refused() {
    let bad = |from: &str, to: &str, says: &str| {
        assert!(FILE.contains(from), "{from}");
        let error = DisclosurePolicy::parse(&FILE.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    bad("min_persons = 5", "min_persons = 2", "min_persons");
    bad("min_persons = 5", "min_persons = 5\nmax = 1", "max");
    bad("id = \"tables-10\"", "id = \"tables-5\"", "rule tables-5 occurs twice");
    bad("class = \"ministries\"", "class = \"projects\"", "class projects occurs twice");
    bad("organisations = [\"NTRNO-111111111\"]", "", "exactly one class");
    bad(
        "class = \"projects\"",
        "class = \"projects\"\norganisations = [\"NTRNO-111111111\"]",
        "in two classes",
    );
    bad("recipients = \"ministries\"", "recipients = \"police\"", "no class of recipients police");
    bad("rule = \"tables-10\"", "rule = \"none\"", "names rule none");
    bad("rule = \"records-5\"", "rule = \"tables-5\"", "not for results of that kind");
    bad("rule = \"tables-10\"", "rule = \"records-5\"", "not for results of that kind");
    bad("diversity = 2", "diversity = 1", "diversity from 2 to 100");
    bad("suppressed_permille = 50", "suppressed_permille = 1001", "at most 1000");
    bad("microdata = {", "group_disclosure = true\nmicrodata = {", "without min_range and group_disclosure");
    bad("projects = \"suppress\"", "projects = { generalise = { suppressed_permille = 50 } }", "generalise");
    bad("\"act B section 2\"", "\"act B section 2; act C\"", "or is empty or several");
    bad("\"act B section 2\"", "\"helseregisterloven section 19\"", "stands twice");
    bad("id = \"deaths\"", "id = \"services\"", "domain services occurs twice");
    bad("[\"DAR\"]", "[\"DAR\", \"NPR\"]", "register NPR lies in two domains");
    bad("projects = \"suppress\"", "", "no method for class projects");
    bad("projects = \"suppress\"", "projects = \"none\"", "none");
    bad("published = false", "published = true", "true counts would stand beside noisy ones");
    bad("\"0.01\"", "\"0\"", "must cost more than nothing");
    assert!(DisclosurePolicy::parse("rules = []\nrecipients = []\nbases = []\ndomains = []").is_err());
}
