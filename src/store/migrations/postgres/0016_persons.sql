-- What the log commits to of a set of persons: how many chunks it has and the root of the Merkle tree over them (RFC 6962),
-- and with each chunk the proof that it is one of them. So one chunk is checked without the others.
ALTER TABLE disclosures ADD COLUMN chunks BIGINT;
ALTER TABLE disclosures ADD COLUMN root TEXT;
ALTER TABLE disclosure_persons ADD COLUMN proof BYTEA;

CREATE INDEX disclosures_of_records ON disclosures (receipt) WHERE persons IS NOT NULL;

-- Of a correction that is asked for: the sender's own key of the record, and the column, where the person named them.
ALTER TABLE person_corrections ADD COLUMN record TEXT;
ALTER TABLE person_corrections ADD COLUMN field TEXT;
