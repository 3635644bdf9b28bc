//! The release ledger at national size: what it holds in memory and how long a decision takes.
//!
//! `cargo bench --bench ledger [-- --persons 5500000 --releases 10000 --organisations 100 --published 15
//! --questions 60 --size 20000]`
//!
//! Synthetic persons have a sex, an age group, a municipality, and a frailty by which they fall ill. A
//! release counts the persons with a condition in a period, by one of a few divisions that many share, with
//! all margins. Each is judged beside the other tables of its own cohort as it is entered; the questions
//! are judged beside everything their organisation knows, some as publications beside every organisation's
//! knowledge, and some as if all releases had gone to one organisation. Times are those on one core, as Linux counts
//! them in steps of a few milliseconds.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark stops at the first fault")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use comfy_table::Table;
use kpr::disclosure::ledger::{
    Judgement, KnowledgeSet, Membership, MembershipBuilder, Proposal, Release, judge,
};
use kpr::domain::ids::PersonNo;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const LEAST: u32 = 5;
const CONDITIONS: u64 = 120;
const YEARS: u64 = 10;
const COUNTIES: u32 = 15;
const MUNICIPALITIES: u32 = 357;

struct Options {
    persons: u32,
    releases: usize,
    organisations: u64,
    published: u64,
    questions: usize,
    size: u64,
}

impl Options {
    fn read() -> Self {
        let words: Vec<String> = std::env::args().collect();
        let number = |name: &str, default: u64| {
            let at = words.iter().position(|word| word == name);
            at.map_or(default, |at| words[at + 1].parse().unwrap())
        };
        Self {
            persons: number("--persons", 5_500_000) as u32,
            releases: number("--releases", 10_000) as usize,
            organisations: number("--organisations", 100),
            published: number("--published", 15),
            questions: number("--questions", 60) as usize,
            size: number("--size", 20_000),
        }
    }
}

/// A well mixed number for a key.
fn mixed(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn below(rng: &mut ChaCha8Rng, most: u64) -> u64 {
    rng.next_u64() % most
}

/// More often a low number: twice as many of 0..1 as of 1..3, and so on.
fn skewed(rng: &mut ChaCha8Rng, most: u64) -> u64 {
    let x = below(rng, 1 << 20) as f64 / (1_u64 << 20) as f64;
    ((most as f64 + 1.0).powf(x) - 1.0) as u64
}

struct Country {
    persons: u32,
    size: u64,
    /// Each person as often as the person is frail: most once or not at all, some up to twelve times.
    tickets: Vec<u32>,
}

impl Country {
    fn new(persons: u32, size: u64) -> Self {
        let tickets = (0..persons).flat_map(|person| {
            let draw = mixed(u64::from(person) ^ 0xF00D) % 100;
            let times = match draw {
                0..40 => 1,
                40..70 => 2,
                70..85 => 4,
                85..95 => 7,
                _ => 12,
            };
            std::iter::repeat_n(person, times)
        });
        Self { persons, size, tickets: tickets.collect() }
    }

    fn sex(person: u32) -> u32 {
        (mixed(u64::from(person) ^ 1) % 2) as u32
    }

    fn age(person: u32) -> u32 {
        (mixed(u64::from(person) ^ 2) % 100 / 10) as u32
    }

    /// Large municipalities and small ones, as they are.
    fn municipality(person: u32) -> u32 {
        let x = (mixed(u64::from(person) ^ 3) % 1_000_000) as f64 / 1_000_000.0;
        (x * x * x * f64::from(MUNICIPALITIES)) as u32
    }

    fn draw(&self, rng: &mut ChaCha8Rng, many: u64) -> Vec<u32> {
        let mut persons: Vec<u32> =
            (0..many).map(|_| self.tickets[below(rng, self.tickets.len() as u64) as usize]).collect();
        persons.sort_unstable();
        persons.dedup();
        persons
    }

    /// The persons with a condition in a year. Even conditions are chronic: most of last year's persons are
    /// there again.
    fn cohort(&self, condition: u64, year: u64) -> Vec<u32> {
        let many = self.size * 3 / (1 + condition % 7).min(6);
        if condition.is_multiple_of(2) {
            let mut all = self.draw(&mut ChaCha8Rng::seed_from_u64(condition), many * 3 / 2);
            all.retain(|&person| {
                let onset = mixed(u64::from(person) ^ condition << 40) % (YEARS + 6);
                let seen = mixed(u64::from(person) ^ condition << 40 ^ (year + 1) << 50) % 100;
                onset <= year + 4 && seen < 80
            });
            all
        } else {
            self.draw(&mut ChaCha8Rng::seed_from_u64(condition << 8 | year), many)
        }
    }
}

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Counted {
    Everyone,
    Year(u64, u64),
    /// Two years together.
    Period(u64, u64),
    /// The condition with one rare code more.
    WithCode(u64, u64, u64),
}

/// By what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Division {
    SexAge,
    CountySex,
    CountyAge,
    CountySexAge,
    /// The municipalities of one county by sex.
    Municipalities(u32),
}

