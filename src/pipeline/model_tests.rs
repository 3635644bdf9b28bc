//! Random actions of random callers against a model of the rules that is written another way, and actions that are cut
//! off at any moment.

use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::fixtures::gateway;
use super::*;
use crate::audit::Leaf;
use crate::audit::note::NoteSigner;
use crate::authorise::Role;
use crate::authorise::fixtures::{RECIPIENT, approval, name, query, stewards, today};
use crate::domain::approval::{Approval, Purpose, StewardSignature};
use crate::domain::lifecycle::{Standing, Step};
use crate::domain::words::Words;

/// Who acts: two stewards, the recipient's researcher, another's, and everybody else.
const CALLERS: [(&str, Role, &str); 8] = [
    (RECIPIENT, Role::Steward, "steward-a"),
    (RECIPIENT, Role::Steward, "steward-b"),
    (RECIPIENT, Role::Researcher, "analysis"),
    ("NTRNO-974652277", Role::Researcher, "analysis"),
    (RECIPIENT, Role::Auditor, "auditor"),
    (RECIPIENT, Role::Consumer, "consumer"),
    (RECIPIENT, Role::Partner, "NPR"),
    (RECIPIENT, Role::Ingest, "ingest"),
];

fn caller(who: usize) -> Caller {
    let (organisation, role, called) = CALLERS[who];
    Caller::from_certificate(name(organisation), role, called.to_owned())
}

/// What is done, to versions counted from the newest.
#[derive(Debug, Clone, Copy)]
enum Act {
    Enter {
        ahead: u32,
        prohibited: bool,
    },
    Incomplete(u32),
    Complete(u32),
    Preliminary(u32),
    Reject(u32),
    Withdraw(u32),
    /// With the own signature, the other steward's, or one on something else.
    Sign {
        back: u32,
        with: u8,
    },
    Suspend,
    Lift,
    Close,
    /// The question of the example, or one beyond the approval.
    Ask {
        beyond: bool,
        submit: bool,
    },
    Read,
    Cost,
}

fn act() -> impl Strategy<Value = Act> {
    let back = || prop_oneof![6 => Just(0_u32), 1 => Just(1)];
    prop_oneof![
        5 => (prop_oneof![5 => Just(1_u32), 1 => Just(0), 1 => Just(2)], prop::bool::weighted(0.1))
            .prop_map(|(ahead, prohibited)| Act::Enter { ahead, prohibited }),
        1 => back().prop_map(Act::Incomplete),
        5 => back().prop_map(Act::Complete),
        1 => back().prop_map(Act::Preliminary),
        1 => back().prop_map(Act::Reject),
        1 => back().prop_map(Act::Withdraw),
        9 => (back(), prop_oneof![8 => Just(0_u8), 1 => Just(1), 1 => Just(2)])
            .prop_map(|(back, with)| Act::Sign { back, with }),
        2 => Just(Act::Suspend),
        2 => Just(Act::Lift),
        1 => Just(Act::Close),
        10 => (prop::bool::weighted(0.3), any::<bool>()).prop_map(|(beyond, submit)| Act::Ask { beyond, submit }),
        2 => Just(Act::Read),
        1 => Just(Act::Cost),
    ]
}

fn sequence(long: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(usize, Act)>> {
    // Stewards act most.
    let who = prop_oneof![5 => 0..2_usize, 2 => Just(2), 1 => 3..CALLERS.len()];
    // Half of the projects are brought into force first.
    let signed = |who| (who, Act::Sign { back: 0, with: 0 });
    let entered = (0, Act::Enter { ahead: 1, prohibited: false });
    let begun =
        prop_oneof![Just(Vec::new()), Just(vec![entered, (0, Act::Complete(0)), signed(0), signed(1)])];
    (begun, prop::collection::vec((who, act()), long)).prop_map(|(begun, rest)| [begun, rest].concat())
}

/// How an action ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    /// By the policies, or because it was done in another's name.
    Denied,
    /// For what the project is, or is not.
    NotNow,
}

