-- The overview of disclosures, and what registered persons have asked for. Times are RFC 3339 in UTC, days are
-- YYYY-MM-DD; digests are 64 hexadecimal digits.

-- What releases of a project to one recipient about one population have in common, in its canonical encoding.
CREATE TABLE disclosure_facts (
    digest TEXT NOT NULL PRIMARY KEY,
    canonical BYTEA NOT NULL
);

-- One row a release: its receipt, the leaf that says that it was entered here, and of records the digest of the
-- sealed set of persons and the last day on which the records themselves are kept.
CREATE TABLE disclosures (
    receipt BIGINT NOT NULL PRIMARY KEY REFERENCES audit_leaves (leaf_index),
    entered BIGINT NOT NULL REFERENCES audit_leaves (leaf_index),
    run TEXT NOT NULL UNIQUE REFERENCES runs (run),
    result TEXT NOT NULL,
    facts TEXT NOT NULL REFERENCES disclosure_facts (digest),
    day TEXT NOT NULL CHECK (day ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'),
    persons TEXT,
    kept_until TEXT CHECK (kept_until ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$')
);

CREATE INDEX disclosures_by_facts ON disclosures (facts, result, day);
CREATE INDEX disclosures_by_day ON disclosures (day);

-- Who is in released records: sealed chunks, those of the same person numbers beside each other.
CREATE TABLE disclosure_persons (
    chunk BIGINT NOT NULL,
    receipt BIGINT NOT NULL REFERENCES disclosures (receipt),
    sealed BYTEA NOT NULL,
    PRIMARY KEY (chunk, receipt)
);

CREATE INDEX disclosure_persons_by_release ON disclosure_persons (receipt);

-- Kept at least five years (KPR regulation 4-10), whatever the program would do.
CREATE FUNCTION kpr_disclosure_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM disclosures d WHERE d.receipt = OLD.receipt AND d.day::date + INTERVAL '5 years' > CURRENT_DATE
    ) THEN
        RAISE EXCEPTION 'disclosures are kept at least five years';
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION kpr_facts_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM disclosures d WHERE d.facts = OLD.digest) THEN
        RAISE EXCEPTION 'disclosures are kept at least five years';
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION kpr_is_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what is kept in % does not change', TG_TABLE_NAME;
END $$;

CREATE TRIGGER disclosures_kept BEFORE DELETE ON disclosures FOR EACH ROW EXECUTE FUNCTION kpr_disclosure_is_kept();
CREATE TRIGGER disclosures_unchanged BEFORE UPDATE OR TRUNCATE ON disclosures EXECUTE FUNCTION kpr_is_unchanged();
CREATE TRIGGER disclosure_persons_kept BEFORE DELETE ON disclosure_persons
    FOR EACH ROW EXECUTE FUNCTION kpr_disclosure_is_kept();
CREATE TRIGGER disclosure_persons_unchanged BEFORE UPDATE OR TRUNCATE ON disclosure_persons
    EXECUTE FUNCTION kpr_is_unchanged();
CREATE TRIGGER disclosure_facts_kept BEFORE DELETE ON disclosure_facts FOR EACH ROW EXECUTE FUNCTION kpr_facts_are_kept();
CREATE TRIGGER disclosure_facts_unchanged BEFORE UPDATE OR TRUNCATE ON disclosure_facts
    EXECUTE FUNCTION kpr_is_unchanged();

-- What a person has restricted, and lifted again: the last row of a person and restriction holds. Rows are added only.
CREATE TABLE person_restrictions (
    entry BIGINT NOT NULL PRIMARY KEY,
    person_no BIGINT NOT NULL,
    restriction TEXT NOT NULL,
    active BIGINT NOT NULL CHECK (active IN (0, 1)),
    portal TEXT NOT NULL,
    set_at TEXT NOT NULL
);

CREATE INDEX person_restrictions_by_person ON person_restrictions (person_no, restriction, entry);
CREATE INDEX person_restrictions_by_kind ON person_restrictions (restriction, person_no, entry);

CREATE TRIGGER person_restrictions_unchanged BEFORE DELETE OR UPDATE OR TRUNCATE ON person_restrictions
    EXECUTE FUNCTION kpr_is_unchanged();

-- Erasures that persons have asked for: rows dated up to the day are taken out of the register. Carried out with the
-- snapshot named.
CREATE TABLE person_erasures (
    entry BIGINT NOT NULL PRIMARY KEY,
    person_no BIGINT NOT NULL,
    day TEXT NOT NULL,
    portal TEXT NOT NULL,
    asked TEXT NOT NULL,
    snapshot TEXT
);

CREATE INDEX person_erasures_by_person ON person_erasures (person_no);

-- Corrections that persons have asked the sender of a delivery for; the texts are sealed.
CREATE TABLE person_corrections (
    entry BIGINT NOT NULL PRIMARY KEY,
    person_no BIGINT NOT NULL,
    delivery TEXT NOT NULL,
    sender TEXT NOT NULL,
    dataset TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    portal TEXT NOT NULL,
    asked TEXT NOT NULL
);
