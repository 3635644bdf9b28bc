//! Which method the results of a data domain have been released by, to whom.

use crate::domain::ids::{DomainId, OrganisationId, RunId};
use crate::domain::method::Method;

use super::error::StoreError;
use super::open::{Store, Write};
use super::rows::name;

/// Another method by which an organisation knows results of a domain, or will know them once runs in progress end. What is
/// published with true counts does not keep it from records as an approval grants them, since these are no part of what
/// others know (docs/disclosure-control.md, "Indirectly identifiable microdata").
const OTHER: &str = "SELECT m.method FROM ledger_methods m JOIN runs r ON r.run = m.run \
                     WHERE m.domain = $1 AND m.method <> $2 AND r.phase NOT IN ('refused', 'failed') \
                     AND (m.organisation = $3 OR (EXISTS (SELECT 1 FROM publications p WHERE p.run = m.run) \
                     AND NOT ($2 = 'as_approved' AND m.method IN ('suppress', 'fold')))) LIMIT 1";

/// Another method by which anybody knows, or will know, results of a domain; of a table with true counts, other than
/// records as an approval grants them. A feed does not count, though its recipient can take its rows off what is published:
/// it is bound by the law that its register stands under, and feeds would end all publication
/// (docs/disclosure-control.md, "Not protected in this version").
const ANYBODYS_OTHER: &str = "SELECT m.method FROM ledger_methods m JOIN runs r ON r.run = m.run \
                              WHERE m.domain = $1 AND m.method <> $2 AND m.method <> 'feed' \
                              AND r.phase NOT IN ('refused', 'failed') \
                              AND NOT ($2 IN ('suppress', 'fold') AND m.method = 'as_approved') LIMIT 1";

/// What stands as the method of a feed: its recipient takes nothing of the domain by any other.
const FEED: &str = "feed";

/// Another method than a feed by which an organisation knows data of a domain, or will know them. What is published
/// does not count, as above.
const OTHER_THAN_FEED: &str = "SELECT m.method FROM ledger_methods m JOIN runs r ON r.run = m.run \
                               WHERE m.domain = $1 AND m.method <> $2 AND r.phase NOT IN ('refused', 'failed') \
                               AND m.organisation = $3 LIMIT 1";

impl Store {
    /// Whether tables of a domain may reach an organisation by a method, as far as earlier ones tell.
    ///
    /// # Errors
    /// [`StoreError::OtherMethod`] if it knows tables of the domain by another one, [`StoreError::FeedAndResults`] if it
    /// takes a feed of it, [`StoreError::Database`].
    pub async fn may_use_method(
        &self,
        organisation: &OrganisationId,
        domain: &DomainId,
        method: Method,
    ) -> Result<(), StoreError> {
        let query =
            sqlx::query(OTHER).bind(domain.as_str()).bind(method.as_str()).bind(organisation.as_str());
        let row = query.fetch_optional(&self.pool).await?;
        only_this(domain, method.as_str(), row.as_ref())
    }
}

impl Write {
    /// Records by which method the table of a new run will reach an organisation. Of two runs that would do it by
    /// different methods one alone is recorded.
    ///
    /// # Errors
    /// As [`Store::may_use_method`]; then nothing is recorded.
    pub async fn use_method(
        &mut self,
        run: &RunId,
        organisation: &OrganisationId,
        domain: &DomainId,
        method: Method,
    ) -> Result<(), StoreError> {
        self.hold_ledger().await?;
        let query =
            sqlx::query(OTHER).bind(domain.as_str()).bind(method.as_str()).bind(organisation.as_str());
        let row = query.fetch_optional(&mut *self.tx).await?;
        only_this(domain, method.as_str(), row.as_ref())?;
        self.record_method(run, organisation, domain, method.as_str()).await
    }

    /// Records that an organisation takes a feed of a domain with this run. Who does takes no tables or records of it, and
    /// the other way round.
    ///
    /// # Errors
    /// [`StoreError::FeedAndResults`] if it knows data of the domain another way, [`StoreError::Database`].
    pub async fn use_feed(
        &mut self,
        run: &RunId,
        organisation: &OrganisationId,
        domain: &DomainId,
    ) -> Result<(), StoreError> {
        self.hold_ledger().await?;
        let query = sqlx::query(OTHER_THAN_FEED).bind(domain.as_str()).bind(FEED).bind(organisation.as_str());
        let row = query.fetch_optional(&mut *self.tx).await?;
        only_this(domain, FEED, row.as_ref())?;
        self.record_method(run, organisation, domain, FEED).await
    }

