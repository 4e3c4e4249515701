-- Passkeys of operators: the id that the authenticator chose, and its public key. `counter` is that of the last sign-in.
CREATE TABLE passkeys (
  id TEXT COLLATE "C" PRIMARY KEY,
  operator TEXT COLLATE "C" NOT NULL,
  credential BYTEA NOT NULL UNIQUE,
  public_key BYTEA NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  counter BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  used_at BIGINT
);
CREATE INDEX passkeys_operator ON passkeys (operator);