/// The rules, told again: where each version is, in one letter, and whether the project is stopped.
///
/// `r` received, `i` incomplete, `c` complete, `a` and `b` signed by one of the two, `F` in force, `x` anything over.
#[derive(Debug, Default)]
struct Model {
    versions: Vec<char>,
    /// Which of the two has signed which version.
    signed: Vec<(usize, usize)>,
    suspended: bool,
    closed: bool,
}

impl Model {
    fn at(&mut self, back: u32) -> Option<&mut char> {
        let index = self.versions.len().checked_sub(1 + back as usize)?;
        self.versions.get_mut(index)
    }

    fn in_force(&self) -> Option<usize> {
        self.versions.iter().position(|&version| version == 'F')
    }

    fn standing(&self) -> Standing {
        match self {
            _ if self.closed => Standing::Closed,
            _ if self.suspended => Standing::Suspended,
            _ if self.in_force().is_some() => Standing::Active,
            _ if self.versions.iter().any(|version| "ricab".contains(*version)) => Standing::Application,
            _ => Standing::Ended,
        }
    }

    /// What the rules say of an action, with what it changes.
    fn expect(&mut self, who: usize, act: Act) -> End {
        let steward = who < 2;
        let closed = self.closed;
        let known = !self.versions.is_empty();
        let moved = |version: Option<&mut char>, from: &str, to: char| match version {
            None => End::NotNow,
            Some(_) if !steward => End::Denied,
            Some(at) if closed || !from.contains(*at) => End::NotNow,
            Some(at) => {
                if to != '=' {
                    *at = to;
                }
                End::Done
            }
        };
        match act {
            Act::Enter { .. } if !steward => End::Denied,
            Act::Enter { prohibited: true, .. } => End::Denied,
            // The same again, if it is there.
            Act::Enter { ahead: 0, .. } if known => End::Done,
            Act::Enter { ahead, .. } => {
                let open = self.versions.last().is_some_and(|last| "ricab".contains(*last));
                if closed || open || ahead != 1 {
                    return End::NotNow;
                }
                self.versions.push('r');
                End::Done
            }
            Act::Incomplete(back) => moved(self.at(back), "ri", 'i'),
            Act::Complete(back) => moved(self.at(back), "ri", 'c'),
            Act::Preliminary(back) => moved(self.at(back), "cab", '='),
            Act::Reject(back) | Act::Withdraw(back) => moved(self.at(back), "ricab", 'x'),
            Act::Sign { back, with } => {
                let own = if who == 0 { 'a' } else { 'b' };
                let index = self.versions.len().wrapping_sub(1 + back as usize);
                let Some(at) = self.versions.get_mut(index) else { return End::NotNow };
                match (steward, with) {
                    (false, _) | (true, 1) => return End::Denied,
                    (true, 2) => return End::NotNow,
                    _ => {}
                }
                match *at {
                    'c' if !closed => *at = own,
                    'a' | 'b' if !closed && *at != own => {
                        *at = '!';
                        let of = |version: char| match version {
                            'F' => 'X',
                            '!' => 'F',
                            other => other,
                        };
                        self.versions.iter_mut().for_each(|version| *version = of(*version));
                    }
                    // The same signature again changes nothing, whatever became of the version.
                    _ if self.signed.contains(&(index, who)) => return End::Done,
                    _ => return End::NotNow,
                }
                self.signed.push((index, who));
                End::Done
            }
            Act::Suspend | Act::Lift | Act::Close if !known => End::NotNow,
            Act::Suspend | Act::Lift | Act::Close if !steward => End::Denied,
            _ if closed && matches!(act, Act::Suspend | Act::Lift | Act::Close) => End::NotNow,
            Act::Suspend if self.in_force().is_none() || self.suspended => End::NotNow,
            Act::Suspend => {
                self.suspended = true;
                End::Done
            }
            Act::Lift if !self.suspended => End::NotNow,
            Act::Lift => {
                self.suspended = false;
                End::Done
            }
            Act::Close => {
                self.closed = true;
                End::Done
            }
            Act::Ask { .. } if self.in_force().is_none() => End::NotNow,
            Act::Ask { .. } if who != 2 => End::Denied,
            Act::Ask { .. } if self.suspended || closed => End::NotNow,
            Act::Ask { beyond: true, .. } => End::NotNow,
            Act::Ask { .. } => End::Done,
            // Who may not see a project is not told whether there is one.
            Act::Read if !known || who == 3 => End::NotNow,
            Act::Read => {
                if who <= 4 {
                    End::Done
                } else {
                    End::Denied
                }
            }
            Act::Cost if !known => End::NotNow,
            Act::Cost => {
                if steward {
                    End::Done
                } else {
                    End::Denied
                }
            }
        }
    }
}

