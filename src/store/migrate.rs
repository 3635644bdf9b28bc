//! The numbered migrations of the schema, one folder a backend. One that has landed never changes.

use sqlx::{Executor, Row};

use crate::domain::canonical::Digest;

use super::error::StoreError;
use super::open::{Backend, Store};

/// A migration: its number and its SQL.
pub(super) struct Migration {
    pub(super) version: i64,
    pub(super) sql: &'static str,
}

impl Migration {
    /// The digest by which a database remembers what it has been through.
    pub(super) fn digest(&self) -> Digest {
        Digest::of_bytes("kpr/migration/v1", self.sql.as_bytes())
    }
}

const SQLITE: [Migration; 13] = [
    Migration { version: 1, sql: include_str!("migrations/sqlite/0001_control.sql") },
    Migration { version: 2, sql: include_str!("migrations/sqlite/0002_budget.sql") },
    Migration { version: 3, sql: include_str!("migrations/sqlite/0003_ledger.sql") },
    Migration { version: 4, sql: include_str!("migrations/sqlite/0004_held.sql") },
    Migration { version: 5, sql: include_str!("migrations/sqlite/0005_methods.sql") },
    Migration { version: 7, sql: include_str!("migrations/sqlite/0007_reports.sql") },
    Migration { version: 8, sql: include_str!("migrations/sqlite/0008_cosignatures.sql") },
    Migration { version: 9, sql: include_str!("migrations/sqlite/0009_lifecycle.sql") },
    Migration { version: 10, sql: include_str!("migrations/sqlite/0010_disclosures.sql") },
    Migration { version: 13, sql: include_str!("migrations/sqlite/0013_resolutions.sql") },
    Migration { version: 16, sql: include_str!("migrations/sqlite/0016_persons.sql") },
    Migration { version: 17, sql: include_str!("migrations/sqlite/0017_releases.sql") },
    Migration { version: 18, sql: include_str!("migrations/sqlite/0018_linked_sets.sql") },
];

const POSTGRES: [Migration; 13] = [
    Migration { version: 1, sql: include_str!("migrations/postgres/0001_control.sql") },
    Migration { version: 2, sql: include_str!("migrations/postgres/0002_budget.sql") },
    Migration { version: 3, sql: include_str!("migrations/postgres/0003_ledger.sql") },
    Migration { version: 4, sql: include_str!("migrations/postgres/0004_held.sql") },
    Migration { version: 5, sql: include_str!("migrations/postgres/0005_methods.sql") },
    Migration { version: 7, sql: include_str!("migrations/postgres/0007_reports.sql") },
    Migration { version: 8, sql: include_str!("migrations/postgres/0008_cosignatures.sql") },
    Migration { version: 9, sql: include_str!("migrations/postgres/0009_lifecycle.sql") },
    Migration { version: 10, sql: include_str!("migrations/postgres/0010_disclosures.sql") },
    Migration { version: 13, sql: include_str!("migrations/postgres/0013_resolutions.sql") },
    Migration { version: 16, sql: include_str!("migrations/postgres/0016_persons.sql") },
    Migration { version: 17, sql: include_str!("migrations/postgres/0017_releases.sql") },
    Migration { version: 18, sql: include_str!("migrations/postgres/0018_linked_sets.sql") },
];

/// The migrations of a backend, in order.
pub(super) const fn migrations(backend: Backend) -> &'static [Migration] {
    match backend {
        Backend::Sqlite => &SQLITE,
        Backend::Postgres => &POSTGRES,
    }
}

const VERSIONS: &str =
    "CREATE TABLE IF NOT EXISTS schema_versions (version BIGINT NOT NULL PRIMARY KEY, digest TEXT NOT NULL)";

