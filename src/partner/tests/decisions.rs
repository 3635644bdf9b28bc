//! What the partner decides for itself: which project, which version, whose rows.

use super::super::policy::tests::under;
use super::*;

/// An order that is refused by the partner's policy with this code.
async fn refused(running: &Running, order: LinkageOrder, code: &str) {
    assert_eq!(running.declined(order).await, (DeclineReason::Policy, code.to_owned()));
}

#[tokio::test]
async fn no_row_is_sent_without_the_partners_own_approval() {
    for database in loaded().await {
        let running = start(&database, Setting { approved: false, ..Setting::default() }).await;
        refused(&running, signed(1), "policy.not_approved").await;
        let (approval, day) = (signed(1).approval.approval, |text: &str| text.parse().ok());
        let mut approvals = Approvals::open(&database.url).await.unwrap();
        let late = approvals.approve(&approval, day("2027-01-01"), now()).await;
        assert!(matches!(late, Err(ApprovalsError::TooLong { .. })));
        approvals.approve(&approval, day("2026-03-01"), now()).await.unwrap();
        refused(&running, signed(2), "policy.approval_expired").await;
        approvals.approve(&approval, day("2026-03-02"), now()).await.unwrap();
        assert!(running.ask(signed(3)).await.is_ok());
        approvals.withdraw(&approval.project, now()).await.unwrap();
        refused(&running, signed(4), "policy.approval_withdrawn").await;
        let twice = approvals.withdraw(&approval.project, now()).await;
        assert!(matches!(twice, Err(ApprovalsError::NotApproved(_))));
        approvals.approve(&approval, None, now()).await.unwrap();
        assert!(running.ask(signed(5)).await.is_ok());
        assert_eq!(approvals.acts().await.unwrap().len(), 4);
    }
}

#[tokio::test]
async fn an_older_version_is_refused_once_a_newer_one_has_been_seen() {
    let database = loaded().await.remove(0);
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("orders.jsonl");
    let setting = || Setting { journal: Some(journal.clone()), ..Setting::default() };
    let running = start(&database, setting()).await;
    assert!(running.ask(signed(1)).await.is_ok());
    // A version that nobody has signed is not seen.
    let mut forged = of_version(2, 9);
    forged.approval.signatures.pop();
    let unsigned = (DeclineReason::Approval, "approval.signatures".to_owned());
    assert_eq!(running.declined(forged).await, unsigned);
    // The newer one is seen although the partner has not approved it.
    refused(&running, of_version(3, 2), "policy.approval_of_another_version").await;
    let superseded = (DeclineReason::Approval, "approval.superseded".to_owned());
    assert_eq!(running.declined(signed(4)).await, superseded);
    running.end().await;
    let running = start(&database, setting()).await;
    assert_eq!(running.declined(signed(5)).await, superseded);
    approve(&database.url, 2).await;
    assert!(running.ask(of_version(6, 2)).await.is_ok());
    let older = Approvals::open(&database.url).await.unwrap();
    let older = { older }.approve(&signed(1).approval.approval, None, now()).await;
    assert!(matches!(older, Err(ApprovalsError::Older { version: 1, highest: 2, .. })));
}

#[tokio::test]
async fn a_withdrawal_stops_an_answer_in_the_middle() {
    for database in databases().await {
        let dir = tempfile::tempdir().unwrap();
        let line = |n: usize| format!("{n};1;1;4;2024-03-01;2024-03-05;320;VOP;F20.0;0301\n");
        let lines: String = (0..100_000).map(line).collect();
        deliver(dir.path(), lines.as_bytes(), IDENTITIES.as_bytes());
        load(dir.path(), &database.options(), &|_| ()).await.unwrap();
        let running = start(&database, Setting { withdrawn_after: Some(1), ..Setting::default() }).await;
        let mut order = signed(1);
        order.max_rows = 100_000;
        order.expires += TimeDelta::minutes(10);
        refused(&running, order, "policy.approval_withdrawn").await;
        let journal = running.end().await;
        assert!(journal.contains("\"code\":\"policy.approval_withdrawn\""), "{journal}");
        assert!(!journal.contains("\"sent\""));
        let last: serde_json::Value = serde_json::from_str(journal.lines().last().unwrap()).unwrap();
        assert!((8192..100_000).contains(&last["rows"].as_u64().unwrap()), "{last}");
    }
}

