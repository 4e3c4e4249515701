-- name: announcement_insert
-- Add an announcement.
INSERT INTO announcements (
  seq, changed, id, tenant, topic, type, title, body, priority, action_url, action_text, icon, actor, data, tags,
  "group", created_at, expires_at, body_format, actions
) VALUES (
  :seq, :seq, :id, :tenant, :topic, :type, :title, :body, :priority, :action_url, :action_text, :icon, :actor, :data,
  :tags, :group, :created_at, :expires_at, :body_format, :actions
)

-- fragment: announcement_columns
-- The columns of an announcement, as those of an unseen notification.
id, type, title, body, priority, action_url, action_text, icon, actor, data, tags, "group", created_at,
  expires_at, NULL, NULL, NULL, body_format, actions, NULL, NULL, NULL, NULL

-- name: announcement_find
-- An announcement of one tenant, or to every tenant, as an unseen notification.
SELECT {{announcement_columns}}, tenant, topic, edited_at FROM announcements
WHERE id = :id AND (tenant = :tenant OR (:tenant = '' AND tenant = '*')) AND recalled_at IS NULL

-- name: announced_entry
-- An announcement in the inbox of a recipient.
SELECT e.* FROM inbox_entries e JOIN announcements a ON a.id = e.id AND a.recalled_at IS NULL
WHERE e.recipient = (SELECT id FROM recipients WHERE tenant = :tenant AND key = :recipient) AND e.id = :id

-- name: announced_last
-- The last announcement that one page compares with its filters.
SELECT id FROM announcements WHERE id < :before AND id >= :since ORDER BY id DESC LIMIT 1 OFFSET :skipped

-- fragment: announced_has_tag @sqlite
-- True if an announcement has a tag.
EXISTS (SELECT 1 FROM json_each(tags) WHERE value = :tag)

-- fragment: announced_has_tag @postgres
-- True if an announcement has a tag.
jsonb_exists(CAST(tags AS JSONB), CAST(:tag AS TEXT))

-- fragment: announced_filters
-- The filters of a list of announcements. Null filters match everything.
id < :before AND id >= :since AND recalled_at IS NULL
  AND (CAST(:tenant AS TEXT) = '*' OR tenant = :tenant OR (CAST(:tenant AS TEXT) = '' AND tenant = '*')
    OR (CAST(:recipient AS TEXT) IS NOT NULL AND tenant = '*'))
  AND (CAST(:type AS TEXT) IS NULL OR type = :type)
  AND (CAST(:tag AS TEXT) IS NULL OR {{announced_has_tag}})
  AND (CAST(:recipient AS TEXT) IS NULL OR EXISTS (
    SELECT 1 FROM notifications n
    WHERE n.recipient = (SELECT r.id FROM recipients r WHERE r.tenant = :tenant AND r.key = :recipient)
      AND n.id = announcements.id AND (CAST(:part AS INTEGER) IS NULL
        OR n.part = :part AND (n.part < 2 OR n.snoozed_until IS NULL))
    LIMIT 1 OFFSET 0  -- else PostgreSQL may read all rows of the inbox for each announcement
  ))

-- name: announced_page
-- Announcements, newest first; with a recipient, those in its inbox.
SELECT {{announcement_columns}}, tenant, topic, edited_at FROM announcements
WHERE {{announced_filters}}
ORDER BY id DESC LIMIT :limit

-- name: announced_total
-- Number of announcements; with a recipient, of those in its inbox.
SELECT count(*) FROM announcements WHERE {{announced_filters}}

-- name: announced_reach
-- How many inboxes have announcements, and in how many of these they were seen and read, of each at most :most. A text has all
-- numbers, so that the inboxes are read once.
SELECT a.id, (
  SELECT count(*) || ' ' || count(few.seen_at) || ' ' || count(few.read_at)
  FROM (SELECT n.seen_at, n.read_at FROM notifications n WHERE n.announcement = a.seq LIMIT :most) few
) FROM announcements a WHERE a.id {{in_ids}}

-- name: announcement_edit
-- Edit an announcement that has not expired: inboxes that were opened since it expired have skipped it.
UPDATE announcements SET
  title = :title, body = :body, priority = :priority, action_url = :action_url, action_text = :action_text,
  icon = :icon, data = :data, expires_at = :expires_at, body_format = :body_format, actions = :actions,
  edited_at = :now, changed = :changed
WHERE id = :id AND (expires_at IS NULL OR expires_at > :now)
RETURNING id

-- name: announcement_recall
-- Recall an announcement.
UPDATE announcements SET recalled_at = :now, changed = :changed WHERE id = :id

-- name: announcements_newest @postgres
-- The newest changes of announcements to a tenant and to all tenants, two of each, and the number of the last change of any.
SELECT * FROM (
  SELECT {{announcement_columns}}, seq, changed, topic, recalled_at,
    (SELECT value FROM counters WHERE name = 'announcements')
  FROM announcements WHERE tenant = :tenant ORDER BY changed DESC LIMIT 2
) own
UNION ALL
SELECT * FROM (
  SELECT {{announcement_columns}}, seq, changed, topic, recalled_at,
    (SELECT value FROM counters WHERE name = 'announcements')
  FROM announcements WHERE tenant = '*' ORDER BY changed DESC LIMIT 2
) shared

