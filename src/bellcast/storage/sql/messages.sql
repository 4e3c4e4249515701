-- name: message_insert
-- A new message, held or queued.
INSERT INTO messages (
  id, tenant, recipient, notification, run, channel, type, priority, address, state, reason, unless, due_at, created_at,
  expires_at, content
) VALUES (
  :id, :tenant, :recipient, :notification, :run, :channel, :type, :priority, :address, :state, :reason, :unless, :due_at,
  :created_at, :expires_at, :content
)

-- name: decision_insert
-- The first decision for a channel; a later one, at the release of a held message, replaces it.
INSERT INTO decisions (
  tenant, notification, recipient, channel, outcome, rule, source, message, due_at, decided_at
) VALUES (
  :tenant, :notification, :recipient, :channel, :outcome, :rule, :source, :message, :due_at, :decided_at
)
ON CONFLICT (tenant, notification, recipient, channel) DO UPDATE SET
  outcome = excluded.outcome, rule = excluded.rule, source = excluded.source, message = excluded.message,
  due_at = excluded.due_at, decided_at = excluded.decided_at

-- name: messages_find @sqlite
-- Messages by id, in any order, with the state of their inbox items; a deleted one was seen and read.
SELECT
  m.id, m.tenant, m.recipient, m.notification, m.run, m.channel, m.type, m.priority, m.address, m.state, m.reason,
  m.unless, m.due_at, m.created_at, m.expires_at, m.provider, m.reference, m.content, m.attempts, m.rounds,
  CASE WHEN n.id IS NULL THEN 0 ELSE n.seen_at END, CASE WHEN n.id IS NULL THEN 0 ELSE n.read_at END
FROM messages m
LEFT JOIN recipients r ON r.tenant = m.tenant AND r.key = m.recipient
LEFT JOIN notifications n ON n.recipient = r.id AND n.id = m.notification
WHERE m.id IN (SELECT value FROM json_each(:ids))

-- name: messages_find @postgres
-- Messages by id, in any order, with the state of their inbox items; a deleted one was seen and read.
SELECT
  m.id, m.tenant, m.recipient, m.notification, m.run, m.channel, m.type, m.priority, m.address, m.state, m.reason,
  m.unless, m.due_at, m.created_at, m.expires_at, m.provider, m.reference, m.content, m.attempts, m.rounds,
  CASE WHEN n.id IS NULL THEN 0 ELSE n.seen_at END, CASE WHEN n.id IS NULL THEN 0 ELSE n.read_at END
FROM messages m
LEFT JOIN recipients r ON r.tenant = m.tenant AND r.key = m.recipient
LEFT JOIN notifications n ON n.recipient = r.id AND n.id = m.notification
WHERE m.id = ANY(ARRAY(SELECT value FROM json_array_elements_text(:ids::json)))

-- name: messages_begin @sqlite
-- Due messages whose attempt begins.
UPDATE messages SET state = 'sending'
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('held', 'queued', 'sending')

-- name: messages_begin @postgres
-- Due messages whose attempt begins.
UPDATE messages SET state = 'sending'
WHERE id = ANY(ARRAY(SELECT value FROM json_array_elements_text(:ids::json))) AND state IN ('held', 'queued', 'sending')

-- name: message_update
-- The outcome of an attempt or a decision.
UPDATE messages SET
  state = :state, reason = :reason, due_at = :due_at, provider = :provider, reference = :reference, attempts = :attempts,
  rounds = :rounds
WHERE id = :id AND (state = 'sending' OR :state IN ('sent', 'bounced'))

-- name: messages_page
-- Messages of a tenant, newest first. Null filters match everything.
SELECT
  id, tenant, recipient, notification, run, channel, type, priority, address, state, reason, unless, due_at, created_at,
  expires_at, provider, reference, content, attempts, rounds
