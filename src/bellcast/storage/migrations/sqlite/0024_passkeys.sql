-- Passkeys of operators: the id that the authenticator chose, and its public key. `counter` is that of the last sign-in.
CREATE TABLE passkeys (
  id TEXT PRIMARY KEY,
  operator TEXT NOT NULL,
  credential BLOB NOT NULL UNIQUE,
  public_key BLOB NOT NULL,
  name TEXT NOT NULL,
  counter INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX passkeys_operator ON passkeys (operator);
