-- Operators of the console. `password` is an Argon2id hash.
CREATE TABLE operators (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL,
  password TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX operators_owner ON operators (role) WHERE role = 'owner';

-- Sessions of operators, by the SHA-256 digest of their token.
CREATE TABLE operator_sessions (
  digest BLOB PRIMARY KEY,
  operator TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX operator_sessions_operator ON operator_sessions (operator);
CREATE INDEX operator_sessions_created ON operator_sessions (created_at);

-- Codes for the first setup, by their SHA-256 digest.
CREATE TABLE setup_codes (
  digest BLOB PRIMARY KEY,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Failed sign-ins and setups by account and by address.
CREATE TABLE sign_in_failures (
  id TEXT PRIMARY KEY,
  subject TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_failures_subject ON sign_in_failures (subject, at);
CREATE INDEX sign_in_failures_at ON sign_in_failures (at, id);

-- The audit log of operators. Ids are in chronological order.
CREATE TABLE audit (
  id TEXT PRIMARY KEY,
  at INTEGER NOT NULL,
  operator TEXT NOT NULL,
  role TEXT,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  outcome TEXT NOT NULL,
  address TEXT,
  request_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