fn persons(country: &Country, counted: Counted) -> Vec<u32> {
    let join = |mut a: Vec<u32>, b: Vec<u32>| {
        a.extend(b);
        a.sort_unstable();
        a.dedup();
        a
    };
    match counted {
        Counted::Everyone => (0..country.persons).collect(),
        Counted::Year(condition, year) => country.cohort(condition, year),
        Counted::Period(condition, year) => {
            join(country.cohort(condition, year), country.cohort(condition, year + 1))
        }
        Counted::WithCode(condition, year, code) => join(
            country.cohort(condition, year),
            country.draw(&mut ChaCha8Rng::seed_from_u64(code << 20 | condition), country.size / 200),
        ),
    }
}

fn membership(persons: &[u32], division: Division) -> Membership {
    // For a person the node in each dimension beside the total, and how many nodes each dimension has.
    let nodes = |person: u32| -> Option<[(u32, u32); 3]> {
        let (sex, age, place) = (Country::sex(person), Country::age(person), Country::municipality(person));
        let county = place % COUNTIES;
        Some(match division {
            Division::SexAge => [(sex, 3), (age, 11), (0, 1)],
            Division::CountySex => [(county, 16), (sex, 3), (0, 1)],
            Division::CountyAge => [(county, 16), (age, 11), (0, 1)],
            Division::CountySexAge => [(county, 16), (sex, 3), (age / 4, 4)],
            Division::Municipalities(of) if of == county => [(place / COUNTIES, 25), (sex, 3), (0, 1)],
            Division::Municipalities(_) => return None,
        })
    };
    let sizes = match division {
        Division::SexAge => 33,
        Division::CountySex => 48,
        Division::CountyAge => 176,
        Division::CountySexAge => 192,
        Division::Municipalities(_) => 75,
    };
    let mut builder = MembershipBuilder::new(sizes);
    let mut cells: Vec<u32> = Vec::new();
    for &person in persons {
        let Some(nodes) = nodes(person) else { continue };
        cells.clear();
        cells.push(0);
        for (node, size) in nodes {
            if size > 1 {
                let below = cells.len();
                for at in 0..below {
                    cells[at] *= size;
                    cells.push(cells[at] + node + 1);
                }
            }
        }
        cells.sort_unstable();
        builder.add(PersonNo(person), &cells).unwrap();
    }
    builder.build().unwrap()
}

struct Entered {
    organisation: u64,
    published: bool,
    release: Release,
}

fn question(rng: &mut ChaCha8Rng, new: bool) -> (Counted, Division) {
    let (condition, year) = (skewed(rng, CONDITIONS), below(rng, YEARS));
    let counted = match below(rng, 100) {
        0 if !new => Counted::Everyone,
        1..12 => Counted::Period(condition, year),
        12..18 => Counted::WithCode(condition, year, below(rng, 5)),
        _ => Counted::Year(condition, year),
    };
    let division = match below(rng, 100) {
        0..20 => Division::SexAge,
        20..40 => Division::CountySex,
        40..60 => Division::CountyAge,
        60..75 => Division::CountySexAge,
        _ => Division::Municipalities(below(rng, u64::from(COUNTIES)) as u32),
    };
    (counted, division)
}

fn small(membership: &Membership) -> Vec<bool> {
    membership.counts().iter().map(|count| (1..u64::from(LEAST)).contains(count)).collect()
}

