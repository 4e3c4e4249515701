-- name: next_expiry
-- When the next notification or announcement expires, or the next snoozed one wakes.
SELECT min(expires_at) FROM (
  SELECT expires_at FROM (
    SELECT expires_at FROM notifications WHERE expires_at IS NOT NULL ORDER BY expires_at LIMIT 1
  ) n
  UNION ALL
  SELECT snoozed_until FROM (
    SELECT snoozed_until FROM notifications WHERE snoozed_until IS NOT NULL ORDER BY snoozed_until LIMIT 1
  ) w
  UNION ALL
  SELECT expires_at FROM (
    SELECT expires_at FROM announcements
    WHERE expires_at IS NOT NULL AND recalled_at IS NULL ORDER BY expires_at LIMIT 1
  ) a
) soonest

-- name: due_notifications
-- Notifications that have expired, the longest due first.
SELECT recipient, id FROM notifications
WHERE expires_at IS NOT NULL AND expires_at <= :now ORDER BY expires_at LIMIT :limit

-- name: due_announcements
-- Announcements that have expired, the longest due first.
SELECT id, tenant, topic FROM announcements
WHERE expires_at IS NOT NULL AND recalled_at IS NULL AND expires_at <= :now ORDER BY expires_at LIMIT :limit

-- name: old_notifications
-- Notifications created before a time, the oldest first.
SELECT recipient, id FROM notifications
WHERE announcement IS NULL AND id < :before AND created_at < :older_than ORDER BY id LIMIT :limit

-- name: old_notifications_of
-- Notifications of one tenant created before a time.
SELECT n.recipient, n.id FROM recipients r JOIN notifications n ON n.recipient = r.id
WHERE r.tenant = :tenant AND n.announcement IS NULL AND n.id < :before AND n.created_at < :older_than LIMIT :limit

-- name: old_notifications_but @sqlite
-- Notifications created before a time, the oldest first, of all tenants except some.
SELECT n.recipient, n.id FROM notifications n JOIN recipients r ON r.id = n.recipient
WHERE n.announcement IS NULL AND n.id < :before AND n.created_at < :older_than
  AND r.tenant NOT IN (SELECT value FROM json_each(:but))
ORDER BY n.id LIMIT :limit

-- name: old_notifications_but @postgres
-- Notifications created before a time, the oldest first, of all tenants except some.
SELECT n.recipient, n.id FROM notifications n JOIN recipients r ON r.id = n.recipient
WHERE n.announcement IS NULL AND n.id < :before AND n.created_at < :older_than
  AND r.tenant NOT IN (SELECT value FROM json_array_elements_text(:but::json))
ORDER BY n.id LIMIT :limit

-- name: old_announcements_of
-- Announcements of one tenant created before a time.
SELECT id, tenant, topic FROM announcements
WHERE tenant = :tenant AND id < :before AND created_at < :older_than AND recalled_at IS NULL ORDER BY id LIMIT :limit

-- name: old_announcements_but @sqlite
-- Announcements created before a time, of all tenants except some.
SELECT id, tenant, topic FROM announcements
WHERE id < :before AND created_at < :older_than AND recalled_at IS NULL
  AND tenant NOT IN (SELECT value FROM json_each(:but))
ORDER BY id LIMIT :limit

-- name: old_announcements_but @postgres
-- Announcements created before a time, of all tenants except some.
SELECT id, tenant, topic FROM announcements
WHERE id < :before AND created_at < :older_than AND recalled_at IS NULL
  AND tenant NOT IN (SELECT value FROM json_array_elements_text(:but::json))
ORDER BY id LIMIT :limit

-- name: old_announcements
-- Announcements created before a time.
SELECT id, tenant, topic FROM announcements
WHERE id < :before AND created_at < :older_than AND recalled_at IS NULL ORDER BY id LIMIT :limit

-- name: old_tombstones
-- Tombstones created before a time, the oldest first.
SELECT recipient, revision, id FROM tombstones WHERE deleted_at < :older_than ORDER BY deleted_at LIMIT :limit

-- name: raise_floor
-- Clients cannot resume from positions before a swept tombstone.
UPDATE recipients SET floor = :revision WHERE id = :inbox AND floor < :revision

