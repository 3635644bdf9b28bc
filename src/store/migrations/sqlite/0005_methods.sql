-- By which method the table of each run is protected, and of which data domain. True counts beside noisy ones of the
-- same data would take the noise off.
CREATE TABLE ledger_methods (
    run TEXT NOT NULL PRIMARY KEY REFERENCES runs (run),
    organisation TEXT NOT NULL,
    domain TEXT NOT NULL,
    method TEXT NOT NULL
);

CREATE INDEX ledger_methods_by_domain ON ledger_methods (domain);
