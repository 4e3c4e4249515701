-- name: snapshot @sqlite
-- The following reads of the script see one snapshot.
BEGIN

-- name: snapshot @postgres
-- The following reads of the script see one snapshot.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY

-- fragment: inbox_is_behind
-- True if announcements changed that an inbox has not processed.
(EXISTS (SELECT 1 FROM announcements a WHERE a.tenant = r.tenant AND a.changed > r.watermark)
    OR EXISTS (SELECT 1 FROM announcements a WHERE a.tenant = '*' AND a.changed > r.watermark))

-- fragment: opened_columns
-- The columns of an inbox that is opened, and whether it is behind.
r.id, r.epoch, r.revision, r.unread, r.unseen, r.floor, r.revoked_before, r.name, r.roles, r.member_since,
  r.opened,
  {{inbox_is_behind}}

-- name: inbox_open
-- The inbox of a recipient, and whether announcements changed that it has not processed.
SELECT {{opened_columns}} FROM recipients r WHERE r.tenant = :tenant AND r.key = :key

-- name: inbox_resume
-- As inbox_open for a client that resumes: also whether rows were deleted since its position, and the changed rows. One statement
-- reads one snapshot. Without changes the result is one row whose second half is null.
SELECT {{opened_columns}},
  EXISTS (SELECT 1 FROM tombstones t WHERE t.recipient = r.id AND t.revision > :after),
  n.id, n.type, coalesce(n.title, a.title), coalesce(n.body, a.body), coalesce(n.priority, a.priority),
  coalesce(n.action_url, a.action_url), coalesce(n.action_text, a.action_text), coalesce(n.icon, a.icon),
  coalesce(n.actor, a.actor), coalesce(n.data, a.data), n.tags, n."group", n.created_at,
  coalesce(n.expires_at, a.expires_at), n.seen_at, n.read_at,
  CASE WHEN n.snoozed_until IS NULL THEN n.archived_at END, coalesce(n.body_format, a.body_format),
  coalesce(n.actions, a.actions), n.acted_key, n.acted_at,
  CASE WHEN n.archived_at IS NOT NULL THEN n.snoozed_until END, n.place, n.first_revision, n.revision
FROM recipients r
LEFT JOIN notifications n ON n.recipient = r.id AND n.revision > :after AND r.epoch = :epoch
LEFT JOIN announcements a ON a.seq = n.announcement
WHERE r.tenant = :tenant AND r.key = :key
ORDER BY n.revision, n.id LIMIT :limit

-- name: inbox_state
-- The state of one inbox, the revision up to which its tombstones were swept, and whether rows are snoozed until the recipient is back.
SELECT r.tenant, r.key, r.epoch, r.revision, r.unread, r.unseen, r.floor, EXISTS (
  SELECT 1 FROM notifications n WHERE n.recipient = r.id AND n.return_by IS NOT NULL
)
FROM recipients r WHERE r.id = :inbox

-- name: inbox_states @sqlite
-- The states of inboxes.
SELECT r.id, r.epoch, r.revision, r.revoked_before, {{inbox_is_behind}}
FROM json_each(:inboxes) k CROSS JOIN recipients r ON r.id = k.value

-- name: inbox_states @postgres
-- The states of inboxes.
SELECT r.id, r.epoch, r.revision, r.revoked_before, {{inbox_is_behind}}
FROM recipients r WHERE r.id = ANY(ARRAY(SELECT value::bigint FROM json_array_elements_text(:inboxes::json)))

-- name: inboxes_receiving @sqlite
-- The states of the inboxes of those recipients that exist.
SELECT r.key, r.id, r.epoch, r.revision, r.unread, r.unseen
FROM json_each(:keys) k CROSS JOIN recipients r ON r.tenant = :tenant AND r.key = k.value

-- name: inboxes_receiving @postgres
-- The states of the inboxes of those recipients that exist.
SELECT r.key, r.id, r.epoch, r.revision, r.unread, r.unseen FROM json_array_elements_text(:keys::json) k
CROSS JOIN LATERAL (SELECT * FROM recipients WHERE tenant = :tenant AND key = k.value OFFSET 0) r

-- name: inbox_revise
-- Add one to the revision of an inbox, and adjust its counters.
UPDATE recipients SET revision = revision + 1, unread = unread + :unread, unseen = unseen + :unseen
WHERE id = :inbox
RETURNING tenant, key, epoch, revision, unread, unseen