-- name: tombstone_delete
-- Sweep one tombstone.
DELETE FROM tombstones WHERE recipient = :inbox AND revision = :revision AND id = :id

-- name: recalled_announcements
-- Announcements recalled before a time, and whether any inbox still has them.
SELECT seq, (SELECT count(*) FROM (
  SELECT 1 FROM notifications n WHERE n.announcement = a.seq LIMIT 1
) held) FROM announcements a
WHERE recalled_at IS NOT NULL AND recalled_at < :older_than ORDER BY recalled_at LIMIT :limit

-- name: announcement_holders
-- Recipients whose inboxes still have an announcement.
SELECT r.tenant, r.key FROM notifications n JOIN recipients r ON r.id = n.recipient
WHERE n.announcement = :seq ORDER BY r.tenant, r.key LIMIT :limit

-- name: announcement_delete
-- Delete an announcement that no inbox has.
DELETE FROM announcements WHERE seq = :seq

-- name: stats @sqlite
-- Rows by kind; the default tenant is none of the tenants, as in their list.
SELECT 'tenants', count(nullif(key, '')) FROM tenants
UNION ALL SELECT 'recipients', count(*) FROM recipients
UNION ALL SELECT 'notifications', count(*) FROM notifications
UNION ALL SELECT 'announcements', count(*) FROM announcements
UNION ALL SELECT 'subscriptions', count(*) FROM subscriptions
UNION ALL SELECT 'tombstones', count(*) FROM tombstones

-- name: stats @postgres
-- Rows by kind; of a large table the planner's estimate, from the rows per page at the last ANALYZE or VACUUM and the present
-- pages. A subquery runs only if its table is small.
SELECT t.kind, CASE WHEN e.number >= :large THEN e.number ELSE CASE t.kind
  WHEN 'tenants' THEN (SELECT count(nullif(key, '')) FROM tenants)
  WHEN 'recipients' THEN (SELECT count(*) FROM recipients)
  WHEN 'notifications' THEN (SELECT count(*) FROM notifications)
  WHEN 'announcements' THEN (SELECT count(*) FROM announcements)
  WHEN 'subscriptions' THEN (SELECT count(*) FROM subscriptions)
  WHEN 'tombstones' THEN (SELECT count(*) FROM tombstones)
END END
FROM unnest(ARRAY['tenants', 'recipients', 'notifications', 'announcements', 'subscriptions', 'tombstones'])
  WITH ORDINALITY t (kind, place)
CROSS JOIN LATERAL (
  SELECT CAST(
    reltuples / NULLIF(relpages, 0) * (pg_relation_size(oid) / current_setting('block_size')::bigint) AS bigint
  ) AS number
  FROM pg_class WHERE oid = t.kind::regclass
) e
ORDER BY t.place

-- name: stats_of_tenant
-- Rows of one tenant by kind, up to :limit of each, of its first :limit recipients.
SELECT 'recipients', count(*) FROM (SELECT 1 FROM recipients WHERE tenant = :tenant LIMIT :limit) few
UNION ALL SELECT 'notifications', count(*) FROM (
  SELECT 1 FROM (SELECT id FROM recipients WHERE tenant = :tenant LIMIT :limit) few
  CROSS JOIN notifications n WHERE n.recipient = few.id LIMIT :limit
) held
UNION ALL SELECT 'announcements', count(*) FROM (SELECT 1 FROM announcements WHERE tenant = :tenant LIMIT :limit) few
UNION ALL SELECT 'subscriptions', count(*) FROM (SELECT 1 FROM subscriptions WHERE tenant = :tenant LIMIT :limit) few
UNION ALL SELECT 'tombstones', count(*) FROM (
  SELECT 1 FROM (SELECT id FROM recipients WHERE tenant = :tenant LIMIT :limit) few
  CROSS JOIN tombstones t WHERE t.recipient = few.id LIMIT :limit
) held

-- name: erased_forget
-- Digests of erased recipients whose sessions have all expired.
DELETE FROM erased WHERE digest IN (SELECT digest FROM erased WHERE sessions_before < :older_than LIMIT :limit)
RETURNING digest
