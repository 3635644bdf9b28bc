//! The overview on both databases: what is found, and what cannot be deleted.

use sqlx::Executor;

use super::*;
use crate::domain::query::Answer;
use crate::store::fixtures::{TestStore, facts, now, result, run_id, stores, submission};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn set(number: u8) -> PersonSet {
    PersonSet { chunks: number.into(), root: Digest::from_bytes([number; 32]) }
}

/// Enters a release with a leaf for its receipt and one for its entry.
async fn enter(test: &TestStore, number: u8, day: NaiveDate, chunks: Option<&[&[u8]]>) {
    let mut write = test.store.write().await.unwrap();
    write.submit(&submission(&format!("req-{number}")), run_id(number), now()).await.unwrap();
    let receipt = u64::from(number) * 2;
    let detail = AuditDetail { salt: vec![1; 32], fields: b"{}".to_vec() };
    for index in [receipt, receipt + 1] {
        write.insert_audit_leaf(index, b"leaf", Some(&detail)).await.unwrap();
    }
    let facts = DisclosureFacts {
        result: if chunks.is_some() { Answer::Microdata } else { Answer::Table },
        ..facts()
    };
    let chunk = |sealed: &&[u8]| PersonChunk { sealed: sealed.to_vec(), proof: vec![number] };
    let chunks: Option<Vec<_>> = chunks.map(|chunks| chunks.iter().map(chunk).collect());
    let persons = chunks.as_deref().map(|chunks| (set(number), chunks));
    let (run, entered) = (run_id(number), receipt + 1);
    let kept_until = chunks.as_ref().map(|_| day + chrono::Days::new(30));
    let new = NewDisclosure { receipt, entered, run: &run, day, facts: &facts, persons, kept_until };
    write.store_result(&run, &result(receipt)).await.unwrap();
    write.disclose(new).await.unwrap();
    write.commit().await.unwrap();
}

async fn world(test: &TestStore) {
    enter(test, 1, day("2020-01-31"), Some(&[b"first", b"second"])).await;
    enter(test, 2, day("2020-02-01"), None).await;
    enter(test, 3, day("2026-11-21"), Some(&[b"third"])).await;
    enter(test, 4, day("2026-11-22"), None).await;
}

#[tokio::test]
async fn releases_are_found_by_receipt_by_chunk_and_by_facts() {
    for test in stores().await {
        world(&test).await;
        let all = test.store.disclosures(None, 10).await.unwrap();
        assert_eq!(all.iter().map(|d| d.receipt).collect::<Vec<_>>(), [2, 4, 6, 8]);
        assert_eq!(all[0].persons, Some(set(1).digest()));
        assert_eq!((all[1].persons, &all[1].facts), (None, &facts()));
        assert_eq!(test.store.disclosures(Some(2), 2).await.unwrap(), all[1..3]);

        let chunks = async |number| {
            let all = test.store.chunks(number).await.unwrap();
            assert!(all.iter().map(|kept| kept.set).eq([Some(set(1)), Some(set(3))]), "each with its set");
            all.into_iter().map(|kept| kept.chunk.map(|chunk| chunk.sealed)).collect::<Vec<_>>()
        };
        assert_eq!(chunks(0).await, [Some(b"first".to_vec()), Some(b"third".to_vec())]);
        assert_eq!(chunks(1).await, [Some(b"second".to_vec()), None]);
        assert_eq!(chunks(2).await, [None, None]);
        let project = submission("req-1").query.project;
        let of =
            async |run: u8, project| test.store.chunk_of_records(&run_id(run), project, 1).await.unwrap();
        assert_eq!(of(1, &project).await.unwrap().chunk.unwrap().proof, [1]);
        assert!(of(2, &project).await.is_none(), "a table");
        assert!(of(1, &ProjectId::new("P-9").unwrap()).await.is_none());

        let tables = test.store.tables_released().await.unwrap();
        let [tables] = tables.as_slice() else { panic!("{tables:?}") };
        assert_eq!((tables.tables, tables.first, tables.last), (2, day("2020-02-01"), day("2026-11-22")));
        let records = test.store.facts_of_records().await.unwrap();
        assert_eq!(records.into_values().map(|f| f.result).collect::<Vec<_>>(), [Answer::Microdata]);
    }
}

/// What one does who has the database: no release of records is left out for what does not stand beside it.
#[tokio::test]
async fn records_are_all_that_is_not_a_table_whatever_is_kept_of_persons() {
    for column in ["persons", "chunks", "root"] {
        for test in stores().await {
            world(&test).await;
            let forgotten: &'static str =
                format!("UPDATE disclosures SET {column} = NULL WHERE receipt = 6").leak();
            test.store.tamper(&[forgotten]).await;
            let sets: Vec<_> = test.store.chunks(0).await.unwrap().into_iter().map(|kept| kept.set).collect();
            assert_eq!(sets, [Some(set(1)), None], "{column}");
        }
    }
    // As a table, it is none by its facts, and a table is not one of records.
    for (receipt, result) in [(6, "table"), (8, "microdata")] {
        for test in stores().await {
            world(&test).await;
            let flipped: &'static str =
                format!("UPDATE disclosures SET result = '{result}' WHERE receipt = {receipt}").leak();
            test.store.tamper(&[flipped]).await;
            let tables = test.store.tables_released().await;
            match result {
                "table" => assert!(matches!(tables, Err(StoreError::Corrupt(_))), "{tables:?}"),
                _ => assert_eq!(test.store.chunks(0).await.unwrap()[2].set, None),
            }
        }
    }
}

