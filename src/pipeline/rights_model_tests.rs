//! Random actions by random callers on what a project has come to, against a model that is written another way: records that
//! wait for two stewards, results that are fetched, and persons who restrict the use of their data meanwhile.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::fixtures::gateway;
use super::*;
use crate::audit::{HeldRecord, QueryOpened, ResultReceived};
use crate::authorise::Role;
use crate::authorise::fixtures::{approval, name, query, stewards, today};
use crate::disclosure::held_records;
use crate::domain::approval::{Approval, StewardSignature, Tier};
use crate::domain::held::{HeldRefusal, ReleaseStatement};
use crate::domain::ids::PersonNo;
use crate::domain::lifecycle::Step;
use crate::domain::person::{Portal, Restriction, Ticket};
use crate::domain::words::Words;
use crate::linkage::RegisteredPerson;
use crate::store::fixtures::table as one_count;
use crate::store::{StoredResult, Submission};

const KEEPER: &str = "NTRNO-310000019";
const STRANGER: &str = "NTRNO-310000094";
/// Two portals, by the first byte of their tickets.
const PORTALS: [&str; 2] = ["NTRNO-310000051", "NTRNO-310000078"];
/// Two persons of the records, one who is in none, and one whom nobody knows.
const PERSONS: [Option<PersonNo>; 4] = [Some(PersonNo(3000)), Some(PersonNo(8001)), Some(PersonNo(1)), None];

/// Who acts: two stewards, the recipient's researcher and auditor, another's researcher, the portals, ingest.
const CALLERS: [(&str, Role, &str); 8] = [
    (KEEPER, Role::Steward, "steward-a"),
    (KEEPER, Role::Steward, "steward-b"),
    ("", Role::Researcher, "analysis"),
    ("", Role::Auditor, "auditor"),
    (STRANGER, Role::Researcher, "analysis"),
    (PORTALS[0], Role::Portal, "portal"),
    (PORTALS[1], Role::Portal, "portal"),
    (KEEPER, Role::Ingest, "ingest"),
];

#[derive(Debug, Clone, Copy)]
enum Act {
    /// With the own name, the other steward's, or on something else.
    Sign(u8),
    Refuse,
    Fetch {
        records: bool,
    },
    Suspend,
    Lift,
    Close,
    /// With a ticket of the first portal, which is fresh or the one used last.
    Restrict {
        person: usize,
        all: bool,
        active: bool,
        fresh: bool,
    },
    History {
        person: usize,
    },
    Log {
        person: usize,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let person = || 0..PERSONS.len();
    prop_oneof![
        8 => prop_oneof![6 => Just(0_u8), 1 => Just(1), 1 => Just(2)].prop_map(Act::Sign),
        1 => Just(Act::Refuse),
        8 => any::<bool>().prop_map(|records| Act::Fetch { records }),
        2 => Just(Act::Suspend),
        3 => Just(Act::Lift),
        1 => Just(Act::Close),
        7 => (person(), any::<bool>(), prop::bool::weighted(0.7), prop::bool::weighted(0.9))
            .prop_map(|(person, all, active, fresh)| Act::Restrict { person, all, active, fresh }),
        3 => person().prop_map(|person| Act::History { person }),
        1 => person().prop_map(|person| Act::Log { person }),
    ]
}

/// An act by whom it is for, mostly.
fn sequence() -> impl Strategy<Value = Vec<(usize, Act)>> {
    let one =
        (act(), prop::bool::weighted(0.85), any::<prop::sample::Index>()).prop_map(|(act, apt, who)| {
            let apt_for: &[usize] = match act {
                _ if !apt => &[0, 1, 2, 3, 4, 5, 6, 7],
                Act::Sign(_) | Act::Refuse | Act::Suspend | Act::Lift | Act::Close => &[0, 1],
                Act::Fetch { .. } => &[2],
                Act::Restrict { .. } | Act::History { .. } | Act::Log { .. } => &[5],
            };
            (apt_for[who.index(apt_for.len())], act)
        });
    let begun = prop_oneof![
        Just(vec![]),
        Just(vec![(0, Act::Sign(0))]),
        Just(vec![(1, Act::Sign(0)), (0, Act::Sign(0))])
    ];
    (begun, prop::collection::vec(one, 1..10)).prop_map(|(begun, rest)| [begun, rest].concat())
}

/// How an action ends, and what it tells: whether it changed anything, or how much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done(usize),
    Denied,
    NotNow,
}

