//! The overview of disclosures, and what is told to and by registered persons.

use chrono::SecondsFormat;

use super::not_encodable;
use crate::domain::canonical::Canonical;
use crate::domain::overview::Disclosure;
use crate::domain::person::{Correction, OwnRows, PersonLog, Restriction, RestrictionChange};
use crate::domain::refusal::Refusal;
use crate::wire::proto;

/// A release in the overview.
pub(in crate::wire) fn disclosure(disclosure: &Disclosure) -> Result<proto::Disclosure, Refusal> {
    Ok(proto::Disclosure {
        receipt: disclosure.receipt,
        run: disclosure.run.to_string(),
        day: disclosure.day.to_string(),
        facts: disclosure.facts.canonical().map_err(not_encodable)?,
        persons_digest: disclosure.persons.map(|digest| digest.to_string()).unwrap_or_default(),
    })
}

/// How many releases one message of a person's log has.
const RELEASES: usize = 500;

/// A person's log, in as many messages as it needs.
pub(in crate::wire) fn person_log(log: &PersonLog) -> Result<Vec<proto::ReadPersonLogResponse>, Refusal> {
    let records = log.records.iter().map(|released| {
        let facts = released.facts.canonical().map_err(not_encodable)?;
        Ok(proto::RecordsReleased { day: released.day.to_string(), facts })
    });
    let tables = log.tables.iter().map(|released| {
        Ok(proto::TablesReleased {
            facts: released.facts.canonical().map_err(not_encodable)?,
            tables: released.tables,
            first: released.first.to_string(),
            last: released.last.to_string(),
        })
    });
    let (records, tables): (Vec<_>, Vec<_>) =
        (records.collect::<Result<_, Refusal>>()?, tables.collect::<Result<_, Refusal>>()?);
    let records = records
        .chunks(RELEASES)
        .map(|part| proto::ReadPersonLogResponse { records: part.to_vec(), tables: Vec::new() });
    let tables = tables
        .chunks(RELEASES)
        .map(|part| proto::ReadPersonLogResponse { records: Vec::new(), tables: part.to_vec() });
    Ok(records.chain(tables).collect())
}

/// How many rows one message has.
const ROWS: usize = 200;

/// A person's own rows of a dataset and delivery, in as many messages as they need.
pub(in crate::wire) fn own_rows(own: OwnRows) -> Vec<proto::OwnRows> {
    let OwnRows { dataset, delivery, sender, columns, rows } = own;
    rows.chunks(ROWS)
        .map(|rows| proto::OwnRows {
            dataset: dataset.to_string(),
            delivery: delivery.to_string(),
            sender: sender.clone(),
            columns: columns.clone(),
            rows: rows.iter().map(|values| proto::OwnRow { values: values.clone() }).collect(),
        })
        .collect()
}

/// A correction, for stewards and for the sender it goes to.
pub(in crate::wire) fn correction(correction: Correction) -> proto::Correction {
    proto::Correction {
        number: correction.entry,
        delivery: correction.of.delivery.to_string(),
        sender: correction.sender,
        dataset: correction.of.dataset.to_string(),
        text: correction.text,
        asked: correction.asked.to_rfc3339_opts(SecondsFormat::Secs, true),
        record: correction.of.record,
        field: correction.of.field,
    }
}

/// A restriction.
pub(in crate::wire) const fn restriction(restriction: Restriction) -> proto::Restriction {
    match restriction {
        Restriction::ReleaseWithIdentity => proto::Restriction::ReleaseWithIdentity,
        Restriction::AllUse => proto::Restriction::AllUse,
    }
}

/// A line of the history of restrictions.
pub(in crate::wire) fn restriction_change(change: RestrictionChange) -> proto::RestrictionChange {
    proto::RestrictionChange {
        restriction: restriction(change.restriction).into(),
        active: change.active,
        at: change.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        portal: change.portal.to_string(),
    }
}
