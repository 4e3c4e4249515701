-- As in 0012_inbox_additions.sql, in a form that reads only announcements after the watermark, and only the row of each. For
-- `tenant IN (…)` and a join, PostgreSQL may read all announcements, and all rows of the inbox.
CREATE OR REPLACE VIEW pending_entries AS
SELECT
  r.id AS inbox, r.tenant, r.key, r.epoch, r.revision, r.unread, r.unseen, a.seq, a.changed, n.first_revision,
  a.recalled_at, a.expires_at, n.seen_at, n.read_at, n.archived_at, n.acted_key, n.acted_at, n.snoozed_until, n.place
FROM recipients r
CROSS JOIN LATERAL (
  SELECT * FROM announcements WHERE tenant = r.tenant AND changed > r.watermark
  UNION ALL
  SELECT * FROM announcements WHERE tenant = '*' AND changed > r.watermark
) a
LEFT JOIN LATERAL (SELECT * FROM notifications WHERE recipient = r.id AND id = a.id OFFSET 0) n ON true
WHERE n.id IS NOT NULL OR (
  a.seq > r.watermark AND a.recalled_at IS NULL AND (a.topic IS NULL OR EXISTS (
    SELECT 1 FROM subscriptions s WHERE s.recipient = r.id AND s.topic = a.topic AND s.joined < a.seq
  )) AND (r.member_since IS NULL OR a.created_at >= r.member_since OR (a.topic IS NOT NULL AND a.topic NOT LIKE 'role.%'))
);