fn words() -> Words {
    Words::new("for a reason").unwrap()
}

/// The approval of a project in one of its versions.
fn version(project: &ProjectId, version: u32) -> Approval {
    Approval { project: project.clone(), version, ..approval() }
}

async fn done(gateway: &Arc<Gateway>, project: &ProjectId, newest: u32, who: usize, act: Act) -> End {
    let caller = caller(who);
    // A version that is not there is another that nobody entered.
    let back = |back: u32| newest.checked_sub(back).filter(|version| *version > 0).unwrap_or(99);
    let step = async |step: Step| gateway.record_step(&caller, project, step).await.map(drop);
    let result = match act {
        Act::Enter { ahead, prohibited } => {
            let purpose = if prohibited { Purpose::Insurance } else { approval().purpose };
            let entered = Approval { purpose, ..version(project, newest + ahead) };
            gateway.enter_project(&caller, entered, None).await.map(drop)
        }
        Act::Incomplete(b) => step(Step::Incomplete { version: back(b), missing: words() }).await,
        Act::Complete(b) => step(Step::Complete { version: back(b), day: today() }).await,
        Act::Preliminary(b) => {
            step(Step::Preliminary { version: back(b), reason: words(), likely: today() }).await
        }
        Act::Reject(b) => step(Step::Rejected { version: back(b), reason: words() }).await,
        Act::Withdraw(b) => step(Step::Withdrawn { version: back(b), reason: words() }).await,
        Act::Sign { back: b, with } => {
            let signed = version(project, back(b));
            let [(first, a), (second, b)] = stewards();
            let own = if who == 1 { (&second, b.steward) } else { (&first, a.steward) };
            let other = if who == 1 { (&first, name("steward-a")) } else { (&second, name("steward-b")) };
            let (key, steward) = if with == 1 { other } else { own };
            let on = if with == 2 {
                Approval { title: "Another".to_owned(), ..signed.clone() }
            } else {
                signed.clone()
            };
            let signature = StewardSignature::sign(&on, steward, key).unwrap();
            let digest = signed.digest().unwrap();
            gateway.sign_project(&caller, project.clone(), digest, signature).await.map(drop)
        }
        Act::Suspend => step(Step::Suspended { reason: words() }).await,
        Act::Lift => step(Step::Lifted { reason: words() }).await,
        Act::Close => step(Step::Closed { reason: words() }).await,
        Act::Ask { beyond, submit } => {
            let mut asked = Query { project: project.clone(), ..query() };
            if beyond {
                asked.cohort.conditions.clear();
            }
            let answer = if submit {
                gateway.submit(&caller, name("request-1"), asked).await.map(drop)
            } else {
                gateway.check(&caller, asked).await.map(drop)
            };
            match answer {
                // Approved: there are no data, which is found out next.
                Err(refusal) if refusal.code == "register.empty" => Ok(()),
                answer => answer,
            }
        }
        Act::Read => gateway.project(&caller, project).await.map(drop),
        Act::Cost => gateway.cost(&caller, project).await.map(drop),
    };
    match result {
        Ok(()) => End::Done,
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

/// In memory where there is such a folder: tens of thousands of commits would wait for a disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Ten thousand sequences: each action ends as the rules say, and leaves the project as they say.
#[test]
fn no_sequence_of_actions_diverges_from_the_rules() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = folder();
    let gateway = Arc::new(runtime.block_on(gateway(folder.path())));
    let (number, answered) = (AtomicU64::new(0), AtomicU64::new(0));
    let config = ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&sequence(1..10), |sequence| {
            let project: ProjectId = name(&format!("P-{:09}", number.fetch_add(1, Ordering::Relaxed)));
            let mut model = Model::default();
            for (who, act) in sequence {
                let newest = u32::try_from(model.versions.len()).unwrap();
                let expected = model.expect(who, act);
                let end = runtime.block_on(done(&gateway, &project, newest, who, act));
                prop_assert_eq!(end, expected, "{:?} by {}: {:?}", act, who, model);
                answered.fetch_add(
                    u64::from(matches!((act, end), (Act::Ask { .. }, End::Done))),
                    Ordering::Relaxed,
                );
                if model.versions.is_empty() {
                    continue;
                }
                let state = runtime.block_on(gateway.project(&caller(0), &project)).unwrap();
                prop_assert_eq!(state.standing, model.standing(), "{:?} by {}", act, who);
                let in_force = model.in_force().map(|index| u32::try_from(index + 1).unwrap());
                prop_assert_eq!(state.in_force, in_force);
            }
            Ok(())
        })
        .unwrap();
    assert!(answered.into_inner() > 500, "questions are approved often enough to say something");
}

