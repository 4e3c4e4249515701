-- name: idempotency_find
-- The response stored under an idempotency key.
SELECT fingerprint, answer FROM idempotency WHERE tenant = :tenant AND key = :key AND created_at > :since

-- name: idempotency_keep
-- Store a response under its idempotency key; an expired one is replaced. No row: another process stored one first.
INSERT INTO idempotency (tenant, key, fingerprint, answer, created_at)
VALUES (:tenant, :key, :fingerprint, :response, :created_at)
ON CONFLICT (tenant, key) DO UPDATE
SET fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = excluded.created_at
WHERE idempotency.created_at <= :since
RETURNING key

-- name: idempotency_forget
-- Delete the oldest idempotency keys from before a time.
DELETE FROM idempotency WHERE (tenant, key) IN (
  SELECT tenant, key FROM idempotency WHERE created_at < :older_than ORDER BY created_at LIMIT :limit
)
RETURNING key

-- name: erase_idempotency
-- Delete the stored responses of a tenant, which name its recipients.
DELETE FROM idempotency WHERE tenant = :tenant
