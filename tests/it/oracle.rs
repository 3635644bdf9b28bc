//! The question answered the plain way: every delivery with its identity numbers in one SQLite
//! database, and SQL over it. It shares no code with the gateway.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDate;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{QueryBuilder, Row, Sqlite};

/// For each cell, by its codes (sex, age group, region): persons, and of them within 30, 90, 180 days.
pub type Cells = BTreeMap<[String; 3], [u64; 4]>;

/// What a column of a delivery must be for the line to count.
#[derive(Clone, Copy)]
enum Is {
    Text,
    /// A date of the calendar, if there is one.
    Date,
    /// A date of the calendar within the delivery's period.
    DateInPeriod,
    /// One of these values.
    OneOf(&'static [&'static str]),
    Number,
}

struct File {
    name: &'static str,
    table: &'static str,
    columns: &'static [Is],
}

const SEX: Is = Is::OneOf(&["1", "2"]);

const PERSON: File =
    File { name: "person.csv", table: "person", columns: &[Is::Number, SEX, Is::Date, Is::Date, Is::Date] };
const RESIDENCE: File =
    File { name: "bosted.csv", table: "bosted", columns: &[Is::Number, Is::Text, Is::Date, Is::Date] };
const IDENTITY: File = File {
    name: "identitet.csv",
    table: "identitet",
    columns: &[Is::Number, Is::Text, Is::Text, Is::Date, Is::Date],
};
const CONTACT: File = File {
    name: "ENKELTREGNING.csv",
    table: "kontakt",
    columns: &[
        Is::Number,
        Is::Text,
        Is::DateInPeriod,
        Is::Text,
        Is::Text,
        Is::Text,
        Is::Text,
        Is::Text,
        Is::Text,
        Is::Text,
        Is::Text,
        Is::Text,
        Is::Text,
    ],
};
const KPR_IDE: File = File { name: "KPR_IDE.csv", table: "kpr_ide", columns: &[Is::Number, Is::Text] };
const EPISODE: File = File {
    name: "EPISODE.csv",
    table: "episode",
    columns: &[
        Is::Number,
        Is::Number,
        Is::Text,
        Is::Text,
        Is::Date,
        Is::Date,
        Is::Text,
        Is::Text,
        Is::Text,
        Is::Text,
    ],
};
const NPR_IDE: File = File { name: "NPR_IDE.csv", table: "npr_ide", columns: &[Is::Number, Is::Text] };

fn holds(is: Is, text: &str, period: (NaiveDate, NaiveDate)) -> bool {
    let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
    match is {
        Is::Text => true,
        Is::Date => text.is_empty() || date().is_some(),
        Is::DateInPeriod => date().is_some_and(|d| period.0 <= d && d <= period.1),
        Is::OneOf(values) => values.contains(&text),
        Is::Number => !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()),
    }
}

