//! An approval, a query that falls under it and a caller who may ask it, for unit tests.

use std::path::Path;

use chrono::NaiveDate;
use ed25519_dalek::SigningKey;

use super::{ApprovedQuery, Caller, IndirectGrant, Policies, Role, authorise};
use crate::domain::approval::{
    Approval, Grant, Purpose, SignedApproval, StewardKey, StewardSignature, Tier, VerifiedApproval,
};
use crate::domain::indirect::IndirectTerms;
use crate::domain::lifecycle::{ActiveApproval, Inactive, Life, Step};
use crate::domain::period::Period;
use crate::domain::query::{Answer, By, Cohort, Condition, Outcome, Query};
use crate::domain::section::{Section, Sections};
use crate::domain::words::Words;

pub(crate) const RECIPIENT: &str = "NTRNO-983744516";

pub(crate) fn name<T: TryFrom<String, Error: std::fmt::Debug>>(text: &str) -> T {
    T::try_from(text.to_owned()).unwrap()
}

pub(crate) fn today() -> NaiveDate {
    "2026-11-22".parse().unwrap()
}

pub(crate) fn period(from: &str, to: &str) -> Period {
    Period::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
}

pub(crate) fn condition(variable: &str, any_of: &[&str]) -> Condition {
    Condition { variable: name(variable), any_of: any_of.iter().map(|&v| v.to_owned()).collect() }
}

pub(crate) fn researcher() -> Caller {
    Caller::from_certificate(name(RECIPIENT), Role::Researcher, "analysis".to_owned())
}

pub(crate) fn policies() -> Policies {
    Policies::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap()
}

/// The sections of the registers that the project describes.
pub(crate) fn sections() -> Sections {
    let of = [
        ("FREG", Section::PopulationRegister),
        ("KPR", Section::Section11),
        ("NPR", Section::Section11),
        ("SSB", Section::Section9b),
        ("IPLOS-2006", Section::HistoricIplos),
    ];
    Sections::new(name("FREG"), of.map(|(register, section)| (name(register), section)).into())
}

/// The question of the demo: GP contact within 30, 90 and 180 days of psychiatric discharge.
pub(crate) fn query() -> Query {
    Query {
        project: name("P-2026-0001"),
        title: "GP contact after discharge from psychiatric inpatient care".to_owned(),
        cohort: Cohort {
            register: name("NPR"),
            dataset: name("episode"),
            conditions: vec![condition("omsorgsniva", &["1"]), condition("fagomrade", &["310", "320"])],
            index_date: name("utdato"),
            period: period("2024-01-01", "2024-12-31"),
        },
        outcomes: [30_u16, 90, 180]
            .map(|within_days| Outcome {
                name: name(&format!("gp_{within_days}")),
                register: name("KPR"),
                dataset: name("kuhr_contact"),
                conditions: vec![condition("tjenestetype", &["1"]), condition("kontakttype", &["3"])],
                date: name("dato"),
                within_days,
                value: None,
            })
            .to_vec(),
        by: dimensions(),
        min_persons: None,
        privacy_loss: None,
        result: Answer::Table,
    }
}

fn dimensions() -> Vec<By> {
    [("sex", "sex"), ("age", "age_4"), ("municipality", "region")]
        .map(|(variable, list)| By { variable: name(variable), code_list: name(list) })
        .to_vec()
}

/// An approval that covers [`query`] and not much more.
pub(crate) fn approval() -> Approval {
    let variables = |names: &[&str]| names.iter().map(|n| name(n)).collect();
    Approval {
        project: name("P-2026-0001"),
        version: 1,
        title: "Follow-up after psychiatric inpatient care".to_owned(),
        rek_reference: "REK 2026/1".to_owned(),
        purpose: Purpose::Research,
        legal_basis: "GDPR art. 6(1)e, 9(2)j; helseregisterloven section 19".to_owned(),
        recipients: vec![name(RECIPIENT)],
        grants: vec![
            Grant {
                register: name("NPR"),
                dataset: name("episode"),
                variables: variables(&["omsorgsniva", "fagomrade", "utdato"]),
                conditions: vec![condition("omsorgsniva", &["1"])],
            },
            Grant {
                register: name("KPR"),
                dataset: name("kuhr_contact"),
                variables: variables(&["tjenestetype", "kontakttype", "dato"]),
                conditions: vec![],
            },
        ],
        data_period: period("2024-01-01", "2025-12-31"),
        dimensions: dimensions(),
        tier: Tier::ProtectedTables,
        rule: name("tables-5"),
        other_basis: None,
        privacy_budget: None,
        valid: period("2026-01-01", "2027-12-31"),
        linked_sets_until: None,
        reuse_linked_sets: false,
        queries: vec![],
        indirect: None,
        feed: None,
    }
}

