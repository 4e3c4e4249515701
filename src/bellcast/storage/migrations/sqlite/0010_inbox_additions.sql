-- The format of bodies, buttons with actions, and snoozing. A snoozed row also has `archived_at`: it is not counted, and
-- an older release shows it in the archive. `place` is set when a row wakes: it sorts there instead of at its id.
ALTER TABLE announcements ADD COLUMN body_format TEXT;
ALTER TABLE announcements ADD COLUMN actions TEXT;
ALTER TABLE notifications ADD COLUMN body_format TEXT;
ALTER TABLE notifications ADD COLUMN actions TEXT;
ALTER TABLE notifications ADD COLUMN acted_key TEXT;
ALTER TABLE notifications ADD COLUMN acted_at INTEGER;
ALTER TABLE notifications ADD COLUMN snoozed_until INTEGER;
ALTER TABLE notifications ADD COLUMN place TEXT;
CREATE INDEX notifications_snoozed ON notifications (snoozed_until) WHERE snoozed_until IS NOT NULL;
CREATE INDEX notifications_woken ON notifications (recipient, place) WHERE place IS NOT NULL;

-- As `entries`, which older releases read, with the columns above.
CREATE VIEW inbox_entries AS
SELECT
  n.id, n.type, coalesce(n.title, a.title) AS title, coalesce(n.body, a.body) AS body,
  coalesce(n.priority, a.priority) AS priority, coalesce(n.action_url, a.action_url) AS action_url,
  coalesce(n.action_text, a.action_text) AS action_text, coalesce(n.icon, a.icon) AS icon,
  coalesce(n.actor, a.actor) AS actor, coalesce(n.data, a.data) AS data, n.tags, n."group", n.created_at,
  coalesce(n.expires_at, a.expires_at) AS expires_at, n.seen_at, n.read_at,
  CASE WHEN n.snoozed_until IS NULL THEN n.archived_at END AS archived_at,
  coalesce(n.body_format, a.body_format) AS body_format, coalesce(n.actions, a.actions) AS actions,
  n.acted_key, n.acted_at, CASE WHEN n.archived_at IS NOT NULL THEN n.snoozed_until END AS snoozed_until, n.place,
  n.first_revision, n.revision, n.recipient, n.part, n.edited_at
FROM notifications n LEFT JOIN announcements a ON a.seq = n.announcement;

-- As `pending`, which older releases read, with the columns above.
CREATE VIEW pending_entries AS
SELECT
  r.id AS inbox, r.tenant, r.key, r.epoch, r.revision, r.unread, r.unseen, a.seq, a.changed, n.first_revision,
  a.recalled_at, a.expires_at, n.seen_at, n.read_at, n.archived_at, n.acted_key, n.acted_at, n.snoozed_until, n.place
FROM recipients r
CROSS JOIN announcements a ON a.tenant IN (r.tenant, '*') AND a.changed > r.watermark
LEFT JOIN notifications n ON n.recipient = r.id AND n.id = a.id
WHERE n.id IS NOT NULL OR (
  a.seq > r.watermark AND a.recalled_at IS NULL AND (a.topic IS NULL OR EXISTS (
    SELECT 1 FROM subscriptions s WHERE s.recipient = r.id AND s.topic = a.topic AND s.joined < a.seq
  )) AND (r.member_since IS NULL OR a.created_at >= r.member_since OR (a.topic IS NOT NULL AND a.topic NOT LIKE 'role.%'))
);

-- As in the first step: estimates instead of ANALYZE, so that plans do not depend on when it ran.
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('notifications', 'notifications_snoozed', '1000 2'),
  ('notifications', 'notifications_woken', '1000 5 1');