/// How many leaves the log has. Waits for a commit that is under way.
async fn size(gateway: &Gateway) -> u64 {
    gateway.store.write().await.unwrap().audit_head().await.unwrap().size
}

/// Leaves of the log that say that something was done to a project, not that it was refused.
async fn done_in_log(gateway: &Gateway, project: &ProjectId, from: u64) -> usize {
    let leaves = gateway.audit.entries(from, 1000).await.unwrap();
    let leaves = leaves.iter().map(|entry| Leaf::from_canonical(&entry.leaf).unwrap());
    leaves.filter(|leaf| leaf.project.as_ref() == Some(project) && STEPS.contains(&leaf.kind)).count()
}

/// The types of the leaves that stand for a step: a signature, and what `pipeline::lifecycle` records.
const STEPS: [u16; 9] = [4, 20, 21, 22, 23, 24, 25, 26, 27];

/// Actions dropped after any number of polls: whatever is on disk, history and log tell the same, and the log holds.
#[test]
fn actions_that_are_cut_off_leave_log_and_state_agreeing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = folder();
    let gateway = Arc::new(runtime.block_on(gateway(folder.path())));
    let number = AtomicU64::new(0);
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    let cut = prop::collection::vec(0..40_u32, 12);
    TestRunner::new(config)
        .run(&(sequence(4..12), cut), |(sequence, cuts)| {
            let project: ProjectId = name(&format!("P-{:09}", number.fetch_add(1, Ordering::Relaxed)));
            let from = runtime.block_on(size(&gateway));
            for ((who, act), polls) in sequence.into_iter().zip(cuts) {
                runtime.block_on(async {
                    let newest = gateway.store.project(&project).await.unwrap().len();
                    let newest = u32::try_from(newest).unwrap();
                    let mut action = std::pin::pin!(done(&gateway, &project, newest, who, act));
                    for _ in 0..polls {
                        if futures::poll!(&mut action).is_ready() {
                            break;
                        }
                        tokio::task::yield_now().await;
                        tokio::time::sleep(std::time::Duration::from_micros(50)).await;
                    }
                });
            }
            runtime.block_on(size(&gateway));
            let steps = runtime.block_on(gateway.store.history(&project)).unwrap().len();
            prop_assert_eq!(runtime.block_on(done_in_log(&gateway, &project, from)), steps);
            Ok(())
        })
        .unwrap();
    // The log can be opened again: every leaf belongs to the last checkpoint.
    let signer = NoteSigner::new("kpr.example/audit", SigningKey::from_bytes(&[7; 32])).unwrap();
    let (clock, entropy) = (Arc::clone(&gateway.clock), Arc::clone(&gateway.entropy));
    runtime.block_on(AuditLog::open(gateway.store.clone(), signer, clock, entropy)).unwrap();
}
