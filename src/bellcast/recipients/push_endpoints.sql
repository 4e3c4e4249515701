-- name: push_endpoint_find
-- An endpoint by its address, with its recipient's inbox.
SELECT id, recipient FROM push_endpoints WHERE address = :address

-- name: push_endpoint_write
-- Register an endpoint; a known one moves to this recipient.
INSERT INTO push_endpoints (id, tenant, recipient, kind, address, p256dh, auth, registered_at)
VALUES (:id, :tenant, :inbox, :kind, :address, :public_key, :auth, :registered_at)
ON CONFLICT (address) DO UPDATE SET
  tenant = excluded.tenant, recipient = excluded.recipient, kind = excluded.kind, p256dh = excluded.p256dh, auth = excluded.auth,
  registered_at = excluded.registered_at
RETURNING id

-- name: push_endpoints_of
-- A recipient's endpoints, newest first.
SELECT e.id, e.kind, e.address, e.p256dh, e.auth, e.registered_at
FROM recipients r JOIN push_endpoints e ON e.recipient = r.id
WHERE r.tenant = :tenant AND r.key = :key ORDER BY e.registered_at DESC, e.id DESC

-- name: push_addresses @sqlite
-- The addresses of recipients, newest first.
SELECT r.key, e.address FROM json_each(:keys) k
JOIN recipients r ON r.tenant = :tenant AND r.key = k.value
JOIN push_endpoints e ON e.recipient = r.id
ORDER BY e.registered_at DESC, e.id DESC

-- name: push_addresses @postgres
-- The addresses of recipients, newest first.
SELECT r.key, e.address FROM recipients r JOIN push_endpoints e ON e.recipient = r.id
WHERE r.tenant = :tenant AND r.key = ANY(ARRAY(SELECT value FROM json_array_elements_text(:keys::json)))
ORDER BY e.registered_at DESC, e.id DESC

-- name: push_endpoint_delete
-- Delete an endpoint of a recipient.
DELETE FROM push_endpoints
WHERE id = :id AND recipient = (SELECT id FROM recipients WHERE tenant = :tenant AND key = :key)
RETURNING id

-- name: push_endpoint_delete_gone
-- Delete an endpoint that the push service no longer knows.
DELETE FROM push_endpoints WHERE tenant = :tenant AND address = :address

-- name: erase_push_endpoints
-- The endpoints of one recipient.
DELETE FROM push_endpoints WHERE recipient = :inbox
