-- name: document_find
-- One object.
SELECT body, created_at, updated_at, version FROM documents WHERE kind = :kind AND tenant = :tenant AND key = :key

-- name: documents_find @sqlite
-- Objects of one kind by their tenants and keys.
SELECT d.tenant, d.key, d.body FROM json_each(:places) one
JOIN documents d ON d.kind = :kind AND d.tenant = one.value ->> 0 AND d.key = one.value ->> 1

-- name: documents_find @postgres
-- Objects of one kind by their tenants and keys.
SELECT d.tenant, d.key, d.body FROM json_array_elements(:places::json) AS one (value)
JOIN documents d ON d.kind = :kind AND d.tenant = one.value ->> 0 AND d.key = one.value ->> 1

-- name: documents_newest
-- Objects of one kind by key, the last first, before the key :before, created in a time range.
SELECT key, body, created_at, updated_at, version FROM documents
WHERE kind = :kind AND tenant = :tenant AND key < :before AND created_at >= :since AND created_at < :until
ORDER BY key DESC LIMIT :limit

-- name: document_write
-- Create or replace an object.
INSERT INTO documents (kind, tenant, key, body, created_at, updated_at)
VALUES (:kind, :tenant, :key, :body, :now, :now)
ON CONFLICT (kind, tenant, key) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at
RETURNING created_at, updated_at

-- name: document_create
-- Create an object; nothing if it exists.
INSERT INTO documents (kind, tenant, key, body, created_at, updated_at)
VALUES (:kind, :tenant, :key, :body, :now, :now)
ON CONFLICT (kind, tenant, key) DO NOTHING
RETURNING key

-- name: document_lock
-- An object with this body. Nothing else changes it until the transaction ends.
UPDATE documents SET updated_at = updated_at
WHERE kind = :kind AND tenant = :tenant AND key = :key AND body = :body RETURNING key

-- name: document_current_version
-- State which version an object is.
UPDATE documents SET version = :version WHERE kind = :kind AND tenant = :tenant AND key = :key

-- name: document_delete
-- Delete an object, and who manages it: a later object with its key is another one.
DELETE FROM documents WHERE kind = :kind AND tenant = :tenant AND key = :key
OR kind = 'managed' AND tenant = :tenant AND key = :kind || '/' || :key RETURNING kind

-- name: documents_full
-- A row if there are :limit objects of one kind, and not this one.
SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM documents WHERE kind = :kind AND tenant = :tenant AND key = :key)
AND (SELECT count(*) FROM (SELECT 1 FROM documents WHERE kind = :kind AND tenant = :tenant LIMIT :limit) few) >= :limit

-- name: documents_expire
-- Delete objects of one kind that were last changed before a time.
DELETE FROM documents WHERE (kind, tenant, key) IN (
  SELECT kind, tenant, key FROM documents WHERE kind = :kind AND updated_at < :before LIMIT :limit
) RETURNING key

-- list: documents
-- Objects of one kind, by tenant and key.
SELECT tenant, key, body, created_at, updated_at, version
FROM documents
WHERE kind = :kind
ORDER BY tenant, key

-- list: documents_by_text
-- Objects of one kind whose key contains a text, by tenant and key.
SELECT tenant, key, body, created_at, updated_at, version
FROM documents
WHERE kind = :kind
FILTER CAST(:text AS TEXT) IS NULL OR lower(key) LIKE lower(:text) ESCAPE '\'
ORDER BY tenant, key