async fn load(db: &SqlitePool, folder: &Path, file: &File, delivery: usize) {
    let period = period(folder);
    let bytes = std::fs::read(folder.join(file.name)).unwrap();
    let lines = bytes.split(|b| *b == b'\n').skip(1).filter_map(|line| std::str::from_utf8(line).ok());
    let rows: Vec<Vec<String>> = lines
        .map(|line| line.split(';').map(str::to_owned).collect::<Vec<String>>())
        .filter(|row| {
            row.len() == file.columns.len()
                && row.iter().zip(file.columns).all(|(t, &is)| holds(is, t, period))
        })
        .collect();
    let names: Vec<String> = (0..file.columns.len()).map(|c| format!("c{c} TEXT")).collect();
    let create = format!("CREATE TABLE IF NOT EXISTS {} (d INTEGER, {})", file.table, names.join(", "));
    sqlx::query(sqlx::AssertSqlSafe(create)).execute(db).await.unwrap();
    let mut transaction = db.begin().await.unwrap();
    for chunk in rows.chunks(30_000 / (file.columns.len() + 1)) {
        let mut insert = QueryBuilder::<Sqlite>::new(format!("INSERT INTO {} ", file.table));
        insert.push_values(chunk, |mut values, row| {
            values.push_bind(delivery as i64);
            for field in row {
                values.push_bind(field.clone());
            }
        });
        insert.build().execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

fn period(folder: &Path) -> (NaiveDate, NaiveDate) {
    let text = std::fs::read_to_string(folder.join("delivery.toml")).unwrap();
    let toml: toml::Table = text.parse().unwrap();
    let day = |key: &str| toml["period"][key].to_string().trim_matches('"').parse::<NaiveDate>().unwrap();
    (day("from"), day("to"))
}

/// The codes of a list of the catalogue and, for each, all codes it lies under, itself included.
fn ancestors(list: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("policies/codelists/{list}.csv"));
    let mut reader = csv::Reader::from_path(path).unwrap();
    let parents: BTreeMap<String, String> = reader
        .records()
        .map(|r| r.unwrap())
        .map(|r| (r.get(0).unwrap().to_owned(), r.get(2).unwrap().to_owned()))
        .collect();
    let mut pairs = Vec::new();
    for code in parents.keys() {
        let mut above = code.clone();
        while !above.is_empty() {
            pairs.push((code.clone(), above.clone()));
            above = parents.get(&above).cloned().unwrap_or_default();
        }
    }
    pairs
}

/// The deliveries in `folder`, and of the persons discharged in `year` sex, age, municipality and the day.
async fn patients(folder: &Path, year: i32) -> SqlitePool {
    let options: SqliteConnectOptions = "sqlite::memory:".parse().unwrap();
    let db = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let freg = folder.join("folkeregisteret");
    for file in [&PERSON, &RESIDENCE, &IDENTITY] {
        load(&db, &freg, file, 0).await;
    }
    for kuhr in [year, year + 1] {
        let delivery = folder.join(format!("kuhr-{kuhr}"));
        load(&db, &delivery, &CONTACT, kuhr as usize).await;
        load(&db, &delivery, &KPR_IDE, kuhr as usize).await;
    }
    let npr = folder.join(format!("npr-{year}"));
    load(&db, &npr, &EPISODE, 0).await;
    load(&db, &npr, &NPR_IDE, 0).await;
    sqlx::query("CREATE TABLE above (list TEXT, code TEXT, up TEXT)").execute(&db).await.unwrap();
    let mut transaction = db.begin().await.unwrap();
    for list in ["region"] {
        for (code, up) in ancestors(list) {
            sqlx::query("INSERT INTO above VALUES (?, ?, ?)")
                .bind(list)
                .bind(code)
                .bind(up)
                .execute(&mut *transaction)
                .await
                .unwrap();
        }
    }
    transaction.commit().await.unwrap();
    for statement in [
        "CREATE INDEX i1 ON identitet (c1)",
        "CREATE INDEX i2 ON kpr_ide (d, c0)",
        "CREATE INDEX i3 ON npr_ide (c0)",
        // The person behind each number: the serial number of Folkeregisteret's delivery.
        "CREATE TABLE discharge AS SELECT i.c0 AS person, MIN(e.c5) AS day FROM episode e \
           JOIN npr_ide n ON n.c0 = e.c1 JOIN identitet i ON i.c1 = n.c1 JOIN person p ON p.c0 = i.c0 \
           WHERE e.c2 = '1' AND e.c6 IN ('310', '320') AND e.c5 BETWEEN :from AND :to GROUP BY i.c0",
        "CREATE TABLE gp AS SELECT DISTINCT i.c0 AS person, k.c2 AS day FROM kontakt k \
           JOIN kpr_ide n ON n.d = k.d AND n.c0 = k.c1 JOIN identitet i ON i.c1 = n.c1 \
           WHERE k.c8 = '1' AND k.c9 = '3'",
        "CREATE INDEX i4 ON gp (person)",
        "CREATE TABLE patient AS SELECT d.person, d.day, p.c1 AS sex, \
           CAST(strftime('%Y', d.day) AS INTEGER) - CAST(strftime('%Y', p.c2) AS INTEGER) \
             - (strftime('%m-%d', d.day) < strftime('%m-%d', p.c2)) AS age, \
           COALESCE((SELECT b.c1 FROM bosted b WHERE b.c0 = d.person AND b.c2 <= d.day \
             AND (b.c3 = '' OR b.c3 >= d.day) ORDER BY b.c2 DESC LIMIT 1), '9999') AS municipality, \
           (SELECT MIN(julianday(g.day) - julianday(d.day)) FROM gp g WHERE g.person = d.person \
             AND g.day >= d.day) AS days \
           FROM discharge d JOIN person p ON p.c0 = d.person",
    ] {
        let statement =
            statement.replace(":from", &format!("'{year}-01-01'")).replace(":to", &format!("'{year}-12-31'"));
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&db).await.unwrap();
    }
    db
}

