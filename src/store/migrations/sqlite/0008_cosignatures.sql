-- The cosignatures of witnesses: for the checkpoint of a size, the line that a witness adds to its note.

CREATE TABLE audit_cosignatures (
    size INTEGER NOT NULL REFERENCES audit_checkpoints (size),
    witness TEXT NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (size, witness)
);