-- name: materialize_add @postgres
-- Add one announcement to those inboxes that have processed all changes up to :since and not yet :seq, and that belong to its
-- audience; their states after it. Locks inboxes in the order of their numbers, as all writers do. Everything that it reads of
-- an inbox is a condition of the UPDATE, which is evaluated again on a row that another process has changed.
WITH named AS MATERIALIZED (
  SELECT r.id FROM unnest(:keys::text[]) w (key)
  CROSS JOIN LATERAL (SELECT id FROM recipients WHERE tenant = :tenant AND key = w.key OFFSET 0) r
  ORDER BY r.id
), held AS MATERIALIZED (
  SELECT id FROM recipients WHERE id = ANY(ARRAY(SELECT id FROM named)) ORDER BY id FOR NO KEY UPDATE
), revised AS (
  UPDATE recipients SET revision = revision + 1, unread = unread + 1, unseen = unseen + 1, watermark = :until
  WHERE id = ANY(ARRAY(SELECT id FROM held)) AND watermark >= :since AND watermark < :seq
    AND (member_since IS NULL OR member_since <= :member_until)
    AND (CAST(:topic AS TEXT) IS NULL OR EXISTS (
      SELECT 1 FROM subscriptions s WHERE s.recipient = recipients.id AND s.topic = :topic AND s.joined < :seq
    ))
  RETURNING id, key, epoch, revision, unread, unseen
), tagged AS (
  INSERT INTO notification_tags (recipient, tag, id)
  SELECT r.id, t.tag, :id FROM revised r CROSS JOIN unnest(:tag_names::text[]) t (tag)
  WHERE cardinality(:tag_names::text[]) > 0  -- evaluated once, not for each inbox
), added AS (
  INSERT INTO notifications (recipient, id, announcement, first_revision, revision, type, tags, "group", created_at)
  SELECT r.id, :id, :seq, r.revision, r.revision, :type, :tags, :group, :created_at FROM revised r
)
SELECT key, epoch, revision, unread, unseen FROM revised ORDER BY id

-- name: materialize_concerned @sqlite
-- Whether an inbox that is behind has rows to add, or is so far behind that this check would get slow.
SELECT EXISTS (SELECT 1 FROM pending_entries WHERE inbox = :inbox) OR (
  SELECT count(*) FROM (
    SELECT 1 FROM recipients r CROSS JOIN announcements a ON a.tenant IN (r.tenant, '*') AND a.changed > r.watermark
    WHERE r.id = :inbox LIMIT :far
  ) lag
) = :far

-- name: materialize_concerned @postgres
-- Whether an inbox that is behind has rows to add, or is so far behind that this check would get slow. For `tenant IN (…)`
-- PostgreSQL may read all announcements.
SELECT EXISTS (SELECT 1 FROM pending_entries WHERE inbox = :inbox) OR (
  SELECT count(*) FROM (
    SELECT 1 FROM recipients r CROSS JOIN LATERAL (
      SELECT 1 FROM announcements WHERE tenant = r.tenant AND changed > r.watermark
      UNION ALL
      SELECT 1 FROM announcements WHERE tenant = '*' AND changed > r.watermark
    ) a
    WHERE r.id = :inbox LIMIT :far
  ) lag
) = :far

-- name: materialize_behind @sqlite
-- The given recipients whose inboxes are behind the announcements, and the last change of any.
SELECT r.id, (SELECT value FROM counters WHERE name = 'announcements'), r.key FROM json_each(:keys) k
CROSS JOIN recipients r ON r.tenant = :tenant AND r.key = k.value
WHERE EXISTS (SELECT 1 FROM announcements a WHERE a.tenant IN (:tenant, '*') AND a.changed > r.watermark)

-- name: materialize_behind @postgres
-- The given recipients whose inboxes are behind the announcements, and the last change of any.
SELECT r.id, (SELECT value FROM counters WHERE name = 'announcements'), r.key
FROM json_array_elements_text(:keys::json) k
CROSS JOIN LATERAL (SELECT id, key, watermark FROM recipients WHERE tenant = :tenant AND key = k.value OFFSET 0) r
WHERE EXISTS (SELECT 1 FROM announcements a WHERE a.tenant IN (:tenant, '*') AND a.changed > r.watermark)

-- name: materialize_pending @sqlite
-- The changes that these inboxes need to catch up to the change :until, in order.
SELECT p.inbox, p.key, p.epoch, p.revision, p.unread, p.unseen, p.seq, p.first_revision,
  p.recalled_at IS NOT NULL OR coalesce(p.expires_at <= :now, FALSE), p.seen_at, p.read_at, p.archived_at,
  p.acted_key, p.acted_at, p.snoozed_until, p.place
FROM json_each(:inboxes) k CROSS JOIN pending_entries p ON p.inbox = k.value AND p.changed <= :until
ORDER BY p.inbox, p.changed

