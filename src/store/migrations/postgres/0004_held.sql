-- Microdata that wait for two stewards. Times are RFC 3339 in UTC, days are YYYY-MM-DD; digests are 64 hexadecimal
-- digits. The sealed records are erased when they are released or refused; what was signed stays.

CREATE TABLE held_results (
    run TEXT NOT NULL PRIMARY KEY REFERENCES runs (run),
    intent BIGINT NOT NULL REFERENCES audit_leaves (leaf_index),
    result_digest TEXT NOT NULL,
    risk_digest TEXT NOT NULL,
    risk BYTEA NOT NULL,
    sealed BYTEA,
    snapshot TEXT NOT NULL,
    question TEXT NOT NULL,
    held TEXT NOT NULL,
    lapses TEXT NOT NULL
);

CREATE TABLE held_signatures (
    run TEXT NOT NULL REFERENCES held_results (run),
    steward TEXT NOT NULL,
    signature TEXT NOT NULL,
    signed TEXT NOT NULL,
    PRIMARY KEY (run, steward)
);