    async fn record_method(
        &mut self,
        run: &RunId,
        organisation: &OrganisationId,
        domain: &DomainId,
        method: &str,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO ledger_methods (run, organisation, domain, method) VALUES ($1, $2, $3, $4)")
            .bind(run.as_str())
            .bind(organisation.as_str())
            .bind(domain.as_str())
            .bind(method)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Whether the table of a run may be published: nobody knows tables of its domain by another method.
    ///
    /// # Errors
    /// [`StoreError::OtherMethod`], or [`StoreError::FeedAndResults`] for the run of a feed; [`StoreError::NotInLedger`]
    /// for a run of which no method is recorded; [`StoreError::Database`].
    pub(super) async fn may_publish_method(&mut self, run: &RunId) -> Result<(), StoreError> {
        let own = sqlx::query("SELECT domain, method FROM ledger_methods WHERE run = $1")
            .bind(run.as_str())
            .fetch_optional(&mut *self.tx)
            .await?
            .ok_or_else(|| StoreError::NotInLedger(run.clone()))?;
        let (domain, method): (DomainId, String) = (name(&own, "domain")?, name(&own, "method")?);
        let query = sqlx::query(ANYBODYS_OTHER).bind(domain.as_str()).bind(method.as_str());
        let row = query.fetch_optional(&mut *self.tx).await?;
        only_this(&domain, &method, row.as_ref())
    }

    /// Holds the ledger until this transaction ends: no publication changes what is known meanwhile.
    async fn hold_ledger(&mut self) -> Result<(), StoreError> {
        sqlx::query("UPDATE ledger_head SET size = size WHERE id = 1").execute(&mut *self.tx).await?;
        Ok(())
    }
}

fn only_this(domain: &DomainId, asked: &str, other: Option<&sqlx::any::AnyRow>) -> Result<(), StoreError> {
    let Some(other) = other else { return Ok(()) };
    let (domain, asked) = (domain.clone(), asked.to_owned());
    let earlier: String = name(other, "method")?;
    if earlier == FEED || asked == FEED {
        let named = |method: String| {
            if method == FEED { "a feed".to_owned() } else { format!("by the method {method}") }
        };
        return Err(StoreError::FeedAndResults { domain, earlier: named(earlier), asked: named(asked) });
    }
    Err(StoreError::OtherMethod { domain, earlier, asked })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::{Refusal, RefusalKind};
    use crate::store::fixtures::{name, now, result, run_id, stores, submission};
    use crate::store::phase::Phase;
    use crate::store::publications::Publication;

    const OURS: &str = "NTRNO-983744516";
    const THEIRS: &str = "NTRNO-111111111";

    /// Publishes the result of a run.
    async fn published(store: &Store, run: u8) {
        let mut write = store.write().await.unwrap();
        write.insert_audit_leaf(run.into(), b"leaf", None).await.unwrap();
        write.store_result(&run_id(run), &result(run.into())).await.unwrap();
        let (table, digest) = (name(&format!("t-{run}")), result(0).digest);
        let (title, published) = ("A table".to_owned(), now());
        let publication = Publication { table, run: run_id(run), digest, title, published };
        assert!(write.publish(&publication).await.unwrap());
        write.commit().await.unwrap();
    }

    /// A run of an organisation whose table of a domain has a method.
    async fn accepted(
        store: &Store,
        run: u8,
        organisation: &str,
        domain: &str,
        method: Method,
    ) -> Result<(), StoreError> {
        let mut write = store.write().await?;
        write.submit(&submission(&format!("req-{run}")), run_id(run), now()).await?;
        write.use_method(&run_id(run), &name(organisation), &name(domain), method).await?;
        write.commit().await
    }

    #[tokio::test]
    async fn a_domain_reaches_an_organisation_by_one_method() {
        let noise = Method::Noise(crate::domain::method::Noise {
            mechanism: crate::domain::method::Mechanism::Gaussian,
            rho: "0.01".parse().unwrap(),
            consistent_margins: false,
        });
        for test in stores().await {
            let store = &test.store;
            accepted(store, 1, OURS, "services", Method::Suppress).await.unwrap();
            accepted(store, 2, OURS, "services", Method::Suppress).await.unwrap();
            // In progress is as good as released. Another domain, and another organisation, are free.
            for method in [noise, Method::Fold] {
                let refused = accepted(store, 3, OURS, "services", method).await.unwrap_err();
                let refusal = Refusal::from(refused);
                assert_eq!((refusal.kind, refusal.code), (RefusalKind::Precondition, "rule.other_method"));
                for word in ["services", method.as_str(), "the method suppress"] {
                    assert!(refusal.hint.contains(word), "{}", refusal.hint);
                }
                assert!(store.may_use_method(&name(OURS), &name("services"), method).await.is_err());
            }
            accepted(store, 3, OURS, "births", noise).await.unwrap();
            accepted(store, 4, THEIRS, "services", noise).await.unwrap();

            // Published, either would reach who has the other.
            for run in [1, 4] {
                let mut write = store.write().await.unwrap();
                assert!(matches!(
                    write.may_publish_method(&run_id(run)).await,
                    Err(StoreError::OtherMethod { .. })
                ));
                assert!(matches!(
                    write.may_publish_method(&run_id(77)).await,
                    Err(StoreError::NotInLedger(_))
                ));
            }
            // A run that ended without a result told nobody anything.
            let mut write = store.write().await.unwrap();
            write.set_phase(&run_id(4), Phase::Failed, None).await.unwrap();
            write.may_publish_method(&run_id(1)).await.unwrap();
            write.commit().await.unwrap();
            accepted(store, 5, THEIRS, "services", Method::Suppress).await.unwrap();
        }
    }

    /// Tables and anonymous records are recorded by the method of the domain's tables.
    #[tokio::test]
    async fn who_has_records_as_they_are_gets_nothing_else_of_the_domain_and_the_reverse() {
        assert_eq!(Method::AsApproved.as_str(), "as_approved");
        for test in stores().await {
            let store = &test.store;
            accepted(store, 1, OURS, "services", Method::AsApproved).await.unwrap();
            // More of them can be had, and nothing else, also while the first are only on their way.
            accepted(store, 2, OURS, "services", Method::AsApproved).await.unwrap();
            accepted(store, 3, THEIRS, "services", Method::Suppress).await.unwrap();
            for (organisation, method) in [(OURS, Method::Suppress), (THEIRS, Method::AsApproved)] {
                let refused = accepted(store, 4, organisation, "services", method).await.unwrap_err();
                assert_eq!(Refusal::from(refused).code, "rule.other_method");
            }
            accepted(store, 4, OURS, "births", Method::Suppress).await.unwrap();

            // What is published with true counts everybody may know, the holder of the records too.
            let mut write = store.write().await.unwrap();
            write.may_publish_method(&run_id(3)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_published_with_noise_keeps_from_records_as_they_are_and_the_reverse() {
        let noise = Method::Cellkey(crate::domain::method::Cellkey {
            min_persons: 5,
            bound: 10,
            variance: "4".parse().unwrap(),
        });
        for test in stores().await {
            let store = &test.store;
            for (run, domain, method) in [(1, "exact", Method::Suppress), (2, "noisy", noise)] {
                accepted(store, run, THEIRS, domain, method).await.unwrap();
                published(store, run).await;
            }
            accepted(store, 3, OURS, "exact", Method::AsApproved).await.unwrap();
            let refused = accepted(store, 4, OURS, "noisy", Method::AsApproved).await.unwrap_err();
            assert_eq!(Refusal::from(refused).code, "rule.other_method");
            // The records would take the noise off, so it is not published beside them.
            accepted(store, 5, OURS, "births", Method::AsApproved).await.unwrap();
            accepted(store, 6, THEIRS, "births", noise).await.unwrap();
            let mut write = store.write().await.unwrap();
            let refused = write.may_publish_method(&run_id(6)).await;
            assert!(matches!(refused, Err(StoreError::OtherMethod { .. })));
        }
    }

    /// The run of a feed to an organisation.
    async fn fed(store: &Store, run: u8, organisation: &str, domain: &str) -> Result<(), StoreError> {
        let mut write = store.write().await?;
        write.submit(&submission(&format!("req-{run}")), run_id(run), now()).await?;
        write.use_feed(&run_id(run), &name(organisation), &name(domain)).await?;
        write.commit().await
    }

    #[tokio::test]
    async fn who_takes_a_feed_takes_nothing_else_of_the_domain_and_stops_no_publication() {
        for test in stores().await {
            let store = &test.store;
            fed(store, 1, OURS, "services").await.unwrap();
            fed(store, 2, OURS, "services").await.unwrap();
            let refused = accepted(store, 3, OURS, "services", Method::Suppress).await.unwrap_err();
            let refusal = Refusal::from(refused);
            assert_eq!((refusal.kind, refusal.code), (RefusalKind::Precondition, "rule.feed_and_results"));
            assert!(store.may_use_method(&name(OURS), &name("services"), Method::Suppress).await.is_err());
            accepted(store, 3, OURS, "births", Method::Suppress).await.unwrap();
            accepted(store, 4, THEIRS, "services", Method::Suppress).await.unwrap();
            let refused = Refusal::from(fed(store, 5, THEIRS, "services").await.unwrap_err());
            assert_eq!(refused.code, "rule.feed_and_results");
            assert!(refused.hint.contains("by the method suppress") && refused.hint.contains("a feed"));

            // A table is published beside the feed, and a feed is taken beside what is published.
            let mut write = store.write().await.unwrap();
            write.may_publish_method(&run_id(4)).await.unwrap();
            // A feed that came to nothing is in nobody's way.
            for run in [1, 2] {
                write.set_phase(&run_id(run), Phase::Failed, None).await.unwrap();
            }
            write.commit().await.unwrap();
            accepted(store, 6, OURS, "services", Method::Suppress).await.unwrap();
            assert!(fed(store, 7, OURS, "services").await.is_err());
        }
    }
}
