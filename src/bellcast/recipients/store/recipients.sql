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

-- list: recipients
-- Recipients by key.
SELECT {{recipient_columns}}
FROM recipients
FILTER key >= :first AND key < :last AND created_at >= :since AND created_at < :until
ORDER BY tenant, key

-- name: recipient_write
-- Write a recipient's record.
UPDATE recipients SET {{recipient_record_values}} WHERE id = :inbox

-- name: recipient_named
-- Set the name from a session.
UPDATE recipients SET name = :name WHERE id = :inbox

-- name: recipient_member_since
-- Set `member_since` from a session.
UPDATE recipients SET member_since = :member_since WHERE id = :inbox

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

-- name: erased_before
-- The time before which sessions are refused; 0: none.
SELECT coalesce(max(sessions_before), 0) FROM erased WHERE digest IN (:digest, :tenant_digest)

-- name: erased_keep
-- Refuse sessions from before the erasure, if a recipient with this key is created again. The time never moves back.
INSERT INTO erased (digest, sessions_before) VALUES (:digest, :before)
ON CONFLICT (digest) DO UPDATE SET sessions_before = excluded.sessions_before
WHERE erased.sessions_before < excluded.sessions_before

-- name: recipient_timezones
-- The time zones of a tenant's recipients.
SELECT DISTINCT timezone FROM recipients WHERE tenant = :tenant
