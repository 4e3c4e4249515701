-- A second factor: the encrypted secret of the authenticator app, a new one that is not confirmed yet, and the period of
-- the last accepted code, so that none is accepted twice.
ALTER TABLE operators ADD COLUMN mfa_secret TEXT COLLATE "C";
ALTER TABLE operators ADD COLUMN mfa_pending TEXT COLLATE "C";
ALTER TABLE operators ADD COLUMN mfa_step BIGINT;

-- When the operator last entered the password in a session.
ALTER TABLE operator_sessions ADD COLUMN verified_at BIGINT NOT NULL DEFAULT 0;

-- Recovery codes, by their SHA-256 digest.
CREATE TABLE recovery_codes (
  digest BYTEA PRIMARY KEY,
  operator TEXT COLLATE "C" NOT NULL
);
CREATE INDEX recovery_codes_operator ON recovery_codes (operator);
