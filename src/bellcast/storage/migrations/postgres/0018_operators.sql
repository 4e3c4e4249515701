-- Operators of the console. `password` is an Argon2id hash.
CREATE TABLE operators (
  id TEXT COLLATE "C" PRIMARY KEY,
  name TEXT COLLATE "C" NOT NULL UNIQUE,
  role TEXT COLLATE "C" NOT NULL,
  password TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  seen_at BIGINT
);
CREATE INDEX operators_owner ON operators (role) WHERE role = 'owner';

-- Sessions of operators, by the SHA-256 digest of their token.
CREATE TABLE operator_sessions (
  digest BYTEA PRIMARY KEY,
  operator TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL
);
CREATE INDEX operator_sessions_operator ON operator_sessions (operator);
CREATE INDEX operator_sessions_created ON operator_sessions (created_at);

-- Codes for the first setup, by their SHA-256 digest.
CREATE TABLE setup_codes (
  digest BYTEA PRIMARY KEY,
  expires_at BIGINT NOT NULL
);

-- Failed sign-ins and setups by account and by address.
CREATE TABLE sign_in_failures (
  id TEXT COLLATE "C" PRIMARY KEY,
  subject TEXT COLLATE "C" NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX sign_in_failures_subject ON sign_in_failures (subject, at);
CREATE INDEX sign_in_failures_at ON sign_in_failures (at, id);

-- The audit log of operators. Ids are in chronological order.
CREATE TABLE audit (
  id TEXT COLLATE "C" PRIMARY KEY,
  at BIGINT NOT NULL,
  operator TEXT COLLATE "C" NOT NULL,
  role TEXT COLLATE "C",
  action TEXT COLLATE "C" NOT NULL,
  target TEXT COLLATE "C" NOT NULL,
  outcome TEXT COLLATE "C" NOT NULL,
  address TEXT COLLATE "C",
  request_id TEXT COLLATE "C" NOT NULL
);
