//! The overview of disclosures, and what is told to and by registered persons.

use chrono::{DateTime, Utc};

use super::{FieldError, date, digest, id};
use crate::domain::canonical::Canonical;
use crate::domain::overview::{Disclosure, DisclosureFacts, TablesReleased};
use crate::domain::person::{
    Correction, CorrectionOf, Derivations, IdentityUses, LookUp, OwnRows, PersonLog, RecordsReleased,
    Restriction, RestrictionChange, Ticket,
};
use crate::wire::proto;

fn facts(bytes: &[u8]) -> Result<DisclosureFacts, FieldError> {
    DisclosureFacts::from_canonical(bytes).map_err(|rule| FieldError::new("facts", rule))
}

/// A release in the overview, as the gateway answers.
pub(in crate::wire) fn disclosure(message: proto::Disclosure) -> Result<Disclosure, FieldError> {
    let persons = Some(message.persons_digest).filter(|text| !text.is_empty());
    Ok(Disclosure {
        receipt: message.receipt,
        run: id("run", message.run)?,
        day: date("day", &message.day)?,
        facts: facts(&message.facts)?,
        persons: persons.map(|text| digest("persons_digest", &text)).transpose()?,
    })
}

/// A portal's ticket.
pub(in crate::wire) fn ticket(bytes: &[u8]) -> Result<Ticket, FieldError> {
    let bytes = bytes.try_into().map_err(|_| FieldError::new("ticket", "must have 32 bytes"))?;
    Ok(Ticket::from_bytes(bytes))
}

/// A time as RFC 3339 writes it.
fn time(path: &str, text: &str) -> Result<DateTime<Utc>, FieldError> {
    let time = DateTime::parse_from_rfc3339(text)
        .map_err(|_| FieldError::new(path, "must be a time as RFC 3339 writes it"))?;
    Ok(time.with_timezone(&Utc))
}

/// A part of a person's log, added to what came before.
pub(in crate::wire) fn person_log(
    log: &mut PersonLog,
    part: proto::ReadPersonLogResponse,
) -> Result<(), FieldError> {
    for released in part.records {
        let (day, facts) = (date("day", &released.day)?, facts(&released.facts)?);
        log.records.push(RecordsReleased { day, facts });
    }
    for released in part.tables {
        log.tables.push(TablesReleased {
            facts: facts(&released.facts)?,
            tables: released.tables,
            first: date("first", &released.first)?,
            last: date("last", &released.last)?,
        });
    }
    Ok(())
}

/// How an identity number was used, as the identity service answers.
pub(in crate::wire) fn identity_uses(message: proto::ReadUsesResponse) -> Result<IdentityUses, FieldError> {
    let look_up = |used: proto::LookUp| {
        Ok(LookUp { at: time("at", &used.at)?, organisation: id("organisation", used.organisation)? })
    };
    let derivations = |derived: proto::Derivations| {
        Ok(Derivations {
            project: id("project", derived.project)?,
            register: id("register", derived.register)?,
            runs: derived.runs,
            first: date("first", &derived.first)?,
            last: date("last", &derived.last)?,
        })
    };
    Ok(IdentityUses {
        look_ups: message.look_ups.into_iter().map(look_up).collect::<Result<_, FieldError>>()?,
        derivations: message.derivations.into_iter().map(derivations).collect::<Result<_, FieldError>>()?,
    })
}

/// A restriction.
pub(in crate::wire) fn restriction(
    path: &str,
    restriction: proto::Restriction,
) -> Result<Restriction, FieldError> {
    match restriction {
        proto::Restriction::ReleaseWithIdentity => Ok(Restriction::ReleaseWithIdentity),
        proto::Restriction::AllUse => Ok(Restriction::AllUse),
        proto::Restriction::Unspecified => {
            Err(FieldError::new(path, "must be release_with_identity or all_use"))
        }
    }
}

/// A line of the history of restrictions, as the gateway answers.
pub(in crate::wire) fn restriction_change(
    message: proto::RestrictionChange,
) -> Result<RestrictionChange, FieldError> {
    Ok(RestrictionChange {
        restriction: restriction("restriction", message.restriction())?,
        active: message.active,
        at: time("at", &message.at)?,
        portal: id("portal", message.portal)?,
    })
}

/// A correction, as the gateway answers.
pub(in crate::wire) fn correction(message: proto::Correction) -> Result<Correction, FieldError> {
    Ok(Correction {
        entry: message.number,
        of: CorrectionOf {
            delivery: digest("delivery", &message.delivery)?,
            dataset: id("dataset", message.dataset)?,
            record: message.record,
            field: message.field,
        },
        sender: message.sender,
        text: message.text,
        asked: time("asked", &message.asked)?,
    })
}

/// A part of a person's own rows, added to what came before.
pub(in crate::wire) fn own_rows(all: &mut Vec<OwnRows>, part: proto::OwnRows) -> Result<(), FieldError> {
    let (dataset, delivery) = (id("dataset", part.dataset)?, digest("delivery", &part.delivery)?);
    let rows: Vec<Vec<String>> = part.rows.into_iter().map(|row| row.values).collect();
    if rows.iter().any(|row| row.len() != part.columns.len()) {
        return Err(FieldError::new("rows", "must have a value for each column"));
    }
    match all.last_mut() {
        Some(last) if last.dataset == dataset && last.delivery == delivery => last.rows.extend(rows),
        _ => all.push(OwnRows { dataset, delivery, sender: part.sender, columns: part.columns, rows }),
    }
    Ok(())
}
