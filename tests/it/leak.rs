//! After a full run, no identity number of the population occurs in any encoding where it must not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use kpr::domain::ids::RunId;
use kpr::statistics::Format;
use kpr::wire::web_client;

use crate::feed;
use crate::person;
use crate::world::{Making, World};

/// Every spelling of a number that could stand in a file or message.
fn spellings(number: &str) -> Vec<(&'static str, Vec<u8>)> {
    let value: u64 = number.parse().unwrap();
    let bcd = |digits: &str| -> Vec<u8> {
        digits.as_bytes().chunks(2).map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0')).collect()
    };
    let mut varint = Vec::new();
    let mut rest = value;
    while rest >= 0x80 {
        varint.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    varint.push(rest as u8);
    // Base64 of the number at each of the three places it can have in a longer text, without the
    // characters that its neighbours have a part in.
    let shifted = |lead: usize| {
        let text = format!("{}{number}", " ".repeat(lead));
        let encoded = STANDARD_NO_PAD.encode(text);
        encoded.as_bytes()[(lead * 8).div_ceil(6)..(lead + 11) * 8 / 6].to_vec()
    };
    vec![
        ("text", number.as_bytes().to_vec()),
        ("UTF-16", number.bytes().flat_map(|b| [b, 0]).collect()),
        ("hex of text", hex::encode(number).into_bytes()),
        ("HEX of text", hex::encode_upper(number).into_bytes()),
        ("base64", shifted(0)),
        ("base64, shifted by one", shifted(1)),
        ("base64, shifted by two", shifted(2)),
        ("packed decimal, zero first", bcd(&format!("0{number}"))),
        ("packed decimal, zero last", bcd(&format!("{number}0"))),
        ("little-endian integer", value.to_le_bytes()[..5].to_vec()),
        ("big-endian integer", value.to_be_bytes()[3..].to_vec()),
        ("hex of integer", format!("{value:010x}").into_bytes()),
        ("HEX of integer", format!("{value:010X}").into_bytes()),
        ("varint", varint),
        ("reversed text", number.bytes().rev().collect()),
        ("base64 of integer", {
            let encoded = STANDARD.encode(&value.to_be_bytes()[2..]);
            encoded.into_bytes()
        }),
    ]
}

/// All spellings of all numbers, by their first four bytes.
struct Needles {
    by_start: BTreeMap<[u8; 4], Vec<(Vec<u8>, &'static str)>>,
    start: Vec<bool>,
}

impl Needles {
    fn new<'a>(numbers: impl Iterator<Item = &'a str>) -> Self {
        let mut by_start: BTreeMap<[u8; 4], Vec<(Vec<u8>, &'static str)>> = BTreeMap::new();
        let mut start = vec![false; 1 << 24];
        for number in numbers {
            for (kind, bytes) in spellings(number) {
                start[Self::slot(&bytes)] = true;
                by_start.entry(bytes[..4].try_into().unwrap()).or_default().push((bytes, kind));
            }
        }
        Self { by_start, start }
    }

    fn slot(bytes: &[u8]) -> usize {
        usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2])
    }

    /// The spellings found in `haystack`.
    fn find(&self, haystack: &[u8]) -> Vec<&'static str> {
        let mut found = Vec::new();
        for at in 0..haystack.len().saturating_sub(3) {
            if !self.start[Self::slot(&haystack[at..])] {
                continue;
            }
            let start: [u8; 4] = haystack[at..at + 4].try_into().unwrap();
            for (bytes, kind) in self.by_start.get(&start).into_iter().flatten() {
                // Integers of five bytes occur by chance in compressed data and ciphertext; they count
                // where they stand as a whole 64-bit integer.
                let whole = match *kind {
                    "little-endian integer" => haystack.get(at + 5..at + 8) == Some(&[0, 0, 0]),
                    "big-endian integer" => at >= 3 && haystack[at - 3..at] == [0, 0, 0],
                    "varint" => at >= 1 && haystack[at - 1] & 0x87 == 0,
                    _ => true,
                };
                if whole && haystack[at..].starts_with(bytes) {
                    found.push(*kind);
                }
            }
        }
        found
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn population(world: &World) -> Vec<String> {
    let folder = world.stage.path("deliveries");
    let mut numbers = std::collections::BTreeSet::new();
    let mut all = Vec::new();
    files(&folder, &mut all);
    let identity = ["identitet.csv", "KPR_IDE.csv", "NPR_IDE.csv"];
    for path in all.iter().filter(|p| identity.iter().any(|name| p.ends_with(name))) {
        for line in std::fs::read_to_string(path).unwrap().lines().skip(1) {
            numbers.extend(line.split(';').nth(1).filter(|n| n.len() == 11).map(str::to_owned));
        }
    }
    assert!(numbers.len() >= 1000, "a population without numbers shows nothing");
    numbers.into_iter().collect()
}

#[test]
fn a_planted_number_is_found_in_every_encoding() {
    let needles = Needles::new(["02813299997", "30908299996"].into_iter());
    for (kind, bytes) in spellings("02813299997") {
        for lead in 0..9_usize {
            let mut hay = vec![0; lead.max(3)];
            hay.extend(&bytes);
            hay.extend([0; 5]);
            assert!(needles.find(&hay).contains(&kind), "{kind} at {lead}");
        }
    }
    for text in ["xx02813299997yy", "x02813299997yy", "02813299997"] {
        for engine in [&STANDARD, &URL_SAFE] {
            assert!(!needles.find(engine.encode(text).as_bytes()).is_empty(), "{text}");
        }
    }
    assert!(needles.find(b"nothing of the kind 1234567890123").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_identity_number_is_where_it_must_not_be() {
    let world = World::recorded(&Making { persons: 4000, seed: 8, messy: true, ..Making::default() }).await;
    world.approve().await;
    let (run, csv) = world.answer("request-1").await;
    let researcher = world.client("researcher").await;
    let results = world.stage.path("results");
    std::fs::create_dir_all(&results).unwrap();
    std::fs::write(results.join("table.csv"), csv).unwrap();
    for format in Format::ALL {
        std::fs::write(results.join(format.as_str()), researcher.fetch(&run, format).await.unwrap()).unwrap();
    }
    world.client("anna").await.publish(&run, &"t-1".to_owned().try_into().unwrap()).await.unwrap();
    for path in ["/tables", "/tables/t-1/data?outputFormat=csv", "/tables/nothing-here"] {
        let authority = world.stage.tls("consumer").authority;
        let answer = web_client::get(&world.stage.https(), &authority, path).await.unwrap();
        std::fs::write(results.join(path.replace(['/', '?'], "_")), answer.body).unwrap();
    }

    // A register takes its feed, and writes it beside its own data.
    world.approve_this(&feed::approval()).await;
    let taken = feed::take(&world, &feed::approval().project);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    std::fs::write(results.join("feed"), [taken.stdout, taken.stderr].concat()).unwrap();

    // A portal has a person looked up, and everything the person can do is done.
    let numbers = population(&world);
    let number = person::number(&world, 3);
    let asked = person::everything(&world, &number).await;
    let needles = Needles::new(numbers.iter().map(String::as_str));

    memory(&world, &run);

    let mut places = Vec::new();
    for part in [
        "gateway",
        "identity",
        "logs",
        "results",
        "policies",
        "pki",
        "configurations",
        "temporary",
        "npr/feeds",
    ] {
        files(&world.stage.path(part), &mut places);
    }
    // A recording carries its process id. Those of ingest, and the other ends of its connections, are
    // where the identity part of a delivery goes on its way into the vault.
    let only_asked = Needles::new([number.as_str()].into_iter());
    let (mut recorded, mut carried, mut looked_up) = (Vec::new(), 0, 0);
    files(&world.stage.path("frames"), &mut recorded);
    let of_ingest = |p: &PathBuf| !world.ids().iter().any(|id| file_name(p).starts_with(&format!("{id}-")));
    let ingest: Vec<Vec<u8>> =
        recorded.iter().filter(|p| of_ingest(p)).map(|p| std::fs::read(p).unwrap()).collect();
    for path in recorded {
        let bytes = std::fs::read(&path).unwrap();
        if ingest.contains(&bytes) {
            carried += needles.find(&bytes).len();
        } else if of_portal(&world, &path) && !only_asked.find(&bytes).is_empty() {
            // The portal's end of these connections is this test's. They carry that one number, in the messages that
            // ask for a ticket, and nobody else's.
            let found = only_asked.find(&bytes);
            assert!(found.iter().all(|kind| *kind == "text"), "{found:?}");
            looked_up += found.len();
            assert_eq!(needles.find(&bytes).len(), found.len(), "{}", path.display());
        } else {
            places.push(path);
        }
    }
    assert_eq!(looked_up, asked, "each ticket is asked for once, with the number");
    assert!(carried > 0, "the identity part of a delivery must be seen on its way, or nothing was recorded");
    for end in ["server", "client-of"] {
        for direction in ["sent", "received"] {
            let some = places.iter().any(|p| {
                file_name(p).contains(end)
                    && file_name(p).contains(direction)
                    && p.metadata().unwrap().len() > 0
            });
            assert!(some, "nothing {direction} was recorded at the {end} end");
        }
    }
    for path in &places {
        let found = needles.find(&std::fs::read(path).unwrap());
        assert!(found.is_empty(), "{} holds identity numbers as {found:?}", path.display());
    }
    // The vault's database file, too, while the partner's own source does hold them.
    let mut source = Vec::new();
    files(&world.stage.path("npr"), &mut source);
    assert!(source.iter().any(|p| !needles.find(&std::fs::read(p).unwrap()).is_empty()));
    world.end().await;
}

/// Whether a recording is of what the identity service has received.
fn of_portal(world: &World, path: &Path) -> bool {
    let identity = world.identity.as_ref().unwrap().id().unwrap();
    let name = file_name(path);
    name.starts_with(&format!("{identity}-")) && name.contains("server") && name.contains("received")
}

/// The gateway's memory holds no key of any scope; the identity service's no health variable.
pub fn memory(world: &World, run: &RunId) {
    let root = std::fs::read(world.stage.path("identity/root.secret")).unwrap();
    let project = "P-2026-0001".as_bytes();
    let one = 1u32.to_be_bytes();
    let keys = [
        root.clone(),
        derived(&root, &[b"kpr/vault-key/v1", &one]),
        derived(&root, &[b"kpr/linkage-key/v1", project, run.as_str().as_bytes()]),
        derived(&root, &[b"kpr/serial-key/v1", project]),
        derived(&root, &[b"kpr/cell-key/v1", b"health-services"]),
    ];
    let identity = world.identity.as_ref().unwrap().id().unwrap();
    let gateway = world.gateway.as_ref().unwrap().id().unwrap();
    let halves = keys.iter().flat_map(|key| [&key[..16], &key[16..32]]);
    let found: Vec<bool> = halves.clone().map(|half| in_memory(gateway, half)).collect();
    assert!(!found.contains(&true), "the gateway's memory holds a key");
    assert!(in_memory(identity, &root[..16]), "the search finds what is there");

    // Lines of the content files as they were delivered, and what stands in them: in the identity
    // service's memory there is none of it.
    let mut health = Vec::new();
    for file in ["kuhr-2024/DIAGNOSE.csv", "kuhr-2024/ENKELTREGNING.csv", "npr-2024/EPISODE.csv"] {
        let bytes = std::fs::read(world.stage.path("deliveries").join(file)).unwrap();
        health.extend(bytes.split(|b| *b == b'\n').skip(1).step_by(997).take(20).map(<[u8]>::to_vec));
    }
    health.push(b"F20.".to_vec());
    for line in health.iter().filter(|line| line.len() >= 4) {
        assert!(!in_memory(identity, line), "the identity service's memory holds health data");
    }
}

/// HKDF-SHA-512 with length-framed info, as docs/encodings.md defines the keys.
fn derived(root: &[u8], info: &[&[u8]]) -> Vec<u8> {
    let framed: Vec<u8> =
        info.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part].concat()).collect();
    let mut key = vec![0; 64];
    hkdf::Hkdf::<sha2::Sha512>::new(None, root).expand(&framed, &mut key).unwrap();
    key
}

/// Whether the writable memory of a process holds these bytes.
fn in_memory(process: u32, needle: &[u8]) -> bool {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let mut searched = 0;
    for line in maps.lines().filter(|l| l.split(' ').nth(1).is_some_and(|p| p.starts_with("rw"))) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // Some mappings cannot be read; those with data can.
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            searched += bytes.len();
            if memchr_all(&bytes, needle) {
                return true;
            }
        }
    }
    assert!(searched > 1 << 20, "the memory could not be read");
    false
}

fn memchr_all(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window[0] == needle[0] && window == needle)
}
