//! The modules depend on each other as `docs/architecture.md` draws it, and files stay readable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// For each top-level module, what it may use of the crate.
const ALLOWED: [(&str, &[&str]); 18] = [
    ("domain", &[]),
    ("config", &["domain"]),
    ("telemetry", &["domain"]),
    ("store", &["domain"]),
    ("identity", &["domain", "linkage", "telemetry"]),
    ("audit", &["domain", "store", "disclosure", "authorise"]),
    ("authorise", &["domain"]),
    ("plan", &["domain", "authorise"]),
    ("linkage", &["domain"]),
    ("registers", &["domain"]),
    ("partner", &["domain", "identity", "linkage", "config", "telemetry"]),
    ("execute", &["domain", "plan", "linkage", "registers", "disclosure"]),
    ("disclosure", &["domain", "authorise", "plan", "execute", "audit", "linkage", "store"]),
    ("statistics", &["domain", "disclosure"]),
    (
        "pipeline",
        &[
            "domain",
            "authorise",
            "plan",
            "linkage",
            "execute",
            "disclosure",
            "audit",
            "store",
            "registers",
            "telemetry",
        ],
    ),
    (
        "wire",
        &[
            "domain",
            "config",
            "authorise",
            "linkage",
            "partner",
            "identity",
            "registers",
            "disclosure",
            "statistics",
            "pipeline",
            "store",
            "audit",
            "plan",
        ],
    ),
    ("app", &["*"]),
    ("lib", &["*"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn rust_files() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"] {
        sources(&root.join(folder), &mut found);
    }
    found.sort();
    found
        .into_iter()
        .map(|p| {
            let text = std::fs::read_to_string(&p).unwrap();
            (p.strip_prefix(root).unwrap().to_owned(), text)
        })
        .collect()
}

/// The modules named after `crate::` in code, tests at the end of the file and comments aside.
fn edges(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut found = BTreeSet::new();
    for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
        for after in line.split("crate::").skip(1) {
            // `use crate::{a::X, b::Y}` names several.
            if let Some(group) = after.strip_prefix('{') {
                found.extend(group.split(',').map(|p| word(p.trim())));
            } else {
                found.insert(word(after));
            }
        }
    }
    found.remove("");
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()
}

#[test]
fn modules_use_only_what_the_drawing_allows() {
    let allowed: BTreeMap<_, _> = ALLOWED.into_iter().collect();
    let mut wrong = Vec::new();
    for (path, text) in rust_files() {
        let Ok(inside) = path.strip_prefix("src") else { continue };
        let first = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        // The command line is a crate of its own.
        let name = inside.file_stem().and_then(|n| n.to_str()).unwrap_or_default();
        // So are tests, in files of their own by these names.
        if first == "main" || first == "cli" || ["tests", "testing", "fixtures"].contains(&name) {
            continue;
        }
        let may = allowed.get(first.as_str()).unwrap_or_else(|| panic!("{first} is not in the drawing"));
        for used in edges(&text) {
            if used != first && !may.contains(&"*") && !may.contains(&used.as_str()) {
                wrong.push(format!("{} uses crate::{used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_generated_types_stay_in_wire() {
    for (path, text) in rust_files() {
        if !path.starts_with("src/wire") && path.starts_with("src") {
            assert!(!text.contains("prost::") && !text.contains("wire::proto"), "{}", path.display());
        }
    }
}

#[test]
fn no_file_is_longer_than_500_lines() {
    for (path, text) in rust_files() {
        assert!(text.lines().count() <= 500, "{} is too long", path.display());
    }
}

#[test]
fn the_drawing_in_the_documentation_is_this_one() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md")).unwrap();
    for (module, may) in ALLOWED.iter().filter(|(m, _)| *m != "lib") {
        let may = if may.is_empty() { "nothing".to_owned() } else { may.join(", ").replace('*', "all") };
        let row = format!("| `{module}` | {may} |");
        assert!(text.contains(&row), "docs/architecture.md lacks the row {row}");
    }
}
