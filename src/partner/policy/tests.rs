//! What the policy of a partner answers, and which files are none.

use chrono::TimeDelta;

use super::*;
use crate::linkage::testing::{approval, order, variable};

/// The example that ships with the project.
pub(in crate::partner) const EXAMPLE: &str = include_str!("../../../policies/partners/npr.toml");

pub(in crate::partner) fn policy(text: &str) -> Result<PartnerPolicy, PolicyError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.toml");
    std::fs::write(&path, text).unwrap();
    PartnerPolicy::load(&path)
}

fn changed(from: &str, to: &str) -> PartnerPolicy {
    assert!(EXAMPLE.contains(from), "{from}");
    policy(&EXAMPLE.replace(from, to)).unwrap()
}

fn asked() -> LinkageOrder {
    order(1, TimeDelta::minutes(1))
}

#[test]
fn the_example_answers_the_order() {
    let extract = policy(EXAMPLE).unwrap().extract(&asked(), &approval()).unwrap();
    assert_eq!((extract.table.as_str(), extract.number.as_str()), ("episode", "fnr"));
    assert_eq!(extract.date, Column { column: "utdato".into(), kind: ColumnKind::Date });
    assert_eq!(extract.columns.len(), 2);
    assert_eq!(extract.max_rows, 100);
}

#[test]
fn the_partner_refuses_by_its_own_rules() {
    let refused = |policy: &PartnerPolicy| policy.extract(&asked(), &approval()).err();
    let listed = changed("refused_projects = []", "refused_projects = [\"P-2026-0001\"]");
    assert_eq!(refused(&listed), Some(NotAllowed::Project));
    assert_eq!(refused(&changed("\"research\"", "\"prevention\"")), Some(NotAllowed::Purpose));
    let tiers = "tiers = [\"protected_tables\", \"anonymous_microdata\", \"indirect_microdata\"]\n";
    assert_eq!(refused(&changed(tiers, "tiers = [\"anonymous_microdata\"]\n")), Some(NotAllowed::Tier));
    let silent = changed(tiers, "");
    assert_eq!(refused(&silent), None);
    let records = Approval { tier: Tier::AnonymousMicrodata, ..approval() };
    assert_eq!(silent.extract(&asked(), &records).err(), Some(NotAllowed::Tier));
    assert!(changed(tiers, tiers).extract(&asked(), &records).is_ok());
    assert_eq!(refused(&changed("[datasets.episode", "[datasets.other")), Some(NotAllowed::Dataset));
    assert_eq!(refused(&changed("omsorgsniva = ", "niva = ")), Some(NotAllowed::Variable));
    let text =
        changed("{ column = \"utdato\", kind = \"date\" }", "{ column = \"utdato\", kind = \"text\" }");
    assert_eq!(refused(&text), Some(NotAllowed::Date));
    assert_eq!(
        changed("max_rows = 20_000_000", "max_rows = 9").extract(&asked(), &approval()).unwrap().max_rows,
        9
    );

    let policy = policy(EXAMPLE).unwrap();
    let mut empty = asked();
    empty.conditions[0].any_of.clear();
    assert_eq!(policy.extract(&empty, &approval()).err(), Some(NotAllowed::Condition));
    let mut dated = asked();
    dated.conditions[0].variable = variable("inndato");
    assert_eq!(policy.extract(&dated, &approval()).err(), Some(NotAllowed::Condition));
}

/// The tables of a policy file for a list of each kind.
pub(in crate::partner) const LISTS: [(&str, &str); 3] = [
    (
        "consent",
        "[consent]\ntable = \"consent\"\nnumber = \"fnr\"\nfrom = \"valid_from\"\nto = \"valid_to\"\n\
         withdrawn = \"withdrawn\"\nproject = \"project\"\npurpose = \"purpose\"\n",
    ),
    (
        "opt_out",
        "[opt_out]\ntable = \"opt_out\"\nnumber = \"fnr\"\nfrom = \"valid_from\"\nto = \"valid_to\"\n\
         project = \"project\"\npurpose = \"purpose\"\n",
    ),
    ("numbers", "[numbers]\ntable = \"person_number\"\nnumber = \"fnr\"\nperson = \"person\"\n"),
];

/// The example under another section, with these lists.
pub(in crate::partner) fn under(section: &str, lists: &[&str]) -> Result<PartnerPolicy, PolicyError> {
    let of = |name| LISTS.iter().find(|(list, _)| list == name).unwrap().1;
    let lists: String = lists.iter().map(of).collect();
    let (without_feed, _) = EXAMPLE.split_once("\n# What the register takes a feed").unwrap();
    policy(&(without_feed.replace("\"section_11\"", &format!("\"{section}\"")) + &lists))
}

