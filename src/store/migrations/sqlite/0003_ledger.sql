-- The release ledger. Times are RFC 3339 in UTC, days are YYYY-MM-DD; digests are 64 hexadecimal digits.

-- Counts every change of what somebody knows. A judgement is recorded only if nothing has changed since
-- what it was made on was read.
CREATE TABLE ledger_head (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL
);

INSERT INTO ledger_head (id, size) VALUES (1, 0);

CREATE TABLE ledger_releases (
    entry INTEGER NOT NULL PRIMARY KEY,
    run TEXT NOT NULL UNIQUE REFERENCES runs (run),
    organisation TEXT NOT NULL,
    project TEXT NOT NULL,
    published INTEGER NOT NULL,
    snapshot TEXT NOT NULL,
    question TEXT NOT NULL,
    definition BLOB NOT NULL,
    pattern BLOB NOT NULL,
    lives_until TEXT NOT NULL,
    recorded TEXT NOT NULL
);

CREATE INDEX ledger_releases_by_organisation ON ledger_releases (organisation);

-- Who is in the cells of a release, sealed. A row here is deleted when its time is up, the release stays.
CREATE TABLE ledger_memberships (
    entry INTEGER NOT NULL PRIMARY KEY REFERENCES ledger_releases (entry),
    sealed BLOB NOT NULL
);

-- Refusals, so that the same question of the same data is refused again whatever has happened since.
CREATE TABLE ledger_refusals (
    organisation TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    question TEXT NOT NULL,
    code TEXT NOT NULL,
    recorded TEXT NOT NULL,
    PRIMARY KEY (organisation, snapshot, question)
);