/// What is asked for at each reading of a log is read from the indexes made for it.
#[tokio::test]
async fn what_a_log_is_made_of_is_found_by_index() {
    let test = crate::store::fixtures::sqlite().await;
    for (sql, steps) in [
        (TABLES, &["SCAN disclosures USING COVERING INDEX disclosures_of_tables"][..]),
        (
            CHUNK_OF,
            &[
                "SCAN d USING INDEX disclosures_of_records",
                "SEARCH p USING PRIMARY KEY (chunk=? AND receipt=?)",
            ],
        ),
        (FACTS_OF_RECORDS, &["SCAN d USING INDEX disclosures_of_records"]),
        (ENTERED, &["SEARCH d USING INDEX disclosures_by_entry (entered>? AND entered<?)"]),
    ] {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
            .fetch_all(&test.store.pool)
            .await
            .unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        for step in steps {
            assert!(plan.iter().any(|found| found.starts_with(step)), "{step}: {plan:#?}");
        }
    }
}

#[tokio::test]
async fn what_is_older_than_the_policy_is_deleted_and_nothing_younger() {
    for test in stores().await {
        world(&test).await;
        let reap = async |today: &str, years| {
            let mut write = test.store.write().await.unwrap();
            let deleted = write.delete_disclosures(Retention::new(years).unwrap(), day(today)).await;
            if deleted.is_ok() {
                write.commit().await.unwrap();
            }
            deleted
        };
        assert_eq!(reap("2025-01-31", 5).await.unwrap(), 0);
        assert_eq!(reap("2026-11-22", 7).await.unwrap(), 0);
        assert_eq!(reap("2025-02-01", 5).await.unwrap(), 1);
        let left = test.store.disclosures(None, 10).await.unwrap();
        assert_eq!(left.iter().map(|d| d.receipt).collect::<Vec<_>>(), [4, 6, 8]);
        let kept = test.store.chunks(1).await.unwrap();
        assert_eq!(kept.iter().map(|kept| kept.run.clone()).collect::<Vec<_>>(), [run_id(3)]);
        // What the leaf of the deleted one commits to is erased, the leaves stay.
        assert_eq!(test.store.audit_detail(3).await.unwrap(), None);
        assert!(test.store.audit_detail(5).await.unwrap().is_some());
        assert_eq!(test.store.audit_leaves(0, 10).await.unwrap().len(), 8);
        // A gateway whose clock is wrong deletes nothing either.
        assert!(reap("2099-01-01", 5).await.is_err());
        assert_eq!(test.store.disclosures(None, 10).await.unwrap(), left);
    }
}

#[tokio::test]
async fn records_are_erased_after_their_last_day_and_tables_never() {
    for test in stores().await {
        world(&test).await;
        let expire = async |today: &str| {
            let mut write = test.store.write().await.unwrap();
            let expired = write.expire_records(day(today)).await.unwrap();
            write.commit().await.unwrap();
            expired
        };
        let before = test.store.disclosures(None, 10).await.unwrap();
        assert_eq!(expire("2020-03-01").await, 0);
        assert_eq!((expire("2020-03-02").await, expire("2020-03-02").await), (1, 0));
        assert_eq!(expire("2099-01-01").await, 1);
        for (number, empty) in [(1, true), (2, false), (3, true), (4, false)] {
            let stored = test.store.result(&run_id(number)).await.unwrap();
            assert_eq!(stored.bytes.is_empty(), empty, "{number}");
        }
        assert_eq!(test.store.disclosures(None, 10).await.unwrap(), before);
    }
}

#[tokio::test]
async fn by_sql_nothing_of_five_years_is_deleted_or_changed() {
    for test in stores().await {
        world(&test).await;
        let before = test.store.disclosures(None, 10).await.unwrap();
        let mut hands = vec![
            "DELETE FROM disclosures",
            "DELETE FROM disclosures WHERE receipt = 8",
            "DELETE FROM disclosure_persons WHERE receipt = 6",
            "UPDATE disclosures SET day = '2001-01-01'",
            "UPDATE disclosure_persons SET sealed = NULL",
            "UPDATE disclosure_facts SET canonical = digest",
            "DELETE FROM disclosure_facts",
        ];
        let url = test.url.as_str();
        if url.starts_with("sqlite") {
            hands.extend([
                "INSERT OR REPLACE INTO disclosures (receipt, entered, run, result, facts, day) \
                 SELECT receipt, entered, run, result, facts, '2001-01-01' FROM disclosures",
                "INSERT OR REPLACE INTO disclosure_persons (chunk, receipt, sealed) \
                 SELECT chunk, receipt, x'00' FROM disclosure_persons",
                // The checks of references are a choice of each connection.
                "PRAGMA foreign_keys = OFF; DELETE FROM disclosure_facts",
                "PRAGMA foreign_keys = OFF; DELETE FROM disclosures WHERE receipt = 6",
            ]);
        } else {
            hands.push("TRUNCATE disclosures CASCADE");
        }
        for sql in hands {
            assert!(test.store.pool.execute(sql).await.is_err(), "{sql}");
            assert_eq!(test.store.disclosures(None, 10).await.unwrap(), before, "{sql}");
            assert_eq!(test.store.chunks(0).await.unwrap().len(), 2, "{sql}");
        }
    }
}
