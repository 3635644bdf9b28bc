-- The overview of disclosures, and what registered persons have asked for. Times are RFC 3339 in UTC, days are
-- YYYY-MM-DD; digests are 64 hexadecimal digits.

-- What releases of a project to one recipient about one population have in common, in its canonical encoding.
CREATE TABLE disclosure_facts (
    digest TEXT NOT NULL PRIMARY KEY,
    canonical BLOB NOT NULL
);

-- One row a release: its receipt, the leaf that says that it was entered here, and of records the digest of the
-- sealed set of persons and the last day on which the records themselves are kept.
CREATE TABLE disclosures (
    receipt INTEGER NOT NULL PRIMARY KEY REFERENCES audit_leaves (leaf_index),
    entered INTEGER NOT NULL REFERENCES audit_leaves (leaf_index),
    run TEXT NOT NULL UNIQUE REFERENCES runs (run),
    result TEXT NOT NULL,
    facts TEXT NOT NULL REFERENCES disclosure_facts (digest),
    day TEXT NOT NULL CHECK (day = date(day)),
    persons TEXT,
    kept_until TEXT CHECK (kept_until = date(kept_until))
);

CREATE INDEX disclosures_by_facts ON disclosures (facts, result, day);
CREATE INDEX disclosures_by_day ON disclosures (day);

-- Who is in released records: sealed chunks, those of the same person numbers beside each other.
CREATE TABLE disclosure_persons (
    chunk INTEGER NOT NULL,
    receipt INTEGER NOT NULL REFERENCES disclosures (receipt),
    sealed BLOB NOT NULL,
    PRIMARY KEY (chunk, receipt)
) WITHOUT ROWID;

CREATE INDEX disclosure_persons_by_release ON disclosure_persons (receipt);

-- Kept at least five years (KPR regulation 4-10), whatever the program would do.
CREATE TRIGGER disclosures_kept BEFORE DELETE ON disclosures
WHEN date(OLD.day, '+5 years') > date('now')
BEGIN SELECT RAISE(ABORT, 'disclosures are kept at least five years'); END;

CREATE TRIGGER disclosures_unchanged BEFORE UPDATE ON disclosures
BEGIN SELECT RAISE(ABORT, 'disclosures do not change'); END;

CREATE TRIGGER disclosures_once BEFORE INSERT ON disclosures
WHEN EXISTS (SELECT 1 FROM disclosures WHERE receipt = NEW.receipt OR run = NEW.run)
BEGIN SELECT RAISE(ABORT, 'disclosures do not change'); END;

CREATE TRIGGER disclosure_persons_kept BEFORE DELETE ON disclosure_persons
WHEN EXISTS (
    SELECT 1 FROM disclosures WHERE receipt = OLD.receipt AND date(day, '+5 years') > date('now')
)
BEGIN SELECT RAISE(ABORT, 'disclosures are kept at least five years'); END;

CREATE TRIGGER disclosure_persons_unchanged BEFORE UPDATE ON disclosure_persons
BEGIN SELECT RAISE(ABORT, 'disclosures do not change'); END;

CREATE TRIGGER disclosure_persons_once BEFORE INSERT ON disclosure_persons
WHEN EXISTS (SELECT 1 FROM disclosure_persons WHERE chunk = NEW.chunk AND receipt = NEW.receipt)
BEGIN SELECT RAISE(ABORT, 'disclosures do not change'); END;

CREATE TRIGGER disclosure_facts_kept BEFORE DELETE ON disclosure_facts
WHEN EXISTS (SELECT 1 FROM disclosures WHERE facts = OLD.digest)
BEGIN SELECT RAISE(ABORT, 'disclosures are kept at least five years'); END;

CREATE TRIGGER disclosure_facts_unchanged BEFORE UPDATE ON disclosure_facts
BEGIN SELECT RAISE(ABORT, 'disclosures do not change'); END;

-- What a person has restricted, and lifted again: the last row of a person and restriction holds. Rows are added only.
CREATE TABLE person_restrictions (
    entry INTEGER NOT NULL PRIMARY KEY,
    person_no INTEGER NOT NULL,
    restriction TEXT NOT NULL,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    portal TEXT NOT NULL,
    set_at TEXT NOT NULL
);

CREATE INDEX person_restrictions_by_person ON person_restrictions (person_no, restriction, entry);
CREATE INDEX person_restrictions_by_kind ON person_restrictions (restriction, person_no, entry);

CREATE TRIGGER person_restrictions_kept BEFORE DELETE ON person_restrictions
BEGIN SELECT RAISE(ABORT, 'the history of restrictions does not change'); END;

CREATE TRIGGER person_restrictions_unchanged BEFORE UPDATE ON person_restrictions
BEGIN SELECT RAISE(ABORT, 'the history of restrictions does not change'); END;

-- Erasures that persons have asked for: rows dated up to the day are taken out of the register. Carried out with the
-- snapshot named.
CREATE TABLE person_erasures (
    entry INTEGER NOT NULL PRIMARY KEY,
    person_no INTEGER NOT NULL,
    day TEXT NOT NULL,
    portal TEXT NOT NULL,
    asked TEXT NOT NULL,
    snapshot TEXT
);

CREATE INDEX person_erasures_by_person ON person_erasures (person_no);

-- Corrections that persons have asked the sender of a delivery for; the texts are sealed.
CREATE TABLE person_corrections (
    entry INTEGER NOT NULL PRIMARY KEY,
    person_no INTEGER NOT NULL,
    delivery TEXT NOT NULL,
    sender TEXT NOT NULL,
    dataset TEXT NOT NULL,
    sealed BLOB NOT NULL,
    portal TEXT NOT NULL,
    asked TEXT NOT NULL
);
