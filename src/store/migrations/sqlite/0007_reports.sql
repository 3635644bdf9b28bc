-- What stewards are told of a released table and its recipient is not, sealed by disclosure control.
CREATE TABLE disclosure_reports (
    run TEXT NOT NULL PRIMARY KEY REFERENCES results (run),
    sealed BLOB NOT NULL
);
