-- name: idempotency_find
-- What was answered under a key.
SELECT fingerprint, answer FROM idempotency WHERE tenant = :tenant AND key = :key AND created_at > :since

-- name: idempotency_keep
-- Keep an answer under its key; an older one under it has had its time. No row: another process was there first.
INSERT INTO idempotency (tenant, key, fingerprint, answer, created_at)
VALUES (:tenant, :key, :fingerprint, :answer, :created_at)
ON CONFLICT (tenant, key) DO UPDATE
SET fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = excluded.created_at
WHERE idempotency.created_at <= :since
RETURNING key

-- name: notification_insert
-- A notification sent to one recipient.
INSERT INTO notifications (
  recipient, id, first_revision, revision, type, title, body, priority, action_url, action_text, icon, actor, data,
  tags, "group", created_at, expires_at
) VALUES (
  :inbox, :id, :revision, :revision, :type, :title, :body, :priority, :action_url, :action_text, :icon, :actor, :data,
  :tags, :group, :created_at, :expires_at
)

-- name: tag_row
-- One tag of one row.
INSERT INTO notification_tags (recipient, tag, id) VALUES (:inbox, :tag, :id)

-- name: direct_find
-- A notification sent to a recipient of one tenant.
SELECT e.*, r.key FROM notifications n
JOIN recipients r ON r.id = n.recipient AND r.tenant = :tenant
JOIN entries e ON e.recipient = n.recipient AND e.id = n.id
WHERE n.id = :id AND n.announcement IS NULL

-- name: direct_edit
-- Correct a notification sent to one recipient.
UPDATE notifications SET
  title = :title, body = :body, priority = :priority, action_url = :action_url, action_text = :action_text,
  icon = :icon, data = :data, expires_at = :expires_at, edited_at = :now, revision = :revision
WHERE recipient = :inbox AND id = :id