/// Brings the database up to the newest version in one transaction, and refuses one that is newer or
/// came another way.
pub(super) async fn migrate(store: &Store) -> Result<(), StoreError> {
    let known = migrations(store.backend);
    let newest = known.iter().map(|m| m.version).max().unwrap_or(0);
    let mut write = store.write().await?;
    if store.backend == Backend::Postgres {
        // Two processes that start at once must not both create; any fixed number serves as the lock.
        write.tx.execute("SELECT pg_advisory_xact_lock(5221417)").await?;
    }
    write.tx.execute(VERSIONS).await?;
    let rows =
        sqlx::query("SELECT version, digest FROM schema_versions ORDER BY version").fetch_all(&mut *write.tx);
    let mut applied: Vec<(i64, String)> = Vec::new();
    for row in rows.await? {
        applied.push((row.try_get(0)?, row.try_get(1)?));
    }
    if let Some((found, _)) = applied.last().filter(|(version, _)| *version > newest) {
        return Err(StoreError::NewerSchema { found: *found, known: newest });
    }
    // Numbers may have gaps, and a gap may be filled later; but what a database has been through is known here.
    if let Some((other, _)) = applied.iter().find(|(version, _)| known.iter().all(|m| m.version != *version))
    {
        return Err(StoreError::OtherMigration(*other));
    }
    for migration in known {
        let digest = migration.digest().to_string();
        match applied.iter().find(|(version, _)| *version == migration.version) {
            Some((_, recorded)) if *recorded == digest => {}
            Some(_) => return Err(StoreError::OtherMigration(migration.version)),
            None => {
                sqlx::raw_sql(migration.sql).execute(&mut *write.tx).await?;
                sqlx::query("INSERT INTO schema_versions (version, digest) VALUES ($1, $2)")
                    .bind(migration.version)
                    .bind(digest)
                    .execute(&mut *write.tx)
                    .await?;
            }
        }
    }
    write.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::stores;

    /// Each landed migration with its digest. A line is added with a migration and never changed: a
    /// database in use has been through the migration as it was.
    const LANDED: [(Backend, i64, &str); 26] = [
        (Backend::Sqlite, 1, "fc3a4a9791c039313eb55ab4066434aeb1361249127089aaa2e7e693a7694d68"),
        (Backend::Sqlite, 2, "591697e7ef3b55309344d7dccbfdeb713cd91212cf5f8be4352327da8be434d9"),
        (Backend::Sqlite, 3, "8470539c03c051fcc52a4f9de717ec6e09ae51c2a7cb7c42e7636c4dcb766acb"),
        (Backend::Sqlite, 4, "8d079b8b7843732a716bf0216c59800d8ed5cb404920d016f2f2cd67b2f7533b"),
        (Backend::Sqlite, 5, "df9ea01adf932e31789c159d55d1e3dcbff68e243e18bda225e3e8d5cf8feda3"),
        (Backend::Sqlite, 7, "eaea2a9fd98dd8b73a79e9aef1aa1c340a51cc9f7d6f327dfa1465124f48d381"),
        (Backend::Sqlite, 8, "8e72397b1c5bce912b7fdc176cc7800efaddfe7394e6b1231aa1716f8490d2f7"),
        (Backend::Sqlite, 9, "91755798947297118347f7a37c7d3aca25217e4b209807cb0e4fac579b3a0190"),
        (Backend::Sqlite, 10, "78fe6709421f278491eb55e7cd31fb66556ffcd553e00380cc2431ba789a8e09"),
        (Backend::Sqlite, 13, "5378da2990e644873c7ce0cddb6fba8d0c20660d47abddae0bb6434370d8f24d"),
        (Backend::Sqlite, 16, "5c21a9d542d0229e093ec1aafa1e91b8bb3062ce55199178d29f1ab7e9debf9f"),
        (Backend::Sqlite, 17, "e42aad2e36fe82432d7a37942e273f55e74ac5a6e3e53a6b9c3a7c242cff8aaa"),
        (Backend::Sqlite, 18, "0eafb1d22428b9aa2d8fc13dde45b8c22a990359e3727edbf0c4ccc35f7364a3"),
        (Backend::Postgres, 1, "65ba3391a5f5277b041836a29acc008e73df4b67da6ffe964dcf615cf44244f9"),
        (Backend::Postgres, 2, "bd6b0002f9f3fc5d731c0f0494f6729e21c4bfb39537401e60cec7342a935a2a"),
        (Backend::Postgres, 3, "ef13b82721474ca1a3068233046589a02060fc04d452c65f386b1a0e34482204"),
        (Backend::Postgres, 4, "23008588d548bb52d5999d68b2a47bbd2122a1773028317097775669f7992556"),
        (Backend::Postgres, 5, "df9ea01adf932e31789c159d55d1e3dcbff68e243e18bda225e3e8d5cf8feda3"),
        (Backend::Postgres, 7, "89fa6aad7131e7030fbe79c2570048a69bc5f6c5c58743df1254e9a5d9b6a015"),
        (Backend::Postgres, 8, "5e94e54c9d08f4d9fa5c678d439b2ebe6a7257d3511381531914c5567531a933"),
        (Backend::Postgres, 9, "de3117ff03ec5900e88187ad57e0ebf14c036fc83dcdd18ad44cec07fe0957f9"),
        (Backend::Postgres, 10, "175c51da745423f5f6cf82554c60c3dd9795ff343380ef7ab76a64174adb447e"),
        (Backend::Postgres, 13, "7af3d04523354374d2bef845ed559741f4abf8cab85d4e4e356e8f761d63841c"),
        (Backend::Postgres, 16, "b8f03a4e36d5c8e6a397b979292f4c539bd9c00c8debb8259a185fee2acc870b"),
        (Backend::Postgres, 17, "e42aad2e36fe82432d7a37942e273f55e74ac5a6e3e53a6b9c3a7c242cff8aaa"),
        (Backend::Postgres, 18, "ba22e37518a45a194d244f371525eff633078ed5b4a3badd96940483faf185cd"),
    ];

    #[test]
    fn landed_migrations_do_not_change() {
        let mut landed = LANDED.iter();
        for backend in [Backend::Sqlite, Backend::Postgres] {
            let mut before = 0;
            for migration in migrations(backend) {
                let number = migration.version;
                assert!(number > before, "versions ascend");
                before = number;
                let (of, version, digest) = landed.next().expect("a digest is pinned here");
                assert_eq!(
                    (*of, *version, *digest),
                    (backend, before, migration.digest().to_string().as_str())
                );
            }
        }
        assert!(landed.next().is_none());
        assert_eq!(SQLITE.len(), POSTGRES.len());
    }

    #[tokio::test]
    async fn a_second_start_changes_nothing() {
        for test in stores().await {
            migrate(&test.store).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_newer_or_other_schema_is_refused() {
        for test in stores().await {
            let change = "UPDATE schema_versions SET digest = 'another' WHERE version = 1";
            test.store.pool.execute(change).await.unwrap();
            assert!(matches!(migrate(&test.store).await, Err(StoreError::OtherMigration(1))));
            let newer = "INSERT INTO schema_versions (version, digest) VALUES (99, 'newer')";
            test.store.pool.execute(newer).await.unwrap();
            let refused = migrate(&test.store).await;
            assert!(matches!(refused, Err(StoreError::NewerSchema { found: 99, known: 18 })));
        }
    }

    #[tokio::test]
    async fn a_gap_in_the_numbers_is_filled_later_and_an_unknown_number_is_refused() {
        for test in stores().await {
            // As a database is that a branch without number 13 has made, when others have higher numbers.
            for sql in [
                "DROP TABLE resolution_signatures",
                "DROP TABLE resolutions",
                "DELETE FROM schema_versions WHERE version = 13",
            ] {
                test.store.pool.execute(sql).await.unwrap();
            }
            migrate(&test.store).await.unwrap();
            assert!(test.store.waiting_resolutions().await.unwrap().is_empty());
            let unknown = "INSERT INTO schema_versions (version, digest) VALUES (6, 'of nobody')";
            test.store.pool.execute(unknown).await.unwrap();
            assert!(matches!(migrate(&test.store).await, Err(StoreError::OtherMigration(6))));
        }
    }
}