/// The pattern after a judgement; `None` if refused.
fn pattern(membership: &Membership, sets: &[KnowledgeSet<'_>]) -> (Judgement, Option<Vec<bool>>) {
    let mut withheld = small(membership);
    let proposal = Proposal { membership, withheld: &withheld, least: LEAST };
    let judgement = judge(proposal, sets, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    match &judgement {
        Judgement::Release => {}
        Judgement::WithholdMore(cells) => {
            for &cell in cells {
                withheld[cell] = true;
            }
        }
        Judgement::Refuse(_) => return (judgement, None),
    }
    (judgement, Some(withheld))
}

fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// The time this process has been on a core. Other load on the machine does not count.
fn on_core() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

fn fill(country: &Country, options: &Options, rng: &mut ChaCha8Rng) -> Vec<Entered> {
    let mut ledger: Vec<Entered> = Vec::new();
    let mut of_cohort: HashMap<Counted, Vec<usize>> = HashMap::new();
    let mut asked: HashSet<(Counted, Division)> = HashSet::new();
    let mut refused = 0;
    while ledger.len() < options.releases {
        let (counted, division) = question(rng, false);
        if !asked.insert((counted, division)) {
            continue;
        }
        let mut membership = membership(&persons(country, counted), division);
        let beside = of_cohort.entry(counted).or_default();
        let set: KnowledgeSet<'_> = beside.iter().map(|&at| &ledger[at].release).collect();
        let Some(withheld) = pattern(&membership, &[set]).1 else {
            refused += 1;
            continue;
        };
        for &at in beside.iter() {
            membership.share(ledger[at].release.membership());
        }
        beside.push(ledger.len());
        ledger.push(Entered {
            organisation: skewed(rng, options.organisations),
            published: below(rng, 100) < options.published,
            release: Release::new(membership, withheld).unwrap(),
        });
        if ledger.len().is_multiple_of(1000) {
            eprintln!("{} releases entered, {refused} refused, {} MB", ledger.len(), memory("VmRSS"));
        }
    }
    ledger
}

fn main() {
    let options = Options::read();
    let rng = &mut ChaCha8Rng::seed_from_u64(20_261_122);
    let country = Country::new(options.persons, options.size);
    let ledger = fill(&country, &options, rng);
    let held = memory("VmRSS");
    let cells: usize = ledger.iter().map(|entered| entered.release.membership().cells()).sum();
    let persons_in: u64 = ledger.iter().map(|entered| entered.release.membership().persons()).sum();
    println!(
        "{} releases, {cells} cells, {persons_in} persons in them one by one, {held} MB held",
        ledger.len()
    );

    let known = |organisation: u64| -> KnowledgeSet<'_> {
        let knows = |e: &&Entered| e.published || e.organisation == organisation;
        ledger.iter().filter(knows).map(|entered| &entered.release).collect()
    };
    let mut table = Table::new();
    table.set_header(["judged beside", "decisions", "p50 s", "p95 s", "longest s", "peak MB", "answers"]);
    for (beside, questions) in [
        ("what one organisation knows", options.questions),
        ("every organisation's knowledge", options.questions / 6),
        ("all releases as one set", options.questions / 3),
    ] {
        let mut times: Vec<Duration> = Vec::new();
        let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
        for number in 0..questions {
            let (counted, division) = question(rng, true);
            let membership = membership(&persons(&country, counted), division);
            let organisation = skewed(rng, options.organisations);
            let sets: Vec<KnowledgeSet<'_>> = match beside {
                "what one organisation knows" => vec![known(organisation)],
                "all releases as one set" => vec![ledger.iter().map(|e| &e.release).collect()],
                _ => (0..options.organisations).map(known).collect(),
            };
            let start = on_core();
            let (judgement, _) = pattern(&membership, &sets);
            let took = on_core() - start;
            times.push(took);
            let answer = match judgement {
                Judgement::Release => "released",
                Judgement::WithholdMore(_) => "more withheld",
                Judgement::Refuse(_) => "refused",
            };
            *answers.entry(answer).or_default() += 1;
            let persons = membership.persons();
            eprintln!("{beside} {number}: {counted:?} {division:?} {persons} persons: {answer} in {took:?}");
        }
        times.sort_unstable();
        let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
        let seconds = |share| format!("{:.2}", at(share).map_or(0.0, Duration::as_secs_f64));
        let peak = memory("VmHWM").to_string();
        let decisions = times.len().to_string();
        let answers = format!("{answers:?}");
        table.add_row([beside, &decisions, &seconds(50), &seconds(95), &seconds(100), &peak, &answers]);
    }
    println!("{table}");
}