-- name: inbox_write_state @sqlite
-- Write the state of an inbox after several changes.
UPDATE recipients SET revision = :revision, unread = :unread, unseen = :unseen WHERE id = :inbox

-- name: inbox_write_state @postgres
-- As on SQLite, but for many inboxes. Arrays in the order of the inboxes replace a join, as where sends are written.
WITH stands AS MATERIALIZED (
  SELECT * FROM unnest(:inbox::bigint[], :revision::bigint[], :unread::bigint[], :unseen::bigint[])
    s (inbox, revision, unread, unseen) ORDER BY inbox
)
UPDATE recipients SET
  revision = (ARRAY(SELECT revision FROM stands))[width_bucket(id, ARRAY(SELECT inbox FROM stands))],
  unread = (ARRAY(SELECT unread FROM stands))[width_bucket(id, ARRAY(SELECT inbox FROM stands))],
  unseen = (ARRAY(SELECT unseen FROM stands))[width_bucket(id, ARRAY(SELECT inbox FROM stands))]
WHERE id = ANY(ARRAY(SELECT inbox FROM stands))

-- name: entry
-- One notification of one inbox.
SELECT * FROM inbox_entries WHERE recipient = :inbox AND id = :id

-- name: page_all @sqlite
-- The newest that are not archived, in no order. Rows that woke sort by their place, the others by their id.
SELECT e.* FROM (
  SELECT id, id AS sort FROM notifications
  WHERE recipient = :inbox AND part = 0 AND id < :before AND (type = :type OR :type IS NULL) AND place IS NULL
  UNION ALL
  SELECT id, id AS sort FROM notifications
  WHERE recipient = :inbox AND part = 1 AND id < :before AND (type = :type OR :type IS NULL) AND place IS NULL
  UNION ALL
  SELECT id, place AS sort FROM notifications
  WHERE recipient = :inbox AND place < :before AND part < 2 AND (type = :type OR :type IS NULL)
  ORDER BY sort DESC LIMIT :limit
) p CROSS JOIN inbox_entries e
WHERE e.recipient = :inbox AND e.id = p.id

-- name: page_all @postgres
-- The newest that are not archived, in no order, as on SQLite. Each part has its limit, and each row is found by its id: else
-- PostgreSQL reads the whole inbox if most others are small.
SELECT e.* FROM (
  SELECT id FROM (
    (
      SELECT id, id AS sort FROM notifications
      WHERE recipient = :inbox AND part = 0 AND id < :before AND (type = :type OR :type IS NULL) AND place IS NULL
      ORDER BY id DESC LIMIT :limit
    )
    UNION ALL
    (
      SELECT id, id AS sort FROM notifications
      WHERE recipient = :inbox AND part = 1 AND id < :before AND (type = :type OR :type IS NULL) AND place IS NULL
      ORDER BY id DESC LIMIT :limit
    )
    UNION ALL
    (
      SELECT id, place AS sort FROM notifications
      WHERE recipient = :inbox AND place < :before AND part < 2 AND (type = :type OR :type IS NULL)
      ORDER BY place DESC LIMIT :limit
    )
  ) parts ORDER BY sort DESC LIMIT :limit
) p CROSS JOIN LATERAL (SELECT * FROM inbox_entries WHERE recipient = :inbox AND id = p.id OFFSET 0) e

-- name: page_part @sqlite
-- The newest of one part, in no order; of the archive, those that are not snoozed.
SELECT e.* FROM (
  SELECT id, id AS sort FROM notifications
  WHERE recipient = :inbox AND part = :part AND id < :before AND (type = :type OR :type IS NULL) AND place IS NULL
    AND (part < 2 OR snoozed_until IS NULL)
  UNION ALL
  SELECT id, place AS sort FROM notifications
  WHERE recipient = :inbox AND place < :before AND part = :part AND (type = :type OR :type IS NULL)
    AND (part < 2 OR snoozed_until IS NULL)
  ORDER BY sort DESC LIMIT :limit
) p CROSS JOIN inbox_entries e
WHERE e.recipient = :inbox AND e.id = p.id

-- name: page_part @postgres
-- The newest of one part, in no order; of the archive, those that are not snoozed. With limits as in `page_all`.
SELECT e.* FROM (
  SELECT id FROM (
    (
      SELECT id, id AS sort FROM notifications
      WHERE recipient = :inbox AND part = :part AND id < :before AND (type = :type OR :type IS NULL) AND place IS NULL
        AND (part < 2 OR snoozed_until IS NULL)
      ORDER BY id DESC LIMIT :limit
    )
    UNION ALL
    (
      SELECT id, place AS sort FROM notifications
      WHERE recipient = :inbox AND place < :before AND part = :part AND (type = :type OR :type IS NULL)
        AND (part < 2 OR snoozed_until IS NULL)
      ORDER BY place DESC LIMIT :limit
    )
  ) parts ORDER BY sort DESC LIMIT :limit
) p CROSS JOIN LATERAL (SELECT * FROM inbox_entries WHERE recipient = :inbox AND id = p.id OFFSET 0) e