/// What became of the records.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Records {
    #[default]
    Wait,
    SignedBy(usize),
    Out,
    Erased,
}

/// The rules, told again.
#[derive(Debug, Default)]
struct Model {
    records: Records,
    suspended: bool,
    closed: bool,
    /// Every line that persons have added: whose, of which kind, set or lifted.
    lines: Vec<(usize, bool, bool)>,
}

impl Model {
    fn restricted(&self, person: usize, all: bool) -> bool {
        let last = self.lines.iter().rfind(|line| (line.0, line.1) == (person, all));
        last.is_some_and(|line| line.2)
    }

    fn waits(&self) -> bool {
        matches!(self.records, Records::Wait | Records::SignedBy(_))
    }

    fn expect(&mut self, who: usize, act: Act) -> End {
        let (steward, portal) = (who < 2, who == 5 || who == 6);
        match act {
            // A run is nothing that others than its own organisation and stewards know of.
            Act::Sign(_) | Act::Refuse if !steward => {
                if who == 2 || who == 3 {
                    End::Denied
                } else {
                    End::NotNow
                }
            }
            Act::Fetch { .. } if who != 2 => {
                if who == 3 {
                    End::Denied
                } else {
                    End::NotNow
                }
            }
            Act::Suspend | Act::Lift | Act::Close if !steward => End::Denied,
            Act::Restrict { .. } | Act::History { .. } | Act::Log { .. } if !portal => End::Denied,

            Act::Sign(1) => End::Denied,
            Act::Sign(2) => End::NotNow,
            Act::Sign(_) => match self.records {
                Records::Wait if !self.suspended => {
                    self.records = Records::SignedBy(who);
                    End::Done(0)
                }
                Records::SignedBy(first) if first != who => {
                    if self.restricted(0, true) || self.restricted(1, true) {
                        self.records = Records::Erased;
                        End::NotNow
                    } else if self.suspended {
                        End::NotNow
                    } else {
                        self.records = Records::Out;
                        End::Done(1)
                    }
                }
                _ => End::NotNow,
            },
            Act::Refuse if self.waits() => {
                self.records = Records::Erased;
                End::Done(0)
            }
            Act::Refuse => End::NotNow,
            Act::Fetch { records } => {
                let there = !records || self.records == Records::Out;
                if there && !self.suspended && !self.closed { End::Done(0) } else { End::NotNow }
            }
            Act::Close if !self.closed => {
                self.closed = true;
                if self.waits() {
                    self.records = Records::Erased;
                }
                End::Done(0)
            }
            Act::Suspend | Act::Lift if !self.closed && self.suspended == matches!(act, Act::Lift) => {
                self.suspended = !self.suspended;
                End::Done(0)
            }
            Act::Suspend | Act::Lift | Act::Close => End::NotNow,
            // The ticket is the first portal's.
            Act::Restrict { .. } | Act::History { .. } | Act::Log { .. } if who == 6 => End::NotNow,
            Act::Restrict { fresh: false, .. } => End::NotNow,
            Act::Restrict { person, .. } if PERSONS[person].is_none() => End::NotNow,
            Act::Restrict { person, all, active, .. } => {
                let changes = self.restricted(person, all) != active;
                if changes {
                    self.lines.push((person, all, active));
                }
                End::Done(usize::from(changes))
            }
            Act::History { person } => End::Done(self.lines.iter().filter(|line| line.0 == person).count()),
            Act::Log { person } => End::Done(usize::from(person < 2 && self.records == Records::Out)),
        }
    }
}