/// Why and under which conditions indirectly identifiable records are given.
pub(crate) fn terms() -> IndirectTerms {
    let words = |text: &str| Words::new(text).unwrap();
    IndirectTerms {
        interest: words("follow-up of single patients cannot be judged by groups"),
        conditions: ["a secure environment", "no attempt to identify anybody"].map(words).to_vec(),
    }
}

/// Makes an approval one of indirectly identifiable microdata.
pub(crate) fn indirect(approval: &mut Approval) {
    approval.tier = Tier::IndirectMicrodata;
    approval.rule = name("records-as-approved");
    approval.indirect = Some(terms());
}

/// The right to give records as they are, as [`authorise`] gives it.
pub(crate) fn indirect_grant() -> IndirectGrant {
    let (mut asked, mut granted) = (query(), approval());
    asked.result = Answer::Microdata;
    indirect(&mut granted);
    let approved = authorise(&researcher(), asked, &active(granted).unwrap(), &policies(), &sections());
    approved.unwrap().indirect().unwrap().clone()
}

/// Two stewards' keys, and nobody's outside tests.
pub(crate) fn stewards() -> [(SigningKey, StewardKey); 2] {
    [("steward-a", 1_u8), ("steward-b", 2)].map(|(steward, seed)| {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let public = StewardKey { steward: name(steward), key: key.verifying_key() };
        (key, public)
    })
}

pub(crate) fn signed(approval: Approval) -> SignedApproval {
    let signatures = stewards()
        .iter()
        .map(|(key, public)| StewardSignature::sign(&approval, public.steward.clone(), key).unwrap())
        .collect();
    SignedApproval { approval, signatures }
}

pub(crate) fn verified(approval: Approval) -> VerifiedApproval {
    signed(approval).verify(&stewards().map(|(_, public)| public)).unwrap()
}

/// The approval in force today, as a project's first version.
pub(crate) fn active(approval: Approval) -> Result<ActiveApproval, Inactive> {
    let version = approval.version;
    let received = Step::Received { version, day: today() };
    let signed = stewards().map(|(_, public)| Step::Signed { version, steward: public.steward });
    let steps = [received, Step::Complete { version, day: today() }].into_iter().chain(signed);
    let life = steps.fold(Life::default(), |life, step| life.after(&step, today()).unwrap());
    life.active(verified(approval), today())
}

/// As [`approved`], where the policies protect data by noise and the approval has a budget for it and grants refunds.
pub(crate) fn approved_with_noise(query: Query) -> ApprovedQuery {
    let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"), tempfile::tempdir().unwrap());
    for file in
        std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        let text = std::fs::read_to_string(&file).unwrap();
        let noise = "projects = { noise = { mechanism = \"gaussian\", rho = \"0.01\" } }";
        let text = text.replace("projects = \"suppress\"", noise);
        std::fs::write(to.path().join(file.file_name().unwrap()), text).unwrap();
    }
    let mut approval = approval();
    approval.privacy_budget = Some("1".parse().unwrap());
    approval.grants[1].variables.push(name("refusjon_ore"));
    let policies = Policies::load(to.path()).unwrap();
    authorise(&researcher(), query, &active(approval).unwrap(), &policies, &sections()).unwrap()
}

pub(crate) fn approved(query: Query) -> ApprovedQuery {
    authorise(&researcher(), query, &active(approval()).unwrap(), &policies(), &sections()).unwrap()
}