/// The answer over the deliveries in `folder`, discharges in `year`.
pub async fn answer(folder: &Path, year: i32) -> Cells {
    let db = patients(folder, year).await;
    let rows = sqlx::query(
        "WITH grouped AS (SELECT person, days, sex, municipality, CASE WHEN age < 18 THEN '0-17' \
           WHEN age < 45 THEN '18-44' WHEN age < 67 THEN '45-66' ELSE '67+' END AS age FROM patient), \
         cell AS (SELECT g.person, g.days, s.v AS sex, a.v AS age, r.up AS region FROM grouped g \
           JOIN above r ON r.list = 'region' AND r.code = g.municipality \
           JOIN (SELECT '1' AS of, '1' AS v UNION SELECT '2', '2' UNION SELECT '1', 'Total' UNION SELECT '2', 'Total') s \
             ON s.of = g.sex \
           JOIN (SELECT '0-17' AS of, '0-17' AS v UNION SELECT '18-44', '18-44' UNION SELECT '45-66', '45-66' \
             UNION SELECT '67+', '67+' UNION SELECT '0-17', 'Total' UNION SELECT '18-44', 'Total' \
             UNION SELECT '45-66', 'Total' UNION SELECT '67+', 'Total') a ON a.of = g.age) \
         SELECT sex, age, region, COUNT(DISTINCT person), COUNT(DISTINCT CASE WHEN days <= 30 THEN person END), \
           COUNT(DISTINCT CASE WHEN days <= 90 THEN person END), \
           COUNT(DISTINCT CASE WHEN days <= 180 THEN person END) FROM cell GROUP BY sex, age, region",
    )
    .fetch_all(&db)
    .await
    .unwrap();
    rows.iter()
        .map(|row| {
            let count = |i: usize| u64::try_from(row.get::<i64, _>(i)).unwrap();
            ([row.get(0), row.get(1), row.get(2)], [count(3), count(4), count(5), count(6)])
        })
        .collect()
}

/// A person discharged, with each GP consultation within 30 days: the days since the discharge and the refund in øre.
pub struct Patient {
    pub sex: String,
    pub age: i64,
    pub consultations: Vec<(i64, i64)>,
}

/// Everyone discharged in `year`.
pub async fn consultations(folder: &Path, year: i32) -> Vec<Patient> {
    let db = patients(folder, year).await;
    let rows = sqlx::query(
        "SELECT p.person, p.sex, p.age, CAST(julianday(k.c2) - julianday(p.day) AS INTEGER) AS since, \
           CAST(ROUND(REPLACE(k.c12, ',', '.') * 100) AS INTEGER) AS refund FROM patient p \
         LEFT JOIN identitet i ON i.c0 = p.person LEFT JOIN kpr_ide n ON n.c1 = i.c1 \
         LEFT JOIN kontakt k ON k.d = n.d AND k.c1 = n.c0 AND k.c8 = '1' AND k.c9 = '3' \
           AND julianday(k.c2) - julianday(p.day) BETWEEN 0 AND 30",
    )
    .fetch_all(&db)
    .await
    .unwrap();
    let mut patients: BTreeMap<String, Patient> = BTreeMap::new();
    for row in rows {
        let (sex, age) = (row.get(1), row.get(2));
        let patient = patients.entry(row.get(0)).or_insert(Patient { sex, age, consultations: Vec::new() });
        if let Some(since) = row.get::<Option<i64>, _>(3) {
            patient.consultations.push((since, row.get(4)));
        }
    }
    patients.into_values().collect()
}