#[test]
fn a_section_asks_for_its_lists_and_for_no_others() {
    for section in ["section_8", "section_11", "population_register", "socio_economic"] {
        assert_eq!(under(section, &[]).unwrap().persons(), &Persons::All);
        for list in ["consent", "opt_out", "numbers"] {
            assert!(matches!(under(section, &[list]), Err(PolicyError::OtherList { .. })), "{list}");
        }
    }
    assert!(matches!(
        under("section_9a", &["consent", "numbers"]).unwrap().persons(),
        Persons::Consented(..)
    ));
    assert!(matches!(
        under("section_10", &["opt_out", "numbers"]).unwrap().persons(),
        Persons::NotOptedOut(..)
    ));
    for (section, lists) in [
        ("section_9a", &[][..]),
        ("section_9a", &["consent"]),
        ("section_9a", &["numbers"]),
        ("section_10", &[]),
        ("section_10", &["opt_out"]),
    ] {
        assert!(matches!(under(section, lists), Err(PolicyError::NoList { .. })), "{section} {lists:?}");
    }
    for (section, lists) in
        [("section_9a", ["opt_out", "consent", "numbers"]), ("section_10", ["consent", "opt_out", "numbers"])]
    {
        assert!(matches!(under(section, &lists), Err(PolicyError::OtherList { .. })));
    }
    for section in ["section_9b", "historic_iplos"] {
        assert!(matches!(under(section, &[]), Err(PolicyError::Blind(_))));
    }
    // Without a section nothing is known of what linkage asks.
    assert!(policy(&EXAMPLE.replace("section = \"section_11\"\n", "")).is_err());
    let from = LISTS[0].1.replace("from = \"valid_from\"\n", "") + LISTS[2].1;
    let text = EXAMPLE.replace("\"section_11\"", "\"section_9a\"");
    assert!(matches!(policy(&format!("{text}{from}")), Err(PolicyError::NoList { .. })));
    let named = LISTS[0].1.replace("\"fnr\"", "\"fnr; --\"") + LISTS[2].1;
    assert!(matches!(policy(&format!("{text}{named}")), Err(PolicyError::Name(_))));
}

#[test]
fn an_order_must_state_the_partners_own_section() {
    let own = under("section_9a", &["consent", "numbers"]).unwrap();
    assert_eq!(own.extract(&asked(), &approval()).err(), Some(NotAllowed::Section));
    let order = LinkageOrder { section: Section::Section9a, ..asked() };
    assert!(own.extract(&order, &approval()).is_ok());
    let free = policy(EXAMPLE).unwrap().extract(&order, &approval());
    assert_eq!(free.err(), Some(NotAllowed::Section));
}

#[test]
fn whole_number_columns_take_whole_numbers_only() {
    let from = "{ column = \"fagomrade\", kind = \"text\" }";
    let policy = changed(from, &from.replace("text", "integer"));
    assert!(policy.extract(&asked(), &approval()).is_ok());
    let mut wrong = asked();
    wrong.conditions[1].any_of.push("x".into());
    assert_eq!(policy.extract(&wrong, &approval()).err(), Some(NotAllowed::Condition));
}

#[test]
fn a_bad_policy_is_refused() {
    let bad = |from: &str, to: &str| policy(&EXAMPLE.replace(from, to)).is_err();
    assert!(bad("\"research\"", "\"police\""));
    assert!(bad("table = \"episode\"", "table = \"episode; drop table x\""));
    assert!(bad("table = \"episode\"", "table = \"a.b.c\""));
    assert!(!bad("table = \"episode\"", "table = \"npr.episode\""));
    assert!(bad("number = \"fnr\"", "number = \"fnr\\\" --\""));
    assert!(bad("max_rows = 20_000_000", "max_rows = 0"));
    assert!(bad("refused_projects", "refused_project"));
    assert!(bad("kind = \"date\"", "kind = \"day\""));
}

/// KPR regulation 4-7.
#[test]
fn a_feed_is_taken_as_the_policy_says_and_under_the_registers_own_basis() {
    use crate::domain::feed::tests::approval as feed;
    let own = policy(EXAMPLE).unwrap();
    assert!(own.feed(&feed()).is_ok());
    let refused = |policy: &PartnerPolicy| policy.feed(&feed()).err();
    assert_eq!(refused(&under("section_11", &[]).unwrap()), Some(NotAllowed::Feed));
    assert_eq!(refused(&changed("\"quality_improvement\", ", "")), Some(NotAllowed::Purpose));
    let listed = changed("refused_projects = []", "refused_projects = [\"P-2026-0047\"]");
    assert_eq!(refused(&listed), Some(NotAllowed::Project));
    let basis = |basis: &str| {
        let to = format!("basis = \"{basis}\"");
        policy(&EXAMPLE.replace("basis = \"section_11\"", &to))
    };
    assert!(matches!(basis("section_10"), Err(PolicyError::FeedBasis)));
    assert_eq!(refused(&basis("national_summary_record").unwrap()), Some(NotAllowed::Section));
    assert!(basis("section_8").is_err());
    let injected = EXAMPLE.replace("key = \"episode_lnr\"", "key = \"x\\\") --\"");
    assert!(injected != EXAMPLE && matches!(policy(&injected), Err(PolicyError::Name(_))));
}
