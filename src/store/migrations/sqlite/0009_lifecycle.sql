-- The life of projects: what stewards recorded, step by step. Rows are added and never changed or taken away.
-- Days are ISO 8601; a step has the columns that its kind has and no other.

CREATE TABLE project_steps (
    project TEXT NOT NULL,
    step INTEGER NOT NULL CHECK (step >= 1),
    kind TEXT NOT NULL,
    version INTEGER,
    day TEXT,
    words TEXT,
    steward TEXT,
    recorded_by TEXT NOT NULL,
    recorded TEXT NOT NULL,
    PRIMARY KEY (project, step),
    FOREIGN KEY (project, version) REFERENCES projects (project, version)
);

-- What was entered and signed before there were steps: received and complete on the day it was entered. A version that had
-- fewer than two signatures when the next one was entered is taken for withdrawn.
INSERT INTO project_steps (project, step, kind, version, day, words, steward, recorded_by, recorded)
SELECT project, ROW_NUMBER() OVER (PARTITION BY project ORDER BY version, place, recorded, recorded_by),
       kind, version, day, words, steward, recorded_by, recorded
FROM (
    SELECT project, version, 1 AS place, 'received' AS kind, substr(entered, 1, 10) AS day, CAST(NULL AS TEXT) AS words,
           CAST(NULL AS TEXT) AS steward, 'unrecorded' AS recorded_by, entered AS recorded
    FROM projects
    UNION ALL
    SELECT project, version, 2, 'complete', substr(entered, 1, 10), NULL, NULL, 'unrecorded', entered
    FROM projects
    UNION ALL
    SELECT project, version, 3, 'signed', NULL, NULL, steward, steward, signed
    FROM (SELECT s.*, ROW_NUMBER() OVER (PARTITION BY project, version ORDER BY signed, steward) AS nth
          FROM project_signatures AS s) AS numbered
    WHERE nth <= 2
    UNION ALL
    SELECT p.project, p.version, 4, 'withdrawn', NULL, 'a later version was entered', NULL, 'unrecorded', p.entered
    FROM projects AS p
    WHERE EXISTS (SELECT 1 FROM projects AS l WHERE l.project = p.project AND l.version > p.version)
      AND (SELECT COUNT(*) FROM project_signatures AS s WHERE s.project = p.project AND s.version = p.version) < 2
) AS earlier;

-- Hours that stewards have worked on projects. One who has registered too much adds a row with less than nothing.
CREATE TABLE project_hours (
    steward TEXT NOT NULL,
    entry TEXT NOT NULL,
    project TEXT NOT NULL,
    day TEXT NOT NULL,
    minutes INTEGER NOT NULL CHECK (minutes <> 0),
    what TEXT NOT NULL,
    registered TEXT NOT NULL,
    PRIMARY KEY (steward, entry)
);

CREATE INDEX project_hours_by_project ON project_hours (project);

-- What runs took of the machine, in microseconds.
CREATE TABLE run_work (
    run TEXT NOT NULL PRIMARY KEY REFERENCES runs (run),
    executing_us INTEGER NOT NULL CHECK (executing_us >= 0),
    protecting_us INTEGER NOT NULL CHECK (protecting_us >= 0)
);

CREATE INDEX runs_by_project ON runs (project);
