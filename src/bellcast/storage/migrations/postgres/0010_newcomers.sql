-- `opened`: 0 until the recipient first opens its inbox, which then receives earlier announcements. `member_since`: the app's
-- time (UTC milliseconds) from which announcements are for this recipient. Existing inboxes count as opened; new ones, also
-- those that an older release creates, do not.
ALTER TABLE recipients ADD COLUMN opened BIGINT NOT NULL DEFAULT 1;
ALTER TABLE recipients ALTER COLUMN opened SET DEFAULT 0;
ALTER TABLE recipients ADD COLUMN member_since BIGINT;
CREATE INDEX announcements_created ON announcements (tenant, created_at);

-- As in 0001_inboxes.sql, without announcements made before the recipient was a member; a topic has its subscription's time.
CREATE OR REPLACE VIEW pending AS
SELECT
  r.id AS inbox, r.tenant, r.key, r.epoch, r.revision, r.unread, r.unseen, a.seq, a.changed, n.first_revision,
  a.recalled_at, a.expires_at, n.seen_at, n.read_at, n.archived_at
FROM recipients r
JOIN announcements a ON a.tenant IN (r.tenant, '*') AND a.changed > r.watermark
LEFT JOIN notifications n ON n.recipient = r.id AND n.id = a.id
WHERE n.id IS NOT NULL OR (
  a.seq > r.watermark AND a.recalled_at IS NULL AND (a.topic IS NULL OR EXISTS (
    SELECT 1 FROM subscriptions s WHERE s.recipient = r.id AND s.topic = a.topic AND s.joined < a.seq
  )) AND (r.member_since IS NULL OR a.created_at >= r.member_since OR (a.topic IS NOT NULL AND a.topic NOT LIKE 'role.%'))
);
