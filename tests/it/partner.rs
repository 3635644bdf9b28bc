//! Whose rows a partner sends, over the wire: by consents and opting out under the section it stands under, by its own
//! approval, and with its own journal of all that.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use kpr::app::stage::{Process, StageError, example_approval, example_query};
use kpr::config::RegisterConfig;
use kpr::domain::ids::RegisterId;
use kpr::domain::order::LinkageOrder;
use kpr::identity::LinkageKey;
use kpr::partner::{Approvals, KeySource, PeerFault};
use kpr::store::Phase;
use kpr::wire::gateway_client::ClientError;
use kpr::wire::partner_client::{GatewayChannel, IdentityChannel};
use tokio_util::sync::CancellationToken;

use crate::faults::forged;
use crate::world::{DELIVERIES, Making, World};
use crate::{attack, microdata, oracle};

/// Replaces text in a file of an installation.
fn change(world: &World, file: &str, from: &str, to: &str) {
    let path = world.stage.path(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
}

const CONSENT: &str = "[consent]\ntable = \"consent\"\nnumber = \"fnr\"\nfrom = \"valid_from\"\nto = \"valid_to\"\n\
                       withdrawn = \"withdrawn\"\nproject = \"project\"\npurpose = \"purpose\"\n";
const OPT_OUT: &str = "[opt_out]\ntable = \"opt_out\"\nnumber = \"fnr\"\nfrom = \"valid_from\"\nto = \"valid_to\"\n\
                       project = \"project\"\npurpose = \"purpose\"\n";
const NUMBERS: &str = "[numbers]\ntable = \"person_number\"\nnumber = \"fnr\"\nperson = \"person\"\n";

/// An installation whose NPR stands under another section, by the register keeper's catalogue and by its own word.
fn standing_under(section: &str, list: &str) -> World {
    let world = World::made(&Making { persons: 6000, discharge_rate: 0.5, ..Making::default() });
    let stated = format!("section = \"{section}\"");
    change(&world, "policies/registers/npr.toml", "section = \"section_11\"", &stated);
    change(&world, "npr/policy.toml", "section = \"section_11\"", &stated);
    let path = world.stage.path("npr/policy.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    // It takes no feed here, whose basis would have to be the same section.
    let (text, _) = text.split_once("\n# What the register takes a feed").unwrap();
    std::fs::write(path, format!("{text}\n{list}{NUMBERS}")).unwrap();
    world
}

/// The lines of a file of a delivery, without the header.
fn lines(world: &World, file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(world.stage.path("deliveries").join(file)).unwrap();
    text.lines().skip(1).map(|line| line.split(';').map(str::to_owned).collect()).collect()
}

/// A person with rows in NPR: the number of those rows, and another number of the same person, if there is one.
struct Patient {
    serials: Vec<String>,
    number: String,
    other: Option<String>,
}

/// The persons of NPR's delivery, and all numbers with what Folkeregisteret knows the person by.
fn patients(world: &World) -> (Vec<Patient>, Vec<(String, String)>) {
    let numbers: Vec<(String, String)> = lines(world, "folkeregisteret/identitet.csv")
        .into_iter()
        .map(|fields| (fields[1].clone(), fields[0].clone()))
        .collect();
    let person: HashMap<&str, &str> = numbers.iter().map(|(n, p)| (n.as_str(), p.as_str())).collect();
    let mut patients: BTreeMap<&str, Patient> = BTreeMap::new();
    let npr = lines(world, "npr-2024/NPR_IDE.csv");
    for fields in &npr {
        let Some(&person) = person.get(fields[1].as_str()) else { continue };
        let number = fields[1].clone();
        let other = numbers.iter().find(|(n, p)| p == person && *n != number).map(|(n, _)| n.clone());
        let patient = patients.entry(person).or_insert(Patient { serials: Vec::new(), number, other });
        patient.serials.push(fields[0].clone());
    }
    let patients = patients.into_values().collect();
    (patients, numbers)
}

/// Loads a list into NPR's database with the partner's own command.
async fn list(world: &World, kind: &str, header: &str, lines: impl IntoIterator<Item = String>) {
    let file = world.stage.path(&format!("npr/{kind}.csv"));
    let lines: Vec<String> = lines.into_iter().collect();
    std::fs::write(&file, format!("{header}\n{}\n", lines.join("\n"))).unwrap();
    let (config, arg) = (world.stage.configuration("npr"), OsStr::new);
    let arguments = [
        arg("register"),
        arg("list"),
        arg("--config"),
        config.as_os_str(),
        arg("--kind"),
        arg(kind),
        arg("--file"),
        file.as_os_str(),
    ];
    world.stage.run("npr-list", &arguments).await.unwrap();
}

/// The deliveries without the episodes of these serial numbers.
fn without(world: &World, left_out: &HashSet<&str>) -> PathBuf {
    let (all, folder) = (world.stage.path("deliveries"), world.stage.path("without"));
    std::fs::create_dir(&folder).unwrap();
    for delivery in DELIVERIES.iter().filter(|delivery| **delivery != "npr-2024") {
        std::os::unix::fs::symlink(all.join(delivery), folder.join(delivery)).unwrap();
    }
    let (from, to) = (all.join("npr-2024"), folder.join("npr-2024"));
    std::fs::create_dir(&to).unwrap();
    for file in ["delivery.toml", "NPR_IDE.csv"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let episodes = std::fs::read_to_string(from.join("EPISODE.csv")).unwrap();
    let kept = |line: &&str| !left_out.contains(line.split(';').nth(1).unwrap());
    let kept: Vec<&str> = episodes.lines().filter(kept).collect();
    std::fs::write(to.join("EPISODE.csv"), kept.join("\n") + "\n").unwrap();
    folder
}

/// That the released table is the truth over the deliveries without these persons, which is not that over all.
async fn is_without(world: &World, left_out: HashSet<&str>) {
    let (_, csv) = world.answer("request-1").await;
    let released = attack::read(&csv);
    let everybody = oracle::answer(&world.stage.path("deliveries"), 2024).await;
    let truth = oracle::answer(&without(world, &left_out), 2024).await;
    attack::attack(&released, &truth);
    let differ = truth.iter().filter(|(codes, counts)| {
        let names: Vec<&str> = codes.iter().map(String::as_str).collect();
        released.persons(&names) == Some(counts[0]) && everybody[*codes][0] != counts[0]
    });
    assert!(differ.count() > 10);
}

/// What `kpr register log` prints, if it believes the journal.
async fn journal(world: &World) -> Result<String, StageError> {
    let (config, arg) = (world.stage.configuration("npr"), OsStr::new);
    let shown = [arg("register"), arg("log"), arg("--config"), config.as_os_str()];
    world.stage.run("npr-log", &shown).await?;
    Ok(std::fs::read_to_string(world.stage.path("logs/npr-log.log")).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_of_section_9a_sends_rows_of_those_who_have_consented_and_no_others() {
    let made = standing_under("section_9a", CONSENT);
    let (patients, numbers) = patients(&made);
    let header = "fnr;project;purpose;from;to;withdrawn";
    // A node whose lists are not there does not start.
    let (config, arg) = (made.stage.configuration("npr"), OsStr::new);
    let serve = [arg("register"), arg("serve"), arg("--config"), config.as_os_str()];
    made.stage.deliver(&made.stage.path("deliveries/npr-2024")).await.unwrap();
    assert!(made.stage.run("npr-without-lists", &serve).await.is_err());

    let (mut consents, mut left_out, mut earlier) = (Vec::new(), HashSet::new(), 0);
    for (at, Patient { serials, number, other }) in patients.iter().enumerate() {
        let line = match at % 8 {
            0 => None,
            1 => Some(format!("{number};*;*;2020-01-01;;2024-05-01")),
            2 => Some(format!("{number};*;*;2020-01-01;2024-12-31;")),
            3 => Some(format!("{number};P-2020-0099;*;2020-01-01;;")),
            4 | 5 if other.is_some() => {
                earlier += 1;
                Some(format!("{};*;research;2020-01-01;;", other.as_ref().unwrap()))
            }
            _ => Some(format!("{number};{};*;2020-01-01;;", example_query().unwrap().project)),
        };
        consents.extend(line);
        if at % 8 < 4 {
            left_out.extend(serials.iter().map(String::as_str));
        }
    }
    assert!(earlier > 0, "nobody has consented under another number");
    list(&made, "consents", header, consents).await;
    let links = numbers.iter().map(|(number, person)| format!("{number};{person}"));
    list(&made, "numbers", "fnr;person", links).await;

    let mut world = made.take_in().await;
    world.approve().await;
    is_without(&world, left_out).await;

    // The journal has the whole order and what was left out, and nobody's number; what is changed in it is seen.
    let shown = journal(&world).await.unwrap();
    assert!(
        shown.contains("signed by anna and bjorn") && shown.contains("by consent or opting out"),
        "{shown}"
    );
    assert!(!shown.contains("left out: 0 by consent"), "{shown}");
    assert!(world.npr.take().unwrap().stop().await);
    let path = RegisterConfig::load(&world.stage.configuration("npr")).unwrap().journal;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(numbers.iter().all(|(number, _)| !text.contains(number)));
    std::fs::write(&path, text.replacen("section_9a", "section_11", 1)).unwrap();
    assert!(journal(&world).await.is_err());
    assert!(world.stage.run("npr-on-a-changed-journal", &serve).await.is_err());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_of_section_10_leaves_out_those_who_have_opted_out() {
    let made = standing_under("section_10", OPT_OUT);
    let (patients, numbers) = patients(&made);
    let (mut out, mut left_out) = (Vec::new(), HashSet::new());
    for (at, Patient { serials, number, other }) in patients.iter().enumerate() {
        match at % 6 {
            0 => out.push(format!("{};*;*;;", other.as_ref().unwrap_or(number))),
            1 => out.push(format!("{number};{};*;2020-01-01;", example_query().unwrap().project)),
            // Over, and about another purpose: neither leaves anybody out.
            2 => out.push(format!("{number};*;*;2020-01-01;2021-01-01")),
            3 => out.push(format!("{number};*;planning;;")),
            _ => {}
        }
        if at % 6 < 2 {
            left_out.extend(serials.iter().map(String::as_str));
        }
    }
    list(&made, "opt-outs", "fnr;project;purpose;from;to", out).await;
    let links = numbers.iter().map(|(number, person)| format!("{number};{person}"));
    list(&made, "numbers", "fnr;person", links).await;
    let world = made.take_in().await;
    world.approve().await;
    is_without(&world, left_out).await;
    world.end().await;
}

/// Withdraws the partner's approval while it fetches the key: after the order was accepted, before a row is sent.
struct Withdrawing {
    keys: IdentityChannel,
    database: String,
}

impl KeySource for Withdrawing {
    fn linkage_key<'a>(&'a self, order: &'a LinkageOrder) -> BoxFuture<'a, Result<LinkageKey, PeerFault>> {
        Box::pin(async move {
            let key = self.keys.linkage_key(order).await?;
            let mut approvals = Approvals::open(&self.database).await.unwrap();
            approvals.withdraw(&order.approval.approval.project, order.issued).await.unwrap();
            Ok(key)
        })
    }
}

/// A run that ends because the partner refuses with this code.
async fn refused(world: &World, request: &str, code: &str) {
    let run = world.submit(request, &example_query().unwrap()).await.unwrap();
    let end = world.end_of(&run).await;
    assert_eq!(
        (end.phase, end.code.as_str()),
        (Phase::Refused, "linkage.declined_by_policy"),
        "{}",
        end.hint
    );
    assert!(end.hint.contains(code), "{}", end.hint);
}

/// A register's description with nothing but an index date.
fn describe(folder: &Path, register: &str, section: &str) {
    let text = format!(
        "register = \"{register}\"\nlabel = \"x\"\nparagraph = \"x\"\nsection = \"{section}\"\nsource = \"partner\"\n\
         [[dataset]]\nid = \"episode\"\nlabel = \"x\"\n[[dataset.variable]]\nid = \"utdato\"\nlabel = \"x\"\n\
         kind = \"date\"\nrole = \"quasi\"\n"
    );
    std::fs::write(folder.join(format!("{register}.toml")), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_partner_approves_for_itself_and_pseudonymous_registers_are_refused_by_name() {
    let made = World::made(&Making { persons: 1500, discharge_rate: 0.3, ..Making::default() });
    let registers = made.stage.path("policies/registers");
    for (register, section) in [("SSB-PSEUDONYMOUS", "section_9b"), ("IPLOS-2006-2016", "historic_iplos")] {
        describe(&registers, register, section);
    }
    let mut world = made.take_in().await;
    let approval = example_approval().unwrap();
    world.sign_this(&approval).await;
    refused(&world, "not-approved", "policy.not_approved").await;
    world.stage.partner_approves(&approval).await.unwrap();

    // Withdrawn in the middle: the run ends, and there is nothing to fetch.
    assert!(world.npr.take().unwrap().stop().await);
    let (config, files) =
        (RegisterConfig::load(&world.stage.configuration("npr")).unwrap(), world.stage.tls("npr"));
    let gateway = GatewayChannel::new(config.register.clone(), &config.gateway, &files).unwrap();
    let keys = Withdrawing { keys: forged::keys(&world), database: config.database.clone() };
    let journal = world.stage.path("npr/withdrawn.jsonl");
    let node = forged::node(&world, Arc::new(gateway), Arc::new(keys), &journal).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(node.run(stop.clone()));
    refused(&world, "withdrawn", "policy.approval_withdrawn").await;
    stop.cancel();
    running.await.unwrap();
    let told = std::fs::read_to_string(journal).unwrap();
    assert!(told.contains("policy.approval_withdrawn") && !told.contains("\"sent\""), "{told}");

    // It stays withdrawn for the partner's own node, until the partner approves again.
    world.npr = Some(world.stage.start(Process::Npr).await.unwrap());
    refused(&world, "still-withdrawn", "policy.approval_withdrawn").await;
    world.stage.partner_approves(&approval).await.unwrap();
    world.answer("approved-again").await;
    world.stage.partner_withdraws(&approval.project).await.unwrap();
    refused(&world, "withdrawn-again", "policy.approval_withdrawn").await;

    // Pseudonymous registers are refused before anything else is asked about them.
    let anonymous = microdata::approval();
    world.sign_this(&anonymous).await;
    let researcher = world.client("researcher").await;
    for (number, (mut query, register, code)) in (1..).zip([
        (example_query().unwrap(), "SSB-PSEUDONYMOUS", "policy.blind_linkage"),
        (example_query().unwrap(), "IPLOS-2006-2016", "policy.blind_linkage"),
        (microdata::question(), "SSB-PSEUDONYMOUS", "policy.blind_linkage"),
        (microdata::question(), "IPLOS-2006-2016", "policy.statistics_only"),
    ]) {
        query.cohort.register = RegisterId::new(register).unwrap();
        let checked = researcher.check(&query).await.unwrap_err();
        let submitted = world.submit(&format!("pseudonymous-{number}"), &query).await.unwrap_err();
        for error in [checked, submitted] {
            let ClientError::Refused(refusal) = error else { panic!("{error}") };
            assert_eq!(refusal.code, code);
            assert!(refusal.hint.contains(register), "{}", refusal.hint);
        }
    }
    world.end().await;
}
