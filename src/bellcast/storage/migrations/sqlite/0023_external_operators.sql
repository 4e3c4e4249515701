-- Operators of an identity provider: its issuer and the subject there. Only the provider signs them in.
ALTER TABLE operators ADD COLUMN subject TEXT;
CREATE UNIQUE INDEX operators_subject ON operators (subject) WHERE subject IS NOT NULL;

-- Sign-ins that returned from the provider, by a digest of their state, so that none is used twice.
CREATE TABLE used_sign_ins (
  digest BLOB PRIMARY KEY,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_sign_ins_expiry ON used_sign_ins (expires_at);