/// How many rows of person 1, whose number this is, come for an order under a section with these lists, and what the
/// journal says was withheld.
async fn rows_under(database: &Database, section: Section, lists: &[&str], number: u8) -> (usize, u64) {
    let policy = under(section.as_str(), lists).unwrap();
    Source::open(&database.url).await.unwrap().has_lists(policy.persons()).await.unwrap();
    let running = start(database, Setting { policy, ..Setting::default() }).await;
    let rows = running.ask(LinkageOrder { section, ..signed(number) }).await.ok().unwrap();
    // What was left out is no number that the gateway gets.
    assert_eq!(rows.invalid_rows(), 2);
    let sent = rows.batches().iter().map(crate::linkage::CodedBatch::rows).sum();
    let journal = running.end().await;
    let last: serde_json::Value = serde_json::from_str(journal.lines().last().unwrap()).unwrap();
    assert!(!journal.contains(NUMBER));
    (sent, last["withheld_rows"].as_u64().unwrap())
}

#[tokio::test]
async fn the_lists_of_the_section_decide_whose_rows_are_sent() {
    const OTHER: &str = "02813200131";
    for database in loaded().await {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list.csv");
        let list = async |kind, lines: &str| {
            let header = match kind {
                ListKind::Consents => "fnr;project;purpose;from;to;withdrawn",
                ListKind::OptOuts => "fnr;project;purpose;from;to",
                ListKind::Numbers => "fnr;person",
            };
            std::fs::write(&file, format!("{header}\n{lines}")).unwrap();
            load_list(kind, &file, &database.url).await.unwrap();
        };
        list(ListKind::Numbers, &format!("{NUMBER};1\n{OTHER};1\n")).await;
        let cases = [
            ("", (0, 2)),
            ("{NUMBER};*;*;2024-01-01;;\n", (2, 0)),
            ("{OTHER};P-2026-0001;research;2024-01-01;;\n", (2, 0)),
            ("{OTHER};P-2026-0001;planning;2024-01-01;;\n", (0, 2)),
            ("{OTHER};P-2026-0002;*;2024-01-01;;\n", (0, 2)),
            ("{NUMBER};*;*;2024-01-01;;2026-01-01\n", (0, 2)),
            ("{NUMBER};*;*;2024-01-01;2026-03-01;\n", (0, 2)),
            ("{NUMBER};*;*;2024-01-01;;\n{OTHER};*;*;2020-01-01;;2025-01-01\n", (0, 2)),
        ];
        let of = |text: &str| text.replace("{NUMBER}", NUMBER).replace("{OTHER}", OTHER);
        for (number, (lines, expected)) in (1..).zip(cases) {
            list(ListKind::Consents, &of(lines)).await;
            let sent = rows_under(&database, Section::Section9a, &["consent", "numbers"], number).await;
            assert_eq!(sent, expected, "{lines}");
        }
        for (number, (lines, expected)) in
            (1..).zip([("", (2, 0)), ("{OTHER};*;*;;\n", (0, 2)), ("{OTHER};P-2026-0002;*;;\n", (2, 0))])
        {
            list(ListKind::OptOuts, &of(lines)).await;
            let sent = rows_under(&database, Section::Section10, &["opt_out", "numbers"], number).await;
            assert_eq!(sent, expected, "{lines}");
        }
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_lets_nothing_out() {
    let database = loaded().await.remove(0);
    let policy = under("section_10", &["opt_out", "numbers"]).unwrap();
    assert!(Source::open(&database.url).await.unwrap().has_lists(policy.persons()).await.is_err());
    let running = start(&database, Setting { policy: policy.clone(), ..Setting::default() }).await;
    let asked = |number| LinkageOrder { section: Section::Section10, ..signed(number) };
    let unread = (DeclineReason::Source, "source.lists".to_owned());
    assert_eq!(running.declined(asked(1)).await, unread);
    // Another's table may hold what is no number: whose it was is not known.
    let pool = sqlx::AnyPool::connect(&database.url).await.unwrap();
    for statement in [
        "CREATE TABLE opt_out (fnr TEXT, project TEXT, purpose TEXT, valid_from TEXT, valid_to TEXT)",
        "CREATE TABLE person_number (fnr TEXT, person TEXT)",
        "INSERT INTO opt_out VALUES ('3090829999', '*', '*', NULL, NULL)",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let unclear = (DeclineReason::Source, "source.opt_out_unreadable".to_owned());
    assert_eq!(running.declined(asked(2)).await, unclear);
}
