-- name: key_insert
-- A key as it is made.
INSERT INTO api_keys (id, name, scopes, tenants, digest, created_at)
VALUES (:id, :name, :scopes, :tenants, :digest, :created_at)

-- name: key_find
-- A key by its id, with the digest of its secret.
SELECT id, name, scopes, tenants, created_at, revoked_at, digest FROM api_keys WHERE id = :id

-- name: key_all
-- Every key, oldest first.
SELECT id, name, scopes, tenants, created_at, revoked_at FROM api_keys ORDER BY created_at, id

-- name: key_revoke
-- A key ends; its row stays to say so.
UPDATE api_keys SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL RETURNING id