FROM messages
WHERE tenant = :tenant AND id < :before
  AND (CAST(:channel AS TEXT) IS NULL OR channel = :channel)
  AND (CAST(:state AS TEXT) IS NULL OR state = :state)
ORDER BY id DESC LIMIT :limit

-- name: messages_of_recipient
-- Messages of a recipient, newest first. Null filters match everything.
SELECT
  id, tenant, recipient, notification, run, channel, type, priority, address, state, reason, unless, due_at, created_at,
  expires_at, provider, reference, content, attempts, rounds
FROM messages
WHERE tenant = :tenant AND id < :before AND recipient = :recipient
  AND (CAST(:channel AS TEXT) IS NULL OR channel = :channel)
  AND (CAST(:state AS TEXT) IS NULL OR state = :state)
ORDER BY id DESC LIMIT :limit

-- name: messages_of_notification
-- Messages of a notification, newest first. Null filters match everything.
SELECT
  id, tenant, recipient, notification, run, channel, type, priority, address, state, reason, unless, due_at, created_at,
  expires_at, provider, reference, content, attempts, rounds
FROM messages
WHERE tenant = :tenant AND id < :before AND notification = :notification
  AND (CAST(:recipient AS TEXT) IS NULL OR recipient = :recipient)
  AND (CAST(:channel AS TEXT) IS NULL OR channel = :channel)
  AND (CAST(:state AS TEXT) IS NULL OR state = :state)
ORDER BY id DESC LIMIT :limit

-- name: messages_of_run
-- Messages of a run, newest first. Null filters match everything.
SELECT
  id, tenant, recipient, notification, run, channel, type, priority, address, state, reason, unless, due_at, created_at,
  expires_at, provider, reference, content, attempts, rounds
FROM messages
WHERE tenant = :tenant AND id < :before AND run = :run
  AND (CAST(:recipient AS TEXT) IS NULL OR recipient = :recipient)
  AND (CAST(:channel AS TEXT) IS NULL OR channel = :channel)
  AND (CAST(:state AS TEXT) IS NULL OR state = :state)
ORDER BY id DESC LIMIT :limit

-- name: messages_in_state
-- Messages of a tenant in one state, newest first. Null filters match everything.
SELECT
  id, tenant, recipient, notification, run, channel, type, priority, address, state, reason, unless, due_at, created_at,
  expires_at, provider, reference, content, attempts, rounds
FROM messages
WHERE tenant = :tenant AND state = :state AND id < :before
  AND (CAST(:channel AS TEXT) IS NULL OR channel = :channel)
ORDER BY id DESC LIMIT :limit

-- name: decisions_of
-- What was decided for a notification, for one recipient or for all.
SELECT recipient, channel, outcome, rule, source, message, due_at, decided_at FROM decisions
WHERE tenant = :tenant AND notification = :notification
  AND (CAST(:recipient AS TEXT) IS NULL OR recipient = :recipient)
ORDER BY recipient, decided_at LIMIT :limit

-- name: messages_cancel
-- Messages of a recalled notification that no attempt was made for.
UPDATE messages SET state = 'cancelled', reason = :reason
WHERE tenant = :tenant AND notification = :notification AND state IN ('held', 'queued')

-- name: message_requeue
-- A message that failed is due again, with a fresh series of attempts.
UPDATE messages SET state = 'queued', reason = NULL, due_at = :now, rounds = 0
WHERE id = :id AND tenant = :tenant AND state IN ('failed', 'bounced')
RETURNING id

-- name: suppression_insert
-- An address that must not be used.
INSERT INTO suppressions (tenant, channel, address, reason, created_at)
VALUES (:tenant, :channel, :address, :reason, :created_at)
ON CONFLICT (tenant, channel, address) DO UPDATE SET reason = excluded.reason

-- name: suppression_find
-- Whether an address must not be used, and why.
SELECT reason FROM suppressions WHERE tenant = :tenant AND channel = :channel AND address = :address