-- name: materialize_pending @postgres
-- The changes that these inboxes need to catch up to the change :until, in order. An announcement that an inbox lacks is added
-- even if it was edited after :until was read: the next call finds later changes only of rows that the inbox has.
SELECT p.inbox, p.key, p.epoch, p.revision, p.unread, p.unseen, p.seq, p.first_revision,
  p.recalled_at IS NOT NULL OR coalesce(p.expires_at <= :now, FALSE), p.seen_at, p.read_at, p.archived_at,
  p.acted_key, p.acted_at, p.snoozed_until, p.place
FROM json_array_elements_text(:inboxes::json) k
CROSS JOIN LATERAL (
  SELECT * FROM pending_entries
  WHERE inbox = k.value::bigint AND (changed <= :until OR (first_revision IS NULL AND seq <= :until)) OFFSET 0
) p
ORDER BY p.inbox, p.changed

-- name: announced_until_back @sqlite
-- Announcements that these inboxes have snoozed until the recipient is back.
SELECT n.recipient, n.announcement FROM json_each(:inboxes) k CROSS JOIN notifications n ON n.recipient = k.value
WHERE n.return_by IS NOT NULL AND n.announcement IS NOT NULL

-- name: announced_until_back @postgres
-- Announcements that these inboxes have snoozed until the recipient is back.
SELECT recipient, announcement FROM notifications
WHERE recipient = ANY(ARRAY(SELECT value::bigint FROM json_array_elements_text(:inboxes::json)))
  AND return_by IS NOT NULL AND announcement IS NOT NULL

-- name: announcements_of_seqs @sqlite
-- Announcements by number, as unseen notifications.
SELECT {{announcement_columns}}, seq FROM announcements
WHERE seq IN (SELECT value FROM json_each(:seqs))

-- name: announcements_of_seqs @postgres
-- Announcements by number, as unseen notifications.
SELECT {{announcement_columns}}, seq FROM announcements
WHERE seq = ANY(ARRAY(SELECT value::bigint FROM json_array_elements_text(:seqs::json)))

-- name: materialize_insert @sqlite
-- Add an announcement to an inbox.
INSERT INTO notifications (recipient, id, announcement, first_revision, revision, type, tags, "group", created_at)
SELECT :inbox, id, seq, :revision, :revision, type, tags, "group", created_at FROM announcements WHERE seq = :seq

-- name: materialize_insert @postgres
-- As on SQLite, but for many inboxes.
INSERT INTO notifications (recipient, id, announcement, first_revision, revision, type, tags, "group", created_at)
SELECT w.inbox, a.id, a.seq, w.revision, w.revision, a.type, a.tags, a."group", a.created_at
FROM unnest(:inbox::bigint[], :seq::bigint[], :revision::bigint[]) w (inbox, seq, revision)
CROSS JOIN LATERAL (
  SELECT id, seq, type, tags, "group", created_at FROM announcements WHERE seq = w.seq OFFSET 0
) a

-- name: materialize_revise
-- Update an edited announcement in an inbox.
UPDATE notifications SET revision = :revision WHERE recipient = :inbox AND id = :id

-- name: materialize_done @sqlite
-- The inboxes have caught up.
UPDATE recipients SET watermark = :until WHERE id IN (SELECT value FROM json_each(:inboxes))

-- name: materialize_done @postgres
-- The inboxes have caught up.
UPDATE recipients SET watermark = :until
WHERE id = ANY(ARRAY(SELECT value::bigint FROM json_array_elements_text(:inboxes::json)))

-- name: materialize_earlier
-- Announcements to everyone, the tenant or the roles of an inbox that it neither has nor deleted, in order: those since
-- its recipient became a member, or those of the :newcomers_ms before its first contact if the app set no such time.
SELECT r.id, r.key, r.epoch, r.revision, r.unread, r.unseen, a.seq, NULL, FALSE, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL
FROM recipients r
CROSS JOIN announcements a  -- SQLite reads the tables of a cross join in this order
WHERE r.id = :inbox AND (r.member_since IS NOT NULL OR :newcomers_ms > 0)
  AND a.tenant IN (r.tenant, '*') AND a.created_at >= COALESCE(r.member_since, r.created_at - :newcomers_ms)
  AND a.seq <= r.watermark AND a.recalled_at IS NULL
  AND (a.expires_at IS NULL OR a.expires_at > :now)
  AND (a.topic IS NULL OR (substr(a.topic, 1, 5) = 'role.' AND EXISTS (  -- LIKE ignores the case on SQLite
    SELECT 1 FROM subscriptions s WHERE s.recipient = r.id AND s.topic = a.topic
  )))
  AND NOT EXISTS (SELECT 1 FROM notifications n WHERE n.recipient = r.id AND n.id = a.id)
  AND NOT EXISTS (SELECT 1 FROM tombstones t WHERE t.recipient = r.id AND t.id = a.id)
ORDER BY a.seq

-- name: inbox_opened
-- The inbox was opened.
UPDATE recipients SET opened = 1 WHERE id = :inbox
