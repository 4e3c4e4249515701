-- name: last_event_keep
-- Save the last event of a cache topic.
INSERT INTO last_events (tenant, topic, name, data, told_at) VALUES (:tenant, :topic, :name, :data, :at)
ON CONFLICT (tenant, topic) DO UPDATE SET name = excluded.name, data = excluded.data, told_at = excluded.told_at

-- name: last_event
-- The last event of a cache topic.
SELECT name, data, told_at FROM last_events WHERE tenant = :tenant AND topic = :topic AND told_at >= :since

-- name: last_event_forget
-- Last events published before a time.
DELETE FROM last_events WHERE told_at < :before
