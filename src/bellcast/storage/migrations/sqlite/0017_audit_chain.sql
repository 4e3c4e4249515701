-- The audit log of operators, as a chain: `mac` authenticates the entry and `previous`, the `mac` of the entry with the number
-- before. Replaces the table `audit`, which no release wrote.
CREATE TABLE audit_entries (
  id TEXT PRIMARY KEY,
  number INTEGER NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  tenant TEXT,
  changes TEXT NOT NULL,
  outcome TEXT NOT NULL,
  address TEXT,
  request_id TEXT NOT NULL,
  previous BLOB NOT NULL,
  mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
