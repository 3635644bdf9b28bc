//! The numbers and fields of the types do not change.

use super::*;

/// The types as they have been written to logs. A line is added, never changed.
const TYPES: [(u16, &str, &str); 51] = [
    (1, "gateway started", "version policies catalogue"),
    (2, "gateway stopped", ""),
    (3, "approval entered", "approval version"),
    (4, "approval signed", "approval steward"),
    (5, "query opened", "query approval policies plan rule min_persons"),
    (6, "order given", "order digest register dataset"),
    (7, "result received", "intent result"),
    (8, "query refused", "intent query code"),
    (9, "query failed", "intent code"),
    (10, "result fetched", "result format"),
    (11, "table published", "table result"),
    (12, "action refused", "action code"),
    (13, "record keys asked", "order domain"),
    (14, "budget reserved", "rho left"),
    (15, "result held", "intent result risk"),
    (16, "release signed", "result risk steward"),
    (17, "disclosure report read", ""),
    (18, "configuration in force", "configuration"),
    (19, "policies replaced", "policies"),
    (20, "application received", "approval received"),
    (21, "application incomplete", "approval missing"),
    (22, "application complete", "approval complete"),
    (23, "preliminary answer given", "approval reason likely"),
    (24, "application ended", "approval how reason"),
    (25, "project suspended", "reason"),
    (26, "suspension lifted", "reason"),
    (27, "project closed", "reason"),
    (28, "hours registered", "entry day minutes what"),
    (29, "cost stated", "statement ore"),
    (45, "call turned away", "method code calls"),
    (46, "unknown caller turned away", "method code calls"),
    (47, "certificates replaced", "certificates"),
    (30, "disclosure entered", "facts persons"),
    (31, "disclosures deleted", "before deleted"),
    (32, "person served", "action"),
    (33, "correction requested", "entry delivery"),
    (34, "restriction set", "entry restriction active"),
    (35, "erasure asked", "entry"),
    (36, "erasure carried out", "entry snapshot"),
    (37, "persons listed", "action entries"),
    (50, "resolution signed", "statement steward"),
    (51, "resolution ordered", "statement first second"),
    (52, "resolution not handed over", "statement code"),
    (53, "resolution handed over", "statement"),
    (60, "corrections fetched", "corrections"),
    (57, "conditions accepted", "result conditions"),
    (54, "feed order given", "order digest register"),
    (55, "feed opened", "order approval policies snapshot register"),
    (56, "linked set kept", "set until"),
    (58, "linked set used", "set gathered"),
    (59, "linked sets deleted", "deleted"),
];

