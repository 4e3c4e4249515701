-- name: preferences_find
-- A recipient's own preferences, and when they last changed.
SELECT preferences, preferences_updated_at FROM recipients WHERE tenant = :tenant AND key = :key

-- name: recipient_of_link
-- The inbox of a recipient that existed when a link was issued. None if it or its tenant was erased later, or if the link was
-- revoked with the recipient's sessions.
SELECT id FROM recipients WHERE tenant = :tenant AND key = :key AND created_at <= :created_by
  AND (:ends_with_sessions = 0 OR revoked_before <= :issued_at)
  AND NOT EXISTS (SELECT 1 FROM erased WHERE digest IN (:digest, :tenant_digest) AND sessions_before > :issued_at)

-- name: preferences_write
-- Replace a recipient's own preferences `before`, empty for none.
UPDATE recipients SET preferences = :preferences, switches_inbox = :switches_inbox, preferences_updated_at = :now
WHERE id = :inbox AND COALESCE(preferences, '') = :before
RETURNING id

-- name: inbox_switches
-- Whether any recipient of a tenant switches off the inbox for something.
SELECT 1 FROM recipients WHERE tenant = :tenant AND switches_inbox = 1 LIMIT 1
