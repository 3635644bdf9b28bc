-- Rows that a partner has sent and that an approval lets be used again (KPR regulation 4-11), sealed: by the digest of which rows they
-- are, with the run that gathered them.
CREATE TABLE linked_sets (
    set_digest TEXT NOT NULL PRIMARY KEY,
    project TEXT NOT NULL,
    approval TEXT NOT NULL,
    run TEXT NOT NULL,
    until TEXT NOT NULL,
    sealed BYTEA NOT NULL
);