/// An identity service that knows the persons by number, and takes a ticket once, from the portal it is of.
#[derive(Default)]
struct Desk(Mutex<HashSet<[u8; 32]>>);

fn ticket(number: u32, person: usize) -> Ticket {
    let mut bytes = [0; 32];
    bytes[0] = u8::try_from(person).unwrap();
    bytes[1..5].copy_from_slice(&number.to_be_bytes());
    Ticket::from_bytes(bytes)
}

impl TicketDesk for Desk {
    fn redeem<'a>(
        &'a self,
        portal: &'a Portal,
        ticket: &'a Ticket,
    ) -> BoxFuture<'a, Result<Option<RegisteredPerson>, Refusal>> {
        let good =
            portal.organisation.as_str() == PORTALS[0] && self.0.lock().unwrap().insert(*ticket.as_bytes());
        let person = PERSONS[usize::from(ticket.as_bytes()[0])].map(RegisteredPerson::redeemed);
        let refused = || {
            Refusal::new(RefusalKind::Precondition, "identity.ticket", "the ticket is not good".to_owned())
        };
        async move { if good { Ok(person) } else { Err(refused()) } }.boxed()
    }
}

/// An organisation number of nine digits that nobody else has here.
fn organisation(number: usize) -> Option<OrganisationId> {
    let digits = format!("9{number:07}");
    let sum: u32 =
        digits.bytes().zip([3, 2, 7, 6, 5, 4, 3, 2]).map(|(d, weight)| u32::from(d - b'0') * weight).sum();
    let check = (11 - sum % 11) % 11;
    (check < 10).then(|| name(&format!("NTRNO-{digits}{check}")))
}

/// A project in force, with a table released and records that wait.
struct Project {
    recipient: OrganisationId,
    id: ProjectId,
    table: RunId,
    records: RunId,
    statement: ReleaseStatement,
    tickets: u32,
    /// How many lines each person has had before.
    lines: Vec<usize>,
}

impl Project {
    fn caller(&self, who: usize) -> Caller {
        let (of, role, called) = CALLERS[who];
        let of = if of.is_empty() { self.recipient.clone() } else { name(of) };
        Caller::from_certificate(of, role, called.to_owned())
    }

