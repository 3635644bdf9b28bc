//! Corrections as one finds them who has the gateway's database and no key, and as many as one answer takes.

use crate::authorise::fixtures::{RECIPIENT, name};
use crate::authorise::{Caller, Role};
use crate::domain::canonical::Digest;
use crate::domain::person::{Correction, CorrectionOf};
use crate::pipeline::fixtures::gateway;
use crate::store::fixtures::now;

use super::*;

const TEXT: &str = "I was not there on that day.";

fn caller(role: Role) -> Caller {
    Caller::from_certificate(name(RECIPIENT), role, "somebody".to_owned())
}

/// A request as a person makes it.
fn asked(person: u32, sender: &str) -> StoredCorrection {
    let of = CorrectionOf {
        delivery: Digest::from_bytes([2; 32]),
        dataset: name("kuhr_contact"),
        record: Some("17".to_owned()),
        field: Some("dato".to_owned()),
    };
    let portal = name("NTRNO-310000051");
    StoredCorrection {
        person: PersonNo(person),
        of,
        sender: sender.to_owned(),
        sealed: vec![],
        portal,
        asked: now(),
    }
}

async fn keep(gateway: &Gateway, asked: impl IntoIterator<Item = StoredCorrection>) {
    let mut write = gateway.store.write().await.unwrap();
    for asked in asked {
        let number = write.next_correction().await.unwrap();
        write.keep_correction(number, &gateway.sealed(number, asked, TEXT).unwrap()).await.unwrap();
    }
    write.commit().await.unwrap();
}

/// A gateway to which the caller's organisation is two senders.
async fn world(folder: &std::path::Path) -> Gateway {
    let mut gateway = gateway(folder).await;
    gateway.senders = ["Helfo", "Another"].map(|sender| (sender.to_owned(), name(RECIPIENT))).into();
    gateway
}

#[tokio::test]
async fn a_text_opens_beside_the_request_it_was_written_for_and_no_other() {
    for change in [
        "UPDATE person_corrections SET entry = 7 WHERE entry = 1",
        "UPDATE person_corrections SET person_no = 4 WHERE entry = 1",
        "UPDATE person_corrections SET delivery = REPLACE(delivery, '02', '03') WHERE entry = 1",
        "UPDATE person_corrections SET sender = 'Another' WHERE entry = 1",
        "UPDATE person_corrections SET dataset = 'kuhr_diagnosis' WHERE entry = 1",
        "UPDATE person_corrections SET record = '18' WHERE entry = 1",
        "UPDATE person_corrections SET record = NULL WHERE entry = 1",
        "UPDATE person_corrections SET record = NULL, field = '17' WHERE entry = 1",
        "UPDATE person_corrections SET field = 'kjonn' WHERE entry = 1",
        "UPDATE person_corrections SET record = field, field = record WHERE entry = 1",
        "UPDATE person_corrections SET sealed = (SELECT sealed FROM person_corrections WHERE entry = 2) WHERE entry = 1",
        "UPDATE person_corrections SET portal = 'NTRNO-310000078' WHERE entry = 1",
        "UPDATE person_corrections SET asked = '2026-11-21T08:30:00.123456Z' WHERE entry = 1",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let gateway = world(folder.path()).await;
        keep(&gateway, [asked(3, "Helfo"), asked(3, "Helfo")]).await;
        let kept = asked(3, "Helfo");
        let shown =
            Correction { entry: 1, of: kept.of, sender: kept.sender, text: TEXT.to_owned(), asked: now() };
        let (steward, sender) = (caller(Role::Steward), caller(Role::Sender));
        assert_eq!(gateway.corrections(&steward, None).await.unwrap()[0], shown);
        assert_eq!(gateway.fetch_corrections(&sender, None).await.unwrap()[0], shown);
        gateway.store.tamper(&[change]).await;
        let refused = gateway.corrections(&steward, None).await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (RefusalKind::Internal, "corrections.changed"), "{change}");
        let refused = gateway.fetch_corrections(&sender, None).await.unwrap_err();
        assert_eq!(refused.code, "corrections.changed", "{change}");
    }
}

#[tokio::test]
async fn corrections_come_a_page_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = world(folder.path()).await;
    let most = MOST_CORRECTIONS as usize;
    // Each third is another organisation's.
    let of = |number| if number % 3 == 0 { "Helsedirektoratet" } else { "Helfo" };
    keep(&gateway, (1..=2 * most as u64).map(|number| asked(3, of(number)))).await;
    let (steward, sender) = (caller(Role::Steward), caller(Role::Sender));
    let numbers = |page: Vec<Correction>| page.into_iter().map(|asked| asked.entry).collect::<Vec<_>>();
    let (mut all, mut own) = (Vec::new(), Vec::new());
    loop {
        let page = numbers(gateway.corrections(&steward, all.last().copied()).await.unwrap());
        assert!(page.len() <= most);
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    loop {
        let page = numbers(gateway.fetch_corrections(&sender, own.last().copied()).await.unwrap());
        assert!(page.len() <= most);
        if page.is_empty() {
            break;
        }
        own.extend(page);
    }
    assert!(all.iter().copied().eq(1..=2 * most as u64));
    assert!(own.into_iter().eq((1..=2 * most as u64).filter(|number| number % 3 != 0)));
}
