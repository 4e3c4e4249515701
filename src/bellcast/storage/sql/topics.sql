-- name: last_event_keep
-- The event that those who come later are told.
INSERT INTO last_events (tenant, topic, name, data, told_at) VALUES (:tenant, :topic, :name, :data, :at)
ON CONFLICT (tenant, topic) DO UPDATE SET name = excluded.name, data = excluded.data, told_at = excluded.told_at

-- name: last_event
-- The event kept of a topic.
SELECT name, data, told_at FROM last_events WHERE tenant = :tenant AND topic = :topic AND told_at >= :since

-- name: last_event_forget
-- Events told before a time.
DELETE FROM last_events WHERE told_at < :before