    async fn new(gateway: &Arc<Gateway>, number: usize, recipient: OrganisationId) -> Self {
        let id: ProjectId = name(&format!("P-{number}"));
        let approval = Approval {
            project: id.clone(),
            recipients: vec![recipient.clone()],
            tier: Tier::AnonymousMicrodata,
            rule: name("records-5"),
            ..approval()
        };
        let run = |kind: u8| name::<RunId>(&format!("r-{kind:x}{number:031x}"));
        let digest = approval.digest().unwrap();
        let (table, records) = (run(1), run(2));
        let held = held_records(records.clone(), &id);
        let statement = held.statement().clone();
        let mut project = Self { recipient, id, table, records, statement, tickets: 0, lines: Vec::new() };
        let steward = project.caller(0);
        gateway.enter_project(&steward, approval.clone(), None).await.unwrap();
        gateway
            .record_step(&steward, &project.id, Step::Complete { version: 1, day: today() })
            .await
            .unwrap();
        for (who, (key, public)) in stewards().into_iter().enumerate() {
            let signature = StewardSignature::sign(&approval, public.steward, &key).unwrap();
            gateway.sign_project(&project.caller(who), project.id.clone(), digest, signature).await.unwrap();
        }
        let actor = actor(&project.caller(2));
        for (run, answer) in [(&project.table, Answer::Table), (&project.records, Answer::Microdata)] {
            let submission = Submission {
                organisation: project.recipient.clone(),
                caller: "analysis".to_owned(),
                request_id: name(&format!("q-{}", &run.as_str()[..12])),
                query: Query { project: project.id.clone(), result: answer, ..query() },
                approval_digest: digest,
            };
            let mut write = gateway.store.write().await.unwrap();
            write.submit(&submission, run.clone(), gateway.clock.now()).await.unwrap();
            write.commit().await.unwrap();
        }
        // The table is released as the audit log would, by what has to be there for it to be fetched.
        let result = one_count(&project.table);
        let (result, bytes) = (result.digest().unwrap(), result.canonical().unwrap());
        let of = |run: &RunId, event: Event| Entry {
            actor: actor.clone(),
            project: Some(project.id.clone()),
            run: Some(run.clone()),
            event,
        };
        let mut recording = gateway.audit.begin().await.unwrap();
        let received = ResultReceived { intent: 0, result };
        let receipt = recording.add(of(&project.table, received.into())).await.unwrap();
        let stored = StoredResult { digest: result, bytes, receipt };
        recording.write().store_result(&project.table, &stored).await.unwrap();
        recording.write().set_phase(&project.table, Phase::Released, None).await.unwrap();
        let opened = QueryOpened {
            query: result,
            approval: digest,
            policies: result,
            plan: result,
            rule: name("records-5"),
            min_persons: 5,
        };
        recording.commit(of(&project.table, opened.clone().into())).await.unwrap();
        let intent =
            gateway.audit.open_intent(actor.clone(), project.id.clone(), project.records.clone(), opened);
        let record = HeldRecord { snapshot: result, question: result, lapses: today() };
        gateway.audit.hold(intent.await.unwrap(), &held, record).await.unwrap();
        for person in PERSONS {
            let lines = match person {
                Some(person) => gateway.store.restrictions(person).await.unwrap().len(),
                None => 0,
            };
            project.lines.push(lines);
        }
        project
    }

    async fn done(&mut self, gateway: &Arc<Gateway>, who: usize, act: Act) -> End {
        let caller = self.caller(who);
        let words = || Words::new("for a reason").unwrap();
        let step = async |step| gateway.record_step(&caller, &self.id, step).await.map(|_| 0);
        self.tickets += u32::from(!matches!(act, Act::Restrict { fresh: false, .. }));
        let number: u32 = self.id.as_str()[2..].parse().unwrap();
        let ticket = |person| ticket(number << 8 | self.tickets, person);
        let result = match act {
            Act::Sign(with) => {
                let [a, b] = stewards();
                let (key, public) = if (who == 1) == (with == 1) { a } else { b };
                let risk = if with == 2 { self.statement.result } else { self.statement.risk };
                let statement = ReleaseStatement { risk, ..self.statement.clone() };
                let signature = statement.sign(public.steward, &key).unwrap();
                gateway.sign_held(&caller, statement, signature).await.map(usize::from)
            }
            Act::Refuse => gateway.refuse_held(&caller, &self.records, HeldRefusal::Risk).await.map(|()| 0),
            Act::Fetch { records } => {
                let run = if records { &self.records } else { &self.table };
                gateway.fetch(&caller, run, "csv", None).await.map(|_| 0)
            }
            Act::Suspend => step(Step::Suspended { reason: words() }).await,
            Act::Lift => step(Step::Lifted { reason: words() }).await,
            Act::Close => step(Step::Closed { reason: words() }).await,
            Act::Restrict { person, all, active, fresh } => {
                let restriction = if all { Restriction::AllUse } else { Restriction::ReleaseWithIdentity };
                let ticket = ticket(person);
                if !fresh {
                    // Somebody has used it before.
                    let portal = Portal { organisation: name(PORTALS[0]), name: "portal".to_owned() };
                    let _ = gateway.tickets.redeem(&portal, &ticket).await;
                }
                gateway.restrict(&caller, &ticket, restriction, active).await.map(usize::from)
            }
            Act::History { person } => gateway
                .restrictions(&caller, &ticket(person))
                .await
                .map(|changes| changes.len() - self.lines[person]),
            Act::Log { person } => gateway
                .person_log(&caller, &ticket(person))
                .await
                .map(|log| log.records.iter().filter(|released| released.facts.project == self.id).count()),
        };
        match result {
            Ok(told) => End::Done(told),
            Err(refusal) if refusal.kind == RefusalKind::Denied => End::Denied,
            Err(refusal) => {
                assert!(
                    !matches!(refusal.kind, RefusalKind::Internal | RefusalKind::Unavailable),
                    "{act:?} by {who}: {} {}",
                    refusal.code,
                    refusal.hint
                );
                End::NotNow
            }
        }
    }

