//! Persons whom a portal has authenticated: tickets, and the record of look-ups.

use sqlx::{Connection, SqliteConnection};
use tempfile::tempdir;

use super::*;
use crate::domain::person::{Portal, Ticket};

fn portal(name: &str) -> Portal {
    Portal { organisation: OrganisationId::new("NTRNO-310000051").unwrap(), name: name.to_owned() }
}

fn fnr(n: usize) -> Fnr {
    Fnr::parse(number(n).as_bytes()).unwrap()
}

#[tokio::test]
async fn a_ticket_leads_to_its_person_and_each_look_up_is_shown_to_that_person_alone() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    resolve(&service, Layout::Serial, &serial_lines(&numbers(0..3)), true).await;
    let ticket = async |n| service.open_ticket(portal("a"), fnr(n)).await.unwrap();
    let first = ticket(0).await;
    let (second, nobody) = (ticket(1).await, ticket(9).await);
    assert_eq!(service.redeem(&portal("a"), &first).unwrap(), Some(PersonNo(0)));
    assert_eq!(service.redeem(&portal("a"), &nobody).unwrap(), None);
    // Used, another portal's, made up.
    for (of, ticket) in [("a", &first), ("b", &second), ("a", &Ticket::from_bytes([0; 32]))] {
        assert!(matches!(service.redeem(&portal(of), ticket), Err(IdentityError::Ticket)));
        assert!(matches!(service.uses(&portal(of), ticket).await, Err(IdentityError::Ticket)));
    }

    let looked_up = async |n| {
        let uses = service.uses(&portal("a"), &ticket(n).await).await.unwrap();
        assert!(uses.derivations.is_empty());
        assert!(uses.look_ups.iter().all(|l| l.organisation == portal("a").organisation && l.at == now()));
        uses.look_ups.len()
    };
    assert_eq!((looked_up(0).await, looked_up(0).await, looked_up(1).await), (2, 3, 2));
    assert_eq!(looked_up(9).await, 0);
}

#[tokio::test]
async fn everybody_is_shown_the_runs_in_which_codes_were_derived() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    resolve(&service, Layout::Serial, &serial_lines(&numbers(0..3)), true).await;
    for run in [1, 2] {
        let order = order("P-1", run);
        let code = service.issue_key(&npr(), &order).await.unwrap().code(&fnr(0));
        let accepted = service.accept(order).await.unwrap();
        service.map_codes(&accepted, vec![code], None).await.unwrap();
    }
    // A key was given for this one, and no code has been derived.
    service.issue_key(&npr(), &order("P-2", 3)).await.unwrap();
    for n in [0, 1, 9] {
        let ticket = service.open_ticket(portal("a"), fnr(n)).await.unwrap();
        let uses = service.uses(&portal("a"), &ticket).await.unwrap();
        let [derived] = uses.derivations.as_slice() else { panic!("{uses:?}") };
        assert_eq!((derived.project.as_str(), &derived.register, derived.runs), ("P-1", &npr(), 2));
        assert_eq!((derived.first, derived.last), (now().date_naive(), now().date_naive()));
    }
}

#[tokio::test]
async fn a_vault_of_the_second_schema_gets_the_record() {
    let dir = tempdir().unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    resolve(&service, Layout::Serial, &serial_lines(&numbers(0..3)), true).await;
    drop(service);
    let url = format!("sqlite://{}", dir.path().join("vault.db").display());
    let mut vault = SqliteConnection::connect(&url).await.unwrap();
    for sql in [
        "DROP TABLE look_up",
        "DROP TABLE key_event",
        "DROP TABLE resolution",
        "DROP TABLE resolution_person",
        "PRAGMA user_version = 2",
    ] {
        sqlx::query(sql).execute(&mut vault).await.unwrap();
    }
    vault.close().await.unwrap();
    let service = open(dir.path(), &[1]).await.unwrap();
    let ticket = service.open_ticket(portal("a"), fnr(2)).await.unwrap();
    assert_eq!(service.redeem(&portal("a"), &ticket).unwrap(), Some(PersonNo(2)));
}
