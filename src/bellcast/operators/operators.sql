-- name: operator_owner
-- Any owner.
SELECT id FROM operators WHERE role = 'owner' LIMIT 1

-- name: operator_owners
-- The owners, at most two: whether one is the last.
SELECT id FROM operators WHERE role = 'owner' LIMIT 2

-- name: operator_insert
-- Add an operator, unless its name or its subject is taken.
INSERT INTO operators (id, name, role, tenants, password, created_at, subject)
VALUES (:id, :name, :role, :tenants, :password, :created_at, :subject)
ON CONFLICT DO NOTHING RETURNING id

-- fragment: operator_columns
-- The columns of an operator. An owner has all tenants, and its own again with another role.
id, name, role, CASE WHEN role = 'owner' THEN NULL ELSE tenants END, created_at, seen_at, mfa_secret IS NOT NULL, subject,
  (SELECT count(*) FROM passkeys p WHERE p.operator = operators.id), email

-- name: operator_all
-- All operators, by name.
SELECT {{operator_columns}} FROM operators ORDER BY name

-- name: operator_named
-- An operator by its name, with the hash of its password.
SELECT {{operator_columns}}, password FROM operators WHERE name = :name

-- name: operator_find
-- An operator by its id.
SELECT {{operator_columns}} FROM operators WHERE id = :id

-- name: operator_of_subject
-- The operator that an identity provider signs in.
SELECT {{operator_columns}} FROM operators WHERE subject = :subject

-- name: operator_role
-- The role of an operator, and the hash of its password.
SELECT role, password FROM operators WHERE id = :id

-- name: operator_change_role
-- Change the role.
UPDATE operators SET role = :role WHERE id = :id

-- name: operator_change_tenants
-- Change the tenants; an owner has all.
UPDATE operators SET tenants = :tenants WHERE id = :id AND role <> 'owner'

-- name: operator_change_password
-- Change the password.
UPDATE operators SET password = :password WHERE id = :id

-- name: operator_signed_in
-- Record a sign-in.
UPDATE operators SET seen_at = :now WHERE id = :id

-- name: operator_delete
-- Disable an operator.
DELETE FROM operators WHERE id = :id

-- name: operator_sessions_end
-- Delete all sessions of an operator.
DELETE FROM operator_sessions WHERE operator = :id

-- name: operator_sessions_count
-- Sessions used after a time, by operator.
SELECT operator, count(*) FROM operator_sessions WHERE seen_at > :since GROUP BY operator

-- name: operator_sessions_of
-- The sessions of an operator created and used after these times: one of them first, then the last used.
SELECT digest, created_at, seen_at, verified_at, user_agent FROM operator_sessions
WHERE operator = :operator AND created_at > :created_since AND seen_at > :seen_since
ORDER BY digest = :own DESC, seen_at DESC, digest LIMIT :limit

-- name: operator_session_insert
-- A new session.
INSERT INTO operator_sessions (digest, operator, created_at, seen_at, verified_at, user_agent)
VALUES (:digest, :operator, :now, :now, :verified_at, :user_agent)

-- name: operator_session_find
-- A session with its operator.
SELECT s.created_at, s.seen_at, s.verified_at, o.id, o.name, o.role,
  CASE WHEN o.role = 'owner' THEN NULL ELSE o.tenants END, o.created_at, o.seen_at,
  o.mfa_secret IS NOT NULL, o.subject, (SELECT count(*) FROM passkeys p WHERE p.operator = o.id), o.email
FROM operator_sessions s JOIN operators o ON o.id = s.operator WHERE s.digest = :digest

-- name: operator_session_touch
-- Record the use of a session.
UPDATE operator_sessions SET seen_at = :now WHERE digest = :digest

-- name: operator_session_verify
-- Record that the password was entered in a session.
UPDATE operator_sessions SET verified_at = :now WHERE digest = :digest

-- name: operator_mfa
-- The encrypted secret of an authenticator app, and one that is not confirmed yet.
SELECT mfa_secret, mfa_pending FROM operators WHERE id = :id

-- name: operator_mfa_begin
-- Store a secret that is not confirmed yet.
UPDATE operators SET mfa_pending = :pending WHERE id = :id

-- name: operator_mfa_confirm
-- Activate the new secret, with the period of the code that confirmed it.
UPDATE operators SET mfa_secret = mfa_pending, mfa_pending = NULL, mfa_step = :step
WHERE id = :id AND mfa_pending = :pending RETURNING id

-- name: operator_mfa_use
-- A code is accepted once: of two transactions with the same period, the second finds no row.
UPDATE operators SET mfa_step = :step WHERE id = :id AND (mfa_step IS NULL OR mfa_step < :step) RETURNING id

-- name: operator_email_begin
-- Store an address that is not confirmed yet, with its code, encrypted. Null withdraws it.
UPDATE operators SET email_pending = :pending WHERE id = :id

-- name: operator_email_pending
-- The address that is not confirmed yet.
SELECT email_pending FROM operators WHERE id = :id

