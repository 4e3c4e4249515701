-- name: export_notifications
-- The notifications of one recipient, oldest first, and whether each is snoozed until the recipient is back.
-- That is read by the id: a join reads the whole inbox on PostgreSQL if most others are small.
SELECT e.*, (SELECT n.return_by FROM notifications n WHERE n.recipient = e.recipient AND n.id = e.id) IS NOT NULL
FROM inbox_entries e
WHERE e.recipient = (SELECT id FROM recipients WHERE tenant = :tenant AND key = :key) AND e.id > :after
ORDER BY e.id LIMIT :limit

-- name: export_decisions
-- The decisions about one recipient, by notification and channel.
SELECT notification, channel, decided_at, outcome, rule, source, message, due_at FROM decisions
WHERE tenant = :tenant AND recipient = :key
  AND (notification, channel, decided_at) > (:notification, :channel, :decided_at)
ORDER BY notification, channel, decided_at LIMIT :limit

-- name: export_step_counters
-- The counters of throttles and digests, and the claims, of one recipient.
SELECT workflow, step, "by", run, body, expires_at FROM step_counters
WHERE tenant = :tenant AND recipient = :key AND (workflow, step, "by") > (:workflow, :step, :by)
ORDER BY workflow, step, "by" LIMIT :limit

-- name: export_event_waits
-- The live events that the runs for one recipient wait for.
SELECT run, step, name, target, event FROM event_waits
WHERE tenant = :tenant AND recipient = :key AND (run, step) > (:run, :step)
ORDER BY run, step LIMIT :limit

-- name: export_webhook_events
-- The events about one recipient, oldest first.
SELECT id, body FROM webhook_events WHERE tenant = :tenant AND recipient = :key AND id > :after ORDER BY id LIMIT :limit

-- name: export_push_endpoints
-- The push endpoints of one recipient, without their addresses and keys.
SELECT e.id, e.kind, e.registered_at
FROM recipients r JOIN push_endpoints e ON e.recipient = r.id
WHERE r.tenant = :tenant AND r.key = :key AND e.id > :after
ORDER BY e.id LIMIT :limit

-- name: export_devices
-- The connections of one recipient's devices.
SELECT d.device, d.connection, d.revision, d.heard_at
FROM recipients r JOIN devices d ON d.inbox = r.id
WHERE r.tenant = :tenant AND r.key = :key AND (d.device, d.connection) > (:device, :connection)
ORDER BY d.device, d.connection LIMIT :limit

-- name: export_joined_topics
-- The topics that connections of one recipient joined.
SELECT t.connection, t.topics, t.saved_at
FROM recipients r JOIN joined_topics t ON t.inbox = r.id
WHERE r.tenant = :tenant AND r.key = :key AND t.connection > :after
ORDER BY t.connection LIMIT :limit

-- name: export_next_key
-- The next key that data outside of the inbox names, and whether it has a record.
SELECT key, EXISTS (SELECT 1 FROM recipients r WHERE r.tenant = :tenant AND r.key = n.key) FROM (
  SELECT min(key) AS key FROM (
    SELECT min(recipient) AS key FROM messages WHERE tenant = :tenant AND recipient > :after
    UNION ALL
    SELECT min(recipient) AS key FROM decisions WHERE tenant = :tenant AND recipient > :after
    UNION ALL
    SELECT min(recipient) AS key FROM runs WHERE tenant = :tenant AND recipient > :after
    UNION ALL
    SELECT min(recipient) AS key FROM step_counters WHERE tenant = :tenant AND recipient > :after
    UNION ALL
    SELECT min(recipient) AS key FROM event_waits WHERE tenant = :tenant AND recipient > :after
    UNION ALL
    SELECT min(recipient) AS key FROM webhook_events WHERE tenant = :tenant AND recipient > :after
  ) names
) n
WHERE key IS NOT NULL

-- name: export_announcements
-- The announcements of one tenant, oldest first, as unseen notifications.
SELECT seq, topic, {{announcement_columns}} FROM announcements
WHERE tenant = :tenant AND seq > :after ORDER BY seq LIMIT :limit

-- name: export_last_events
-- The last events of one tenant's topics.
SELECT topic, name, data, told_at FROM last_events WHERE tenant = :tenant AND topic > :after ORDER BY topic LIMIT :limit

-- name: export_outside
-- The notifications of one recipient that are not in its inbox, oldest first.
SELECT id, type, title, created_at FROM outside_notifications
WHERE recipient = (SELECT id FROM recipients WHERE tenant = :tenant AND key = :key) AND id > :after
ORDER BY id LIMIT :limit
