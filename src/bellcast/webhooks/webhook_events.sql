-- name: webhook_event_insert
-- An event to deliver to webhooks.
INSERT INTO webhook_events (id, tenant, recipient, type, body) VALUES (:id, :tenant, :recipient, :type, :body)

-- name: webhook_event_find
-- One event.
SELECT id, tenant, recipient, type, body FROM webhook_events WHERE id = :id

-- name: webhook_events_page
-- Events of all tenants after the id :after, oldest first.
SELECT id, tenant, recipient, type, body FROM webhook_events WHERE id > :after ORDER BY id LIMIT :limit

-- name: webhook_events_of
-- Events of one tenant after the id :after, oldest first.
SELECT id, tenant, recipient, type, body FROM webhook_events
WHERE tenant = :tenant AND id > :after ORDER BY id LIMIT :limit

-- name: webhook_events_recent
-- The newest events of all tenants since the id :since, at most :most.
SELECT 1, id, tenant, type FROM webhook_events WHERE id < :before AND id >= :since ORDER BY id DESC LIMIT :most

-- name: webhook_events_recent_of_tenant
-- The newest events of a tenant since the id :since, at most :most.
SELECT 1, id, tenant, type FROM webhook_events
WHERE tenant = :tenant AND id < :before AND id >= :since ORDER BY id DESC LIMIT :most

-- name: webhook_events_forget
-- Events before the id :before, at most :limit.
DELETE FROM webhook_events WHERE id IN (
  SELECT id FROM webhook_events WHERE id < :before ORDER BY id LIMIT :limit
)
RETURNING id

-- name: dead_deliveries_forget
-- Delete the dead jobs between two ids, which are the deliveries of a deleted event.
DELETE FROM jobs WHERE id > :first AND id < :last AND state = 'dead'

-- name: erase_webhook_events
-- The events about one recipient.
DELETE FROM webhook_events WHERE tenant = :tenant AND recipient = :key

-- name: erase_webhook_events_of_tenant
-- The events of a tenant.
DELETE FROM webhook_events WHERE tenant = :tenant