-- name: operator_email_confirm
-- Use the new address: of two transactions, the second finds no row.
UPDATE operators SET email = :email, email_pending = NULL WHERE id = :id AND email_pending = :pending RETURNING id

-- name: operator_email_end
-- Remove the address.
UPDATE operators SET email = NULL, email_pending = NULL WHERE id = :id

-- name: operator_mfa_end
-- Remove the second factor.
UPDATE operators SET mfa_secret = NULL, mfa_pending = NULL, mfa_step = NULL WHERE id = :id RETURNING id

-- name: recovery_code_insert
-- A recovery code.
INSERT INTO recovery_codes (digest, operator) VALUES (:digest, :operator) ON CONFLICT (digest) DO NOTHING

-- name: recovery_code_use
-- A recovery code is used once.
DELETE FROM recovery_codes WHERE digest = :digest AND operator = :operator RETURNING digest

-- name: recovery_codes_end
-- Delete the recovery codes of an operator.
DELETE FROM recovery_codes WHERE operator = :operator

-- name: passkeys_of
-- The passkeys of an operator.
SELECT id, operator, credential, public_key, name, counter, created_at, used_at FROM passkeys WHERE operator = :operator
ORDER BY id

-- name: passkey_of_credential
-- A passkey by the id that its authenticator chose.
SELECT id, operator, credential, public_key, name, counter, created_at, used_at FROM passkeys WHERE credential = :credential

-- name: passkey_insert
-- A passkey, unless it is known.
INSERT INTO passkeys (id, operator, credential, public_key, name, counter, created_at)
VALUES (:id, :operator, :credential, :public_key, :name, :counter, :created_at) ON CONFLICT DO NOTHING RETURNING id

-- name: passkey_use
-- Record a sign-in. A counter that does not grow belongs to a copy of the authenticator; some authenticators have none.
UPDATE passkeys SET counter = :counter, used_at = :now
WHERE id = :id AND (counter < :counter OR (counter = 0 AND :counter = 0)) RETURNING id

-- name: passkey_delete
-- Delete a passkey of an operator.
DELETE FROM passkeys WHERE id = :id AND operator = :operator RETURNING id

-- name: passkeys_end
-- Delete the passkeys of an operator.
DELETE FROM passkeys WHERE operator = :operator

-- name: operator_session_end
-- Delete one session.
DELETE FROM operator_sessions WHERE digest = :digest

-- name: operator_session_end_of
-- Delete one session of an operator; return it.
DELETE FROM operator_sessions WHERE operator = :operator AND digest = :digest
RETURNING created_at, seen_at, verified_at, user_agent

-- name: sign_in_use
-- A sign-in returns from the provider once.
INSERT INTO used_sign_ins (digest, expires_at) VALUES (:digest, :expires_at) ON CONFLICT (digest) DO NOTHING RETURNING digest

-- name: used_sign_ins_expire
-- Sign-ins that would be refused as too old.
DELETE FROM used_sign_ins WHERE expires_at <= :now

-- name: setup_code_insert
-- A code for the first set-up.
INSERT INTO setup_codes (digest, expires_at) VALUES (:digest, :expires_at) ON CONFLICT (digest) DO NOTHING

-- name: setup_code_use
-- A code is used once: of two transactions, the second finds no row.
DELETE FROM setup_codes WHERE digest = :digest AND expires_at > :now RETURNING digest

-- name: setup_codes_expire
-- Expired codes.
DELETE FROM setup_codes WHERE expires_at <= :now

-- name: setup_codes_end
-- No code is valid once an owner exists.
DELETE FROM setup_codes

-- name: sign_in_failure_insert
-- A failed sign-in.
INSERT INTO sign_in_failures (subject, id, at) VALUES (:subject, :id, :at)

-- name: sign_in_failure_delete
-- An attempt that did not fail because of the caller.
DELETE FROM sign_in_failures WHERE id = :id

-- name: sign_in_failures_of
-- The number of failures of a subject between two times, and the time of the last.
SELECT count(*), max(at) FROM sign_in_failures WHERE subject = :subject AND at > :since AND at < :until

-- name: sign_in_failures_clear
-- A successful sign-in clears the failures of its account.
DELETE FROM sign_in_failures WHERE subject = :subject

-- name: setup_failures_clear
-- A new code clears the failed set-ups of all networks: their subjects begin with `setup:`.
DELETE FROM sign_in_failures WHERE subject >= :first AND subject < :last

-- name: operator_sessions_sweep
-- Sessions that have expired, at most :limit.
DELETE FROM operator_sessions WHERE digest IN (
  SELECT digest FROM operator_sessions WHERE created_at < :before ORDER BY created_at LIMIT :limit
)
RETURNING digest

-- name: sign_in_failures_sweep
-- Failures that no longer count, at most :limit.
DELETE FROM sign_in_failures WHERE id IN (
  SELECT id FROM sign_in_failures WHERE at < :before ORDER BY at LIMIT :limit
)
RETURNING id
