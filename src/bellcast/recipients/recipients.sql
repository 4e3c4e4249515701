-- name: recipient_first_seen @sqlite
-- Create a recipient on first use. It does not receive earlier announcements, and sessions from before its erasure stay refused.
INSERT INTO recipients (tenant, key, epoch, watermark, created_at, opened, revoked_before)
SELECT :tenant, :key, :epoch, value, :now, 0,
  coalesce((SELECT max(sessions_before) FROM erased WHERE digest IN (:digest, :tenant_digest)), 0)
FROM counters WHERE name = 'announcements'
ON CONFLICT (tenant, key) DO NOTHING

-- name: recipient_first_seen @postgres
-- As on SQLite, but for many recipients: each parameter is a column.
INSERT INTO recipients (tenant, key, epoch, watermark, created_at, opened, revoked_before)
SELECT w.tenant, w.key, w.epoch, c.value, w.now, 0,
  coalesce((SELECT max(sessions_before) FROM erased WHERE digest IN (w.digest, w.tenant_digest)), 0)
FROM counters c CROSS JOIN unnest(
  :tenant::text[], :key::text[], :epoch::bigint[], :now::bigint[], :digest::text[], :tenant_digest::text[]
) w (tenant, key, epoch, now, digest, tenant_digest)
WHERE c.name = 'announcements'
ON CONFLICT (tenant, key) DO NOTHING

-- name: recipient_number
-- The number of a recipient's inbox, and the time before which its sessions are refused.
SELECT id, revoked_before FROM recipients WHERE tenant = :tenant AND key = :key

-- columns: recipient_record
-- The fields of a record that its writes set.
bellcast.recipients.types:RECORD_FIELDS

-- fragment: recipient_columns
-- The columns of a recipient.
tenant, key, roles, created_at, unread, unseen, {{recipient_record}}

-- name: recipient_find
-- A recipient's record.
SELECT {{recipient_columns}} FROM recipients WHERE tenant = :tenant AND key = :key

-- name: recipients_of_keys @sqlite
-- Those of some recipients that exist: each is its tenant and key.
SELECT {{recipient_columns}} FROM recipients WHERE (tenant, key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:owners))

-- name: recipients_of_keys @postgres
-- Those of some recipients that exist: each is its tenant and key.
SELECT r.* FROM json_array_elements(:owners::json) o CROSS JOIN LATERAL (
  SELECT {{recipient_columns}} FROM recipients WHERE tenant = o.value ->> 0 AND key = o.value ->> 1 OFFSET 0
) r

-- list: recipients
-- Recipients by key.
SELECT {{recipient_columns}}
FROM recipients
FILTER key >= :first AND key < :last AND created_at >= :since AND created_at < :until AND (
  CAST(:text AS TEXT) IS NULL OR lower(key) LIKE lower(:text) ESCAPE '\' OR lower(name) LIKE lower(:text) ESCAPE '\'
  OR lower(email) LIKE lower(:text) ESCAPE '\'
)
ORDER BY tenant, key

-- name: recipient_write
-- Write a recipient's record.
UPDATE recipients SET {{recipient_record_values}} WHERE id = :inbox

-- name: recipient_roles
-- Replace the roles of a recipient.
UPDATE recipients SET roles = :roles WHERE id = :inbox

-- name: recipient_revoke
-- Refuse session tokens issued before a time. It never moves back, even if the clock was set back.
UPDATE recipients SET revoked_before = :now WHERE id = :inbox AND revoked_before < :now

-- name: erase_notifications
-- Delete the notifications of a recipient.
DELETE FROM notifications WHERE recipient = :inbox

-- name: erase_tags
-- Delete the tags of its notifications.
DELETE FROM notification_tags WHERE recipient = :inbox

-- name: erase_tombstones
-- Delete its tombstones.
DELETE FROM tombstones WHERE recipient = :inbox

-- name: erase_subscriptions
-- Delete its subscriptions.
DELETE FROM subscriptions WHERE recipient = :inbox

