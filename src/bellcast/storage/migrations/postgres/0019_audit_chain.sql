-- The audit log of operators, as a chain: `mac` authenticates the entry and `previous`, the `mac` of the entry with the number
-- before. Replaces the table `audit`, which no release wrote.
CREATE TABLE audit_entries (
  id TEXT COLLATE "C" PRIMARY KEY,
  number BIGINT NOT NULL UNIQUE,
  at BIGINT NOT NULL,
  actor TEXT COLLATE "C" NOT NULL,
  action TEXT COLLATE "C" NOT NULL,
  target TEXT COLLATE "C" NOT NULL,
  tenant TEXT COLLATE "C",
  changes TEXT COLLATE "C" NOT NULL,
  outcome TEXT COLLATE "C" NOT NULL,
  address TEXT COLLATE "C",
  request_id TEXT COLLATE "C" NOT NULL,
  previous BYTEA NOT NULL,
  mac BYTEA NOT NULL
);
