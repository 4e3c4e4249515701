-- A second factor: the encrypted secret of the authenticator app, a new one that is not confirmed yet, and the period of
-- the last accepted code, so that none is accepted twice.
ALTER TABLE operators ADD COLUMN mfa_secret TEXT;
ALTER TABLE operators ADD COLUMN mfa_pending TEXT;
ALTER TABLE operators ADD COLUMN mfa_step INTEGER;

-- When the operator last entered the password in a session.
ALTER TABLE operator_sessions ADD COLUMN verified_at INTEGER NOT NULL DEFAULT 0;

-- Recovery codes, by their SHA-256 digest.
CREATE TABLE recovery_codes (
  digest BLOB PRIMARY KEY,
  operator TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_codes_operator ON recovery_codes (operator);