-- name: erase_recipient
-- Delete the recipient.
DELETE FROM recipients WHERE id = :inbox

-- name: erase_devices
-- The last positions sent to the devices of a recipient.
DELETE FROM devices WHERE inbox = :inbox

-- name: erased_keep
-- Refuse sessions from before the erasure, if a recipient with this key is created again. The time never moves back.
INSERT INTO erased (digest, sessions_before) VALUES (:digest, :before)
ON CONFLICT (digest) DO UPDATE SET sessions_before = excluded.sessions_before
WHERE erased.sessions_before < excluded.sessions_before

-- name: recipient_timezones
-- The time zones of a tenant's recipients.
SELECT DISTINCT timezone FROM recipients WHERE tenant = :tenant

-- name: profiles_find @sqlite
-- The profiles of recipients, to address them outside the inbox.
SELECT r.key, r.name, r.email, r.phone, r.chat, r.locale, r.timezone, r.roles, r.data, r.preferences
FROM json_each(:keys) k JOIN recipients r ON r.tenant = :tenant AND r.key = k.value

-- name: profiles_find @postgres
-- The profiles of recipients, to address them outside the inbox.
SELECT r.key, r.name, r.email, r.phone, r.chat, r.locale, r.timezone, r.roles, r.data, r.preferences FROM recipients r
WHERE r.tenant = :tenant AND r.key = ANY(ARRAY(SELECT value FROM json_array_elements_text(:keys::json)))

-- name: export_kinds
-- The kinds of which something is stored about a recipient, which may have no record.
SELECT 'subscription' WHERE EXISTS (
  SELECT 1 FROM recipients r JOIN subscriptions t ON t.recipient = r.id WHERE r.tenant = :tenant AND r.key = :key
)
UNION ALL
SELECT 'notification' WHERE EXISTS (
  SELECT 1 FROM recipients r JOIN notifications t ON t.recipient = r.id WHERE r.tenant = :tenant AND r.key = :key
)
UNION ALL
SELECT 'notification' WHERE EXISTS (
  SELECT 1 FROM recipients r JOIN outside_notifications t ON t.recipient = r.id WHERE r.tenant = :tenant AND r.key = :key
)
UNION ALL
SELECT 'push_endpoint' WHERE EXISTS (
  SELECT 1 FROM recipients r JOIN push_endpoints t ON t.recipient = r.id WHERE r.tenant = :tenant AND r.key = :key
)
UNION ALL
SELECT 'device' WHERE EXISTS (
  SELECT 1 FROM recipients r JOIN devices t ON t.inbox = r.id WHERE r.tenant = :tenant AND r.key = :key
)
UNION ALL
SELECT 'joined_topics' WHERE EXISTS (
  SELECT 1 FROM recipients r JOIN joined_topics t ON t.inbox = r.id WHERE r.tenant = :tenant AND r.key = :key
)
UNION ALL
SELECT 'message' WHERE EXISTS (SELECT 1 FROM messages WHERE tenant = :tenant AND recipient = :key)
UNION ALL
SELECT 'decision' WHERE EXISTS (SELECT 1 FROM decisions WHERE tenant = :tenant AND recipient = :key)
UNION ALL
SELECT 'run' WHERE EXISTS (SELECT 1 FROM runs WHERE tenant = :tenant AND recipient = :key)
UNION ALL
SELECT 'counter' WHERE EXISTS (SELECT 1 FROM step_counters WHERE tenant = :tenant AND recipient = :key)
UNION ALL
SELECT 'awaited_event' WHERE EXISTS (SELECT 1 FROM event_waits WHERE tenant = :tenant AND recipient = :key)
UNION ALL
SELECT 'webhook_event' WHERE EXISTS (SELECT 1 FROM webhook_events WHERE tenant = :tenant AND recipient = :key)

-- name: erased_before
-- The time before which sessions are refused; 0: none.
SELECT coalesce(max(sessions_before), 0) FROM erased WHERE digest IN (:digest, :tenant_digest)
