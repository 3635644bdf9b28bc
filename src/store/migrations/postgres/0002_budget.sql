-- Privacy budgets: what each run has reserved of its project's. Losses are billionths of rho.

-- One row a project; who reserves holds it, so that reservations of a project come one at a time.
CREATE TABLE budgets (
    project TEXT NOT NULL PRIMARY KEY
);

-- Rows are added and never changed or taken away.
CREATE TABLE budget_reservations (
    run TEXT NOT NULL PRIMARY KEY REFERENCES runs (run),
    project TEXT NOT NULL REFERENCES budgets (project),
    rho BIGINT NOT NULL CHECK (rho > 0),
    allowance BIGINT NOT NULL CHECK (allowance >= spent_before + rho),
    spent_before BIGINT NOT NULL CHECK (spent_before >= 0),
    reserved TEXT NOT NULL
);

CREATE INDEX budget_reservations_by_project ON budget_reservations (project);
