-- As in 0010_inbox_additions.sql, but a topic such as `Role.x` is not a role's: LIKE ignores the case on SQLite.
DROP VIEW pending_entries;
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
  )) AND (r.member_since IS NULL OR a.created_at >= r.member_since OR substr(a.topic, 1, 5) <> 'role.')
);
