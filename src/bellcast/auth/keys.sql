-- name: key_insert
-- Add a key.
INSERT INTO api_keys (id, name, scopes, tenants, digest, created_at, expires_at)
VALUES (:id, :name, :scopes, :tenants, :digest, :created_at, :expires_at)

-- name: key_find
-- A key by its id, with the digest of its secret.
SELECT id, name, scopes, tenants, created_at, revoked_at, used_at, expires_at, digest FROM api_keys WHERE id = :id

-- name: key_all
-- All keys, oldest first.
SELECT id, name, scopes, tenants, created_at, revoked_at, used_at, expires_at FROM api_keys ORDER BY created_at, id

-- name: key_revoke
-- Revoke a key. Its row stays, so that its use is refused with the reason.
UPDATE api_keys SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL RETURNING id

-- name: key_use
-- Record the use of a key.
UPDATE api_keys SET used_at = :now WHERE id = :id AND (used_at IS NULL OR used_at < :now)
