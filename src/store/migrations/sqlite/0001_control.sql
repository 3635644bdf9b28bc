-- Control data: projects, submissions, runs, results, publications, the audit log.
-- Times are RFC 3339 in UTC; digests are 64 hexadecimal digits.

CREATE TABLE projects (
    project TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    canonical BLOB NOT NULL,
    entered TEXT NOT NULL,
    PRIMARY KEY (project, version)
);

CREATE TABLE project_signatures (
    project TEXT NOT NULL,
    version INTEGER NOT NULL,
    steward TEXT NOT NULL,
    signature TEXT NOT NULL,
    signed TEXT NOT NULL,
    PRIMARY KEY (project, version, steward),
    FOREIGN KEY (project, version) REFERENCES projects (project, version)
);

CREATE TABLE runs (
    run TEXT NOT NULL PRIMARY KEY,
    organisation TEXT NOT NULL,
    project TEXT NOT NULL,
    query BLOB NOT NULL,
    approval_digest TEXT NOT NULL,
    phase TEXT NOT NULL,
    code TEXT,
    hint TEXT,
    created TEXT NOT NULL
);

CREATE INDEX runs_by_phase ON runs (phase);

CREATE TABLE submissions (
    organisation TEXT NOT NULL,
    request_id TEXT NOT NULL,
    caller TEXT NOT NULL,
    query_digest TEXT NOT NULL,
    run TEXT NOT NULL REFERENCES runs (run) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (organisation, request_id)
);

CREATE TABLE audit_head (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    frontier BLOB NOT NULL
);

INSERT INTO audit_head (id, size, frontier) VALUES (1, 0, x'');

CREATE TABLE audit_leaves (
    leaf_index INTEGER NOT NULL PRIMARY KEY,
    leaf BLOB NOT NULL
);

-- What a leaf's commitment opens to. A row here can be erased; the leaf and its log stay as they are.
CREATE TABLE audit_details (
    leaf_index INTEGER NOT NULL PRIMARY KEY REFERENCES audit_leaves (leaf_index),
    salt BLOB NOT NULL,
    fields BLOB NOT NULL
);

CREATE TABLE audit_checkpoints (
    size INTEGER NOT NULL PRIMARY KEY,
    note TEXT NOT NULL
);

-- Intents and, once there is one, the leaf that closed them.
CREATE TABLE audit_intents (
    leaf_index INTEGER NOT NULL PRIMARY KEY REFERENCES audit_leaves (leaf_index),
    run TEXT NOT NULL UNIQUE REFERENCES runs (run),
    closed_by INTEGER REFERENCES audit_leaves (leaf_index)
);

CREATE TABLE results (
    run TEXT NOT NULL PRIMARY KEY REFERENCES runs (run),
    digest TEXT NOT NULL,
    bytes BLOB NOT NULL,
    receipt INTEGER NOT NULL UNIQUE REFERENCES audit_leaves (leaf_index)
);

CREATE TABLE publications (
    table_id TEXT NOT NULL PRIMARY KEY,
    run TEXT NOT NULL REFERENCES results (run),
    digest TEXT NOT NULL,
    title TEXT NOT NULL,
    published TEXT NOT NULL
);
