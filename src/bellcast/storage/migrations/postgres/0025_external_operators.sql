-- Operators of an identity provider: its issuer and the subject there. Only the provider signs them in.
ALTER TABLE operators ADD COLUMN subject TEXT COLLATE "C";
CREATE UNIQUE INDEX operators_subject ON operators (subject) WHERE subject IS NOT NULL;

-- Sign-ins that returned from the provider, by a digest of their state, so that none is used twice.
CREATE TABLE used_sign_ins (
  digest BYTEA PRIMARY KEY,
  expires_at BIGINT NOT NULL
);
CREATE INDEX used_sign_ins_expiry ON used_sign_ins (expires_at);
