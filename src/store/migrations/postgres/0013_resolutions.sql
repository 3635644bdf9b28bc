-- Resolutions of serial numbers by two stewards: the statement in its canonical encoding, its signatures, and when it was
-- handed to the identity service. No identity number and no person number. Times are RFC 3339 in UTC; digests are 64
-- hexadecimal digits.

CREATE TABLE resolutions (
    statement TEXT NOT NULL PRIMARY KEY,
    canonical BYTEA NOT NULL,
    handed_over TEXT
);

CREATE TABLE resolution_signatures (
    statement TEXT NOT NULL REFERENCES resolutions (statement),
    steward TEXT NOT NULL,
    signature TEXT NOT NULL,
    signed TEXT NOT NULL,
    PRIMARY KEY (statement, steward)
);
