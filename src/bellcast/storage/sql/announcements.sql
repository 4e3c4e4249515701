-- name: announcement_number
-- The next number of a change of an announcement.
UPDATE counters SET value = value + 1 WHERE name = 'announcements' RETURNING value

-- name: announcement_insert
-- An announcement as it is sent.
INSERT INTO announcements (
  seq, changed, id, tenant, topic, type, title, body, priority, action_url, action_text, icon, actor, data, tags,
  "group", created_at, expires_at
) VALUES (
  :seq, :seq, :id, :tenant, :topic, :type, :title, :body, :priority, :action_url, :action_text, :icon, :actor, :data,
  :tags, :group, :created_at, :expires_at
)

-- name: announcement_find
-- An announcement of one tenant, or to every tenant, as a notification nobody has looked at.
SELECT id, type, title, body, priority, action_url, action_text, icon, actor, data, tags, "group", created_at,
  expires_at, NULL, NULL, NULL, tenant, topic, edited_at
FROM announcements
WHERE id = :id AND (tenant = :tenant OR (:tenant = '' AND tenant = '*')) AND recalled_at IS NULL

-- name: announcement_edit
-- Correct an announcement.
UPDATE announcements SET
  title = :title, body = :body, priority = :priority, action_url = :action_url, action_text = :action_text,
  icon = :icon, data = :data, expires_at = :expires_at, edited_at = :now, changed = :changed
WHERE id = :id

-- name: announcement_recall
-- Take an announcement back.
UPDATE announcements SET recalled_at = :now, changed = :changed WHERE id = :id

-- name: intake_behind @sqlite
-- Those of the recipients whose inboxes are behind the announcements.
SELECT r.id FROM json_each(:keys) k
CROSS JOIN recipients r ON r.tenant = :tenant AND r.key = k.value
WHERE EXISTS (SELECT 1 FROM announcements a WHERE a.tenant IN (:tenant, '*') AND a.changed > r.watermark)

-- name: intake_pending @sqlite
-- What the inboxes have to do to catch up: in order, each row to come, to change or to go.
SELECT r.id, r.key, r.epoch, r.revision, r.unread, r.unseen, a.seq, n.first_revision,
  a.recalled_at IS NOT NULL OR coalesce(a.expires_at <= :now, 0), n.seen_at, n.read_at, n.archived_at
FROM json_each(:inboxes) k
CROSS JOIN recipients r ON r.id = k.value
CROSS JOIN announcements a ON a.tenant IN (:tenant, '*') AND a.changed > r.watermark
LEFT JOIN notifications n ON n.recipient = r.id AND n.id = a.id
WHERE n.id IS NOT NULL OR (
  a.seq > r.watermark AND a.recalled_at IS NULL AND (a.expires_at IS NULL OR a.expires_at > :now)
  AND (a.topic IS NULL OR EXISTS (
    SELECT 1 FROM subscriptions s WHERE s.recipient = r.id AND s.topic = a.topic AND s.joined < a.seq
  ))
)
ORDER BY r.id, a.changed

-- name: announcements_of_seqs @sqlite
-- Announcements by number, as notifications nobody has looked at.
SELECT id, type, title, body, priority, action_url, action_text, icon, actor, data, tags, "group", created_at,
  expires_at, NULL, NULL, NULL, seq
FROM announcements WHERE seq IN (SELECT value FROM json_each(:seqs))

-- name: intake_insert
-- An announcement comes into an inbox.
INSERT INTO notifications (recipient, id, announcement, first_revision, revision, type, tags, "group", created_at)
SELECT :inbox, id, seq, :revision, :revision, type, tags, "group", created_at FROM announcements WHERE seq = :seq

-- name: intake_revise
-- An announcement in an inbox was corrected.
UPDATE notifications SET revision = :revision WHERE recipient = :inbox AND id = :id

-- name: intake_done @sqlite
-- The inboxes have caught up.
UPDATE recipients SET watermark = (SELECT value FROM counters WHERE name = 'announcements')
WHERE id IN (SELECT value FROM json_each(:inboxes))