    /// Leaves nothing that the next project meets: nobody is restricted, and nothing waits.
    async fn end(&mut self, gateway: &Arc<Gateway>, model: &mut Model) {
        self.done(gateway, 0, Act::Close).await;
        for (person, all) in (0..3).flat_map(|person| [(person, true), (person, false)]) {
            if model.restricted(person, all) {
                self.done(gateway, 5, Act::Restrict { person, all, active: false, fresh: true }).await;
            }
        }
    }
}

/// How often something interesting must come about, in all sequences.
const ENDS: [(&str, usize); 6] = [
    ("records released", 100),
    ("records not released for a person who is blocked", 1),
    ("records fetched", 20),
    ("a result not fetched by its own recipient", 50),
    ("a restriction set or lifted", 100),
    ("a person who sees the records in the log", 1),
];

fn reached(act: Act, who: usize, end: End, before: Records, after: Records) -> [bool; 6] {
    let changed = before != after;
    [
        changed && after == Records::Out,
        changed && after == Records::Erased && matches!((act, before), (Act::Sign(0), Records::SignedBy(_))),
        matches!((act, end), (Act::Fetch { records: true }, End::Done(_))),
        matches!((act, who, end), (Act::Fetch { .. }, 2, End::NotNow)),
        matches!((act, end), (Act::Restrict { .. }, End::Done(1))),
        matches!((act, end), (Act::Log { .. }, End::Done(1))),
    ]
}

/// Seven hundred sequences, each on records made and judged anew: each action ends as the rules say, and tells what they say.
#[test]
fn no_sequence_on_records_results_and_restrictions_diverges_from_the_rules() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // In memory where there is such a folder.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let made = runtime.block_on(gateway(folder.path()));
    let gateway = Arc::new(Gateway { tickets: Arc::new(Desk::default()), ..made });
    let (number, counts) = (AtomicUsize::new(0), ENDS.map(|_| AtomicUsize::new(0)));
    let config = ProptestConfig { cases: 700, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&sequence(), |sequence| {
            let (at, recipient) = std::iter::from_fn(|| Some(number.fetch_add(1, Ordering::Relaxed)))
                .find_map(|at| Some((at, organisation(at)?)))
                .unwrap();
            let mut model = Model::default();
            let mut project = runtime.block_on(Project::new(&gateway, at, recipient));
            for (who, act) in sequence {
                let before = model.records;
                let expected = model.expect(who, act);
                let end = runtime.block_on(project.done(&gateway, who, act));
                prop_assert_eq!(end, expected, "{:?} by {}: {:?}", act, who, model);
                let phase = runtime.block_on(gateway.store.run(&project.records)).unwrap().phase;
                prop_assert_eq!(
                    phase == Phase::Released,
                    model.records == Records::Out,
                    "{:?} by {}",
                    act,
                    who
                );
                for (count, here) in counts.iter().zip(reached(act, who, end, before, model.records)) {
                    count.fetch_add(usize::from(here), Ordering::Relaxed);
                }
            }
            runtime.block_on(project.end(&gateway, &mut model));
            Ok(())
        })
        .unwrap();
    for ((what, least), count) in ENDS.into_iter().zip(counts) {
        let count = count.into_inner();
        assert!(count >= least, "{what}: {count} times is too seldom to say something");
    }
}