-- fragment: tagged_entries @sqlite
-- Tags `t` with their rows `e`.
notification_tags t CROSS JOIN inbox_entries e

-- fragment: tagged_entries @postgres
-- Tags `t` with their rows `e`, each found by its id as in `marks_of_ids`.
notification_tags t CROSS JOIN LATERAL (SELECT * FROM inbox_entries WHERE recipient = t.recipient AND id = t.id OFFSET 0) e

-- name: page_tag
-- The newest with a tag, of the parts from :first to :last; of the last part, the archived or the snoozed.
SELECT e.* FROM {{tagged_entries}}
WHERE t.recipient = :inbox AND t.tag = :tag AND coalesce(e.place, t.id) < :before
  AND e.recipient = :inbox AND e.id = t.id AND e.part BETWEEN :first AND :last AND (e.type = :type OR :type IS NULL)
  AND (e.part < 2 OR (e.snoozed_until IS NOT NULL) = (:snoozed = 1))
ORDER BY coalesce(e.place, t.id) DESC LIMIT :limit

-- fragment: entry_filters @sqlite
-- The types, priorities and tags of a view. Null filters match everything.
(:types IS NULL OR e.type IN (SELECT value FROM json_each(:types)))
  AND (:priorities IS NULL OR e.priority IN (SELECT value FROM json_each(:priorities)))
  AND (:tags IS NULL OR e.id IN (
    SELECT t.id FROM notification_tags t WHERE t.recipient = :inbox AND t.tag IN (SELECT value FROM json_each(:tags))
  ))

-- fragment: entry_filters @postgres
-- The types, priorities and tags of a view. Null filters match everything.
(:types::text IS NULL OR e.type IN (SELECT value FROM json_array_elements_text(:types::json)))
  AND (:priorities::text IS NULL OR e.priority IN (SELECT value FROM json_array_elements_text(:priorities::json)))
  AND (:tags::text IS NULL OR e.id IN (
    SELECT t.id FROM notification_tags t WHERE t.recipient = :inbox AND t.tag IN (SELECT value FROM json_array_elements_text(:tags::json))
  ))

-- name: page_filtered
-- The newest that a filter selects, of the parts from :first to :last; of the last part, the archived or the snoozed.
SELECT e.* FROM inbox_entries e
WHERE e.recipient = :inbox AND e.part BETWEEN :first AND :last AND coalesce(e.place, e.id) < :before
  AND (e.part < 2 OR (e.snoozed_until IS NOT NULL) = (:snoozed = 1)) AND e.created_at >= :since AND {{entry_filters}}
ORDER BY coalesce(e.place, e.id) DESC LIMIT :limit

-- name: counts_filtered
-- Unread and unseen by type, of what a filter selects.
SELECT e.type, count(*) FILTER (WHERE e.read_at IS NULL), count(*) FILTER (WHERE e.seen_at IS NULL)
FROM inbox_entries e
WHERE e.recipient = :inbox AND e.part < 2 AND {{entry_filters}}
GROUP BY e.type

-- name: unread_by_type
-- Unread notifications by type.
SELECT type, count(*) FROM notifications WHERE recipient = :inbox AND part = 0 GROUP BY type

-- name: changed_entries
-- Rows changed after a revision, oldest change first. The limit has the order of the index: else PostgreSQL reads and sorts all of
-- them if most inboxes are small.
SELECT few.* FROM (
  SELECT * FROM inbox_entries WHERE recipient = :inbox AND revision > :after ORDER BY revision LIMIT :limit
) few ORDER BY revision, id

-- name: changed_tombstones
-- Rows deleted after a revision, oldest first.
SELECT id, first_revision, revision FROM tombstones
WHERE recipient = :inbox AND revision > :after ORDER BY revision, id LIMIT :limit

-- name: recipient_named
-- Set the name from a session.
UPDATE recipients SET name = :name WHERE id = :inbox

-- name: recipient_member_since
-- Set `member_since` from a session.
UPDATE recipients SET member_since = :member_since WHERE id = :inbox