fn one_of_each() -> Vec<Event> {
    let digest = Digest::from_bytes([1; 32]);
    let code = "a.code".to_owned();
    let text = |text: &str| text.to_owned();
    let (day, words) = (NaiveDate::MIN, || Words::new("a reason").unwrap());
    vec![
        GatewayStarted { version: text("0.1.0"), policies: digest, catalogue: digest }.into(),
        GatewayStopped {}.into(),
        ApprovalEntered { approval: digest, version: 1 }.into(),
        ApprovalSigned { approval: digest, steward: StewardId::new("a").unwrap() }.into(),
        QueryOpened {
            query: digest,
            approval: digest,
            policies: digest,
            plan: digest,
            rule: RuleId::new("tables-5").unwrap(),
            min_persons: 5,
        }
        .into(),
        OrderGiven {
            order: OrderId::new(format!("o-{}", "ab".repeat(16))).unwrap(),
            digest,
            register: RegisterId::new("NPR").unwrap(),
            dataset: DatasetId::new("episode").unwrap(),
        }
        .into(),
        ResultReceived { intent: 4, result: digest }.into(),
        QueryRefused { intent: None, query: digest, code: code.clone() }.into(),
        QueryFailed { intent: 4, code: code.clone() }.into(),
        ResultFetched { result: digest, format: text("csv") }.into(),
        TablePublished { table: TableId::new("t").unwrap(), result: digest }.into(),
        ActionRefused { action: text("fetch_result"), code }.into(),
        RecordKeysAsked {
            order: OrderId::new(format!("o-{}", "ab".repeat(16))).unwrap(),
            domain: DomainId::new("health-services").unwrap(),
        }
        .into(),
        BudgetReserved { rho: "0.01".parse().unwrap(), left: Rho::ZERO }.into(),
        ResultHeld { intent: 4, result: digest, risk: digest }.into(),
        ReleaseSigned { result: digest, risk: digest, steward: StewardId::new("a").unwrap() }.into(),
        DisclosureReportRead {}.into(),
        ConfigurationInForce { configuration: digest }.into(),
        PoliciesReplaced { policies: digest }.into(),
        ApplicationReceived { approval: digest, received: day }.into(),
        ApplicationIncomplete { approval: digest, missing: words() }.into(),
        ApplicationComplete { approval: digest, complete: day }.into(),
        PreliminaryAnswerGiven { approval: digest, reason: words(), likely: day }.into(),
        ApplicationEnded { approval: digest, how: text("rejected"), reason: words() }.into(),
        ProjectSuspended { reason: words() }.into(),
        SuspensionLifted { reason: words() }.into(),
        ProjectClosed { reason: words() }.into(),
        HoursRegistered { entry: RequestId::new("a").unwrap(), day, minutes: -30, what: words() }.into(),
        CostStated { statement: digest, ore: 12 }.into(),
        CallTurnedAway { method: text("/a/B"), code: text("a.code"), calls: 2 }.into(),
        UnknownTurnedAway { method: text("*"), code: text("a.code"), calls: 2 }.into(),
        CertificatesReplaced { certificates: digest }.into(),
        DisclosureEntered { facts: digest, persons: None }.into(),
        DisclosuresDeleted { before: "2021-11-22".parse().unwrap(), deleted: 1 }.into(),
        PersonServed { action: text("read_person_log") }.into(),
        CorrectionRequested { entry: 1, delivery: digest }.into(),
        RestrictionSet { entry: 1, restriction: text("all_use"), active: true }.into(),
        ErasureAsked { entry: 1 }.into(),
        ErasureCarriedOut { entry: 1, snapshot: digest }.into(),
        PersonsListed { action: text("list_corrections"), entries: 1 }.into(),
        ResolutionSigned { statement: digest, steward: StewardId::new("a").unwrap() }.into(),
        ResolutionOrdered {
            statement: digest,
            first: StewardId::new("a").unwrap(),
            second: StewardId::new("b").unwrap(),
        }
        .into(),
        ResolutionFailed { statement: digest, code: text("a.code") }.into(),
        ResolutionHandedOver { statement: digest }.into(),
        CorrectionsFetched { corrections: vec![1, 2] }.into(),
        ConditionsAccepted { result: digest, conditions: digest }.into(),
        FeedOrderGiven {
            order: OrderId::new(format!("o-{}", "ab".repeat(16))).unwrap(),
            digest,
            register: RegisterId::new("NPR").unwrap(),
        }
        .into(),
        FeedOpened {
            order: digest,
            approval: digest,
            policies: digest,
            snapshot: digest,
            register: RegisterId::new("NPR").unwrap(),
        }
        .into(),
        LinkedSetKept { set: digest, until: day }.into(),
        LinkedSetUsed { set: digest, gathered: RunId::new(format!("r-{}", "ab".repeat(16))).unwrap() }.into(),
        LinkedSetsDeleted { deleted: 1 }.into(),
    ]
}

#[test]
fn types_keep_their_numbers_and_fields() {
    let events = one_of_each();
    assert_eq!(events.len(), TYPES.len());
    for (event, (number, name, fields)) in events.iter().zip(TYPES) {
        assert_eq!((event.number(), type_name(number)), (number, Some(name)));
        let text = serde_json::to_string(event).unwrap();
        let mut at = 0;
        for field in fields.split_whitespace() {
            at += text[at..].find(&format!("\"{field}\":")).expect(field);
        }
        assert_eq!(text.matches("\":").count(), fields.split_whitespace().count(), "{text}");
    }
    assert_eq!(type_name(99), None);
}
