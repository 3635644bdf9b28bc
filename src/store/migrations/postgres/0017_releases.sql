-- Whether a release is of records is said by what it is, and not by whether a set of persons stands beside it.
DROP INDEX disclosures_of_records;
CREATE INDEX disclosures_of_records ON disclosures (receipt) WHERE result <> 'table';

-- What everybody is told of tables is read from this alone; whether facts still have releases needs less than before.
CREATE INDEX disclosures_of_tables ON disclosures (facts, day, result) WHERE result = 'table';
DROP INDEX disclosures_by_facts;
CREATE INDEX disclosures_by_facts ON disclosures (facts);

-- The release that a leaf of the log has entered: at start each is held against the other.
CREATE INDEX disclosures_by_entry ON disclosures (entered);
