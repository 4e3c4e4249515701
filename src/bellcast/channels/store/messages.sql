-- name: message_insert @sqlite
-- A new message, held or queued.
INSERT INTO messages (
  id, tenant, recipient, notification, run, channel, type, priority, address, state, reason, unless, due_at, created_at,
  expires_at, content, digest
) VALUES (
  :id, :tenant, :recipient, :notification, :run, :channel, :type, :priority, :address, :state, :reason, :unless, :due_at,
  :created_at, :expires_at, :content, :digest
)

-- name: message_insert @postgres
-- New messages, held or queued.
INSERT INTO messages (
  id, tenant, recipient, notification, run, channel, type, priority, address, state, reason, unless, due_at, created_at,
  expires_at, content, digest
)
SELECT * FROM unnest(
  :id::text[], :tenant::text[], :recipient::text[], :notification::text[], :run::text[], :channel::text[], :type::text[],
  :priority::text[], :address::text[], :state::text[], :reason::text[], :unless::text[], :due_at::bigint[],
  :created_at::bigint[], :expires_at::bigint[], :content::text[], :digest::text[]
)

-- name: decision_insert @sqlite
-- A decision for a channel; the release of a held message adds another. A repeated job adds none.
INSERT INTO decisions (
  tenant, notification, recipient, channel, outcome, rule, source, message, due_at, decided_at
) VALUES (
  :tenant, :notification, :recipient, :channel, :outcome, :rule, :source, :message, :due_at, :decided_at
)
ON CONFLICT DO NOTHING

-- name: decision_insert @postgres
-- Decisions for channels; the release of a held message adds another. A repeated job adds none.
INSERT INTO decisions (
  tenant, notification, recipient, channel, outcome, rule, source, message, due_at, decided_at
)
SELECT * FROM unnest(
  :tenant::text[], :notification::text[], :recipient::text[], :channel::text[], :outcome::text[], :rule::text[],
  :source::text[], :message::text[], :due_at::bigint[], :decided_at::bigint[]
)
ON CONFLICT DO NOTHING

-- fragment: message_columns
-- The columns of a message.
id, tenant, recipient, notification, run, channel, type, priority, address, state, reason, unless, due_at, created_at,
  expires_at, provider, reference, content, attempts, rounds, digest

-- fragment: item_of_message @sqlite
-- The inbox item of a message.
notifications n ON n.recipient = r.id AND n.id = m.notification

-- fragment: item_of_message @postgres
-- The inbox item of a message, found by its id as in `marks_of_ids`.
LATERAL (
  SELECT id, seen_at, read_at FROM notifications WHERE recipient = r.id AND id = m.notification OFFSET 0
) n ON true

-- name: messages_find
-- Messages by id, in any order, with the state of their inbox items; a deleted one was seen and read, one of an announcement
-- that an inbox does not have yet was not.
SELECT
  m.id, m.tenant, m.recipient, m.notification, m.run, m.channel, m.type, m.priority, m.address, m.state, m.reason,
  m.unless, m.due_at, m.created_at, m.expires_at, m.provider, m.reference, m.content, m.attempts, m.rounds,
  m.digest, CASE WHEN n.id IS NULL AND a.id IS NULL THEN 0 ELSE n.seen_at END,
  CASE WHEN n.id IS NULL AND a.id IS NULL THEN 0 ELSE n.read_at END
FROM messages m
LEFT JOIN recipients r ON r.tenant = m.tenant AND r.key = m.recipient
LEFT JOIN {{item_of_message}}
LEFT JOIN announcements a ON a.id = m.notification
WHERE m.id {{in_ids}}

-- name: messages_begin
-- Due or expired messages whose attempt begins, and those that were created while the clock was ahead: their jobs were planned
-- again. Not those that are, or will be, part of a digest.
UPDATE messages SET state = 'sending'
WHERE id {{in_ids}} AND state IN ('held', 'queued', 'sending')
  AND (expires_at <= :now OR ((due_at <= :now OR created_at > :now) AND NOT (state = 'held' AND COALESCE(reason, '') = 'digest')))
  AND (digest IS NULL OR digest = id)
RETURNING {{message_columns}}

-- fragment: counted_messages
-- Messages by tenant and provider, the time of the last one, and the number of those that failed.
count(*), tenant, provider, max(created_at), count(CASE WHEN state IN ('failed', 'bounced') THEN 1 END)

-- name: messages_recent
-- The newest messages of all tenants by tenant and provider, at most :most.
SELECT {{counted_messages}} FROM (
  SELECT tenant, provider, state, created_at FROM messages WHERE id < :before AND id >= :since ORDER BY id DESC LIMIT :most
) few GROUP BY tenant, provider

-- name: messages_recent_of_tenant
-- The newest messages of a tenant by provider, at most :most.
SELECT {{counted_messages}} FROM (
  SELECT tenant, provider, state, created_at FROM messages
  WHERE tenant = :tenant AND id < :before AND id >= :since ORDER BY id DESC LIMIT :most
) few GROUP BY tenant, provider

-- name: messages_lock @sqlite
-- The states of messages.
SELECT id, state FROM messages WHERE id {{in_ids}}

-- name: messages_lock @postgres
-- The states of messages; they do not change before the commit.
SELECT id, state FROM messages WHERE id {{in_ids}} ORDER BY id FOR UPDATE

-- name: message_update @sqlite
-- The outcome of an attempt or a decision. A message that was withdrawn during its attempt has no further one.
UPDATE messages SET
  address = :address, state = :state, due_at = :due_at,
  reason = CASE WHEN :state IN ('held', 'queued', 'simulated') AND reason IN ('recalled', 'cancelled') THEN reason ELSE :reason END, provider = :provider, reference = :reference,
  attempts = :attempts, rounds = :rounds
WHERE id = :id

-- name: message_update @postgres
-- The outcomes of attempts or decisions. A message that was withdrawn during its attempt has no further one.
UPDATE messages m SET
  address = u.address, state = u.state, due_at = u.due_at, provider = u.provider,
  reason = CASE WHEN u.state IN ('held', 'queued', 'simulated') AND m.reason IN ('recalled', 'cancelled') THEN m.reason ELSE u.reason END,
  reference = u.reference, attempts = u.attempts, rounds = u.rounds
FROM unnest(
  :id::text[], :address::text[], :state::text[], :reason::text[], :due_at::bigint[], :provider::text[],
  :reference::text[], :attempts::text[], :rounds::bigint[]
) u (id, address, state, reason, due_at, provider, reference, attempts, rounds)
WHERE m.id = u.id

-- name: digest_members
-- Messages that wait for a digest which is due, the oldest first, and those that were created while the clock was ahead.
SELECT id FROM messages
WHERE tenant = :tenant AND recipient = :recipient AND state = 'held' AND reason = 'digest'
AND (due_at <= :now OR created_at > :now)
ORDER BY id LIMIT :limit

-- name: digest_lock @sqlite
-- The given messages that still wait for a digest.
SELECT id FROM messages WHERE id {{in_ids}} AND state = 'held' AND reason = 'digest'

-- name: digest_lock @postgres
-- The given messages that still wait for a digest; they do not change before the commit.
SELECT id FROM messages WHERE id {{in_ids}} AND state = 'held' AND reason = 'digest' ORDER BY id FOR UPDATE

-- name: digest_join
-- Messages become part of a digest.
UPDATE messages SET state = 'queued', digest = :digest WHERE id {{in_ids}}

-- name: digest_decide
-- Remove a message that waits for a digest from it.
UPDATE messages SET state = :state, reason = :reason, due_at = :due_at WHERE id = :id

-- name: digest_update
-- The messages of a digest take its state. A recalled one keeps its own.
UPDATE messages SET
  state = :state, reason = :reason, provider = :provider, attempts = :attempts, rounds = :rounds, address = :address
WHERE digest = :id AND id <> :id AND state NOT IN ('cancelled', 'suppressed', 'expired')
RETURNING {{message_columns}}

-- name: digest_withdraw
-- A digest with a message that was cancelled, unless an attempt is in progress or was the last.
UPDATE messages SET state = 'cancelled', reason = 'recalled' WHERE id = :digest AND state = 'queued'
RETURNING {{message_columns}}

-- fragment: is_recalled
-- Whether the notification of a message was recalled.
EXISTS (
    SELECT 1 FROM decisions d
    WHERE d.tenant = messages.tenant AND d.notification = messages.notification AND d.outcome = 'recalled'
  )

-- name: digests_outdated
-- Those of these digests that show what was recalled since they were made.
SELECT DISTINCT digest FROM messages
WHERE digest {{in_ids}} AND id <> digest AND tenant = :tenant AND (state = 'cancelled' OR {{is_recalled}})

-- name: digests_leave
-- The messages of digests that are not sent again wait for another one, unless they were recalled, or an attempt is in progress.
UPDATE messages SET state = 'held', reason = 'digest', digest = NULL, due_at = :now, rounds = 0
WHERE digest {{in_ids}} AND id <> digest AND state IN ('queued', 'failed', 'bounced', 'simulated') AND NOT {{is_recalled}}
  AND NOT EXISTS (SELECT 1 FROM messages d WHERE d.id = messages.digest AND d.state = 'sending')
RETURNING {{message_columns}}

-- list: messages
-- Messages, newest first.
SELECT {{message_columns}}
FROM messages
LEADS notification, run, recipient, state
FILTER {{message_filters}}
ORDER BY id DESC

-- fragment: message_filters
-- The filters of a list of messages. Null filters match everything.
(CAST(:run AS TEXT) IS NULL OR run = :run) AND (CAST(:recipient AS TEXT) IS NULL OR recipient = :recipient)
  AND (CAST(:channel AS TEXT) IS NULL OR channel = :channel) AND (CAST(:state AS TEXT) IS NULL OR state = :state)
  AND (CAST(:provider AS TEXT) IS NULL OR provider = :provider)
  AND (CAST(:workflow AS TEXT) IS NULL OR (SELECT r.workflow FROM runs r WHERE r.id = messages.run) = :workflow)

-- name: snooze_record
-- Record that a recipient snoozed a notification, because its row is reset when the snooze ends. At most :limit per notification.
-- Without a channel, so that no decision of the same millisecond has its key.
INSERT INTO decisions (tenant, notification, recipient, channel, outcome, due_at, decided_at)
SELECT r.tenant, CAST(:id AS TEXT), r.key, '', 'snoozed', CAST(:until AS BIGINT), CAST(:now AS BIGINT)
FROM recipients r
WHERE r.id = :inbox AND CAST(:limit AS BIGINT) > (
  SELECT count(*) FROM decisions d
  WHERE d.tenant = r.tenant AND d.notification = CAST(:id AS TEXT) AND d.recipient = r.key AND d.outcome = 'snoozed'
)
ON CONFLICT DO NOTHING

-- name: recall_record
-- Record that a notification was recalled; its decisions and messages stay. One record of an announcement, without a recipient,
-- covers its whole audience. A snooze of the same millisecond has another key.
INSERT INTO decisions (tenant, notification, recipient, channel, outcome, decided_at)
SELECT few.tenant, few.notification, few.recipient, 'recalled', 'recalled', CAST(:now AS BIGINT) FROM (
  SELECT tenant, id AS notification, '' AS recipient FROM fanouts WHERE id = :id AND tenant = :tenant AND workflow = ''
  UNION
  SELECT tenant, notification, recipient FROM decisions
  WHERE tenant = :tenant AND notification = :id AND outcome IN ('send', 'hold', 'skip')
    AND NOT EXISTS (SELECT 1 FROM fanouts WHERE id = :id)
) AS few
WHERE NOT EXISTS (
  SELECT 1 FROM decisions r WHERE r.tenant = :tenant AND r.notification = :id AND r.outcome = 'recalled'
)
ON CONFLICT DO NOTHING
RETURNING recipient

-- name: actions_of
-- The snoozes and the recall of a notification, for one recipient or for all; those of an announcement without a recipient
-- are of its whole audience.
SELECT outcome, decided_at, due_at FROM decisions
WHERE tenant = :tenant AND notification = :notification AND outcome IN ('snoozed', 'recalled')
  AND (CAST(:recipient AS TEXT) IS NULL OR recipient IN (:recipient, ''))
ORDER BY decided_at LIMIT :limit

-- name: decisions_of
-- The decisions for a notification, for one recipient or for all.
SELECT recipient, channel, outcome, rule, source, message, due_at, decided_at FROM decisions
WHERE tenant = :tenant AND notification = :notification
  AND outcome IN ('send', 'hold', 'skip')
  AND (CAST(:recipient AS TEXT) IS NULL OR recipient = :recipient)
ORDER BY recipient, decided_at LIMIT :limit

-- name: messages_cancel
-- Messages of a recalled notification. Simulated ones keep their state, and cannot be released; those that are being sent or wait
-- for their provider end before their next attempt.
UPDATE messages SET state = CASE WHEN state IN ('simulated', 'sending') THEN state ELSE 'cancelled' END, reason = :reason
WHERE tenant = :tenant AND notification = :notification AND state IN ('held', 'queued', 'sending', 'simulated')
RETURNING {{message_columns}}

-- name: messages_release
-- Make simulated messages due that were not recalled.
UPDATE messages SET state = 'queued', reason = 'released', due_at = :now, rounds = 0
WHERE id {{in_ids}} AND tenant = :tenant AND state = 'simulated' AND reason IS NULL AND (digest IS NULL OR digest = id)
RETURNING id, priority

-- name: messages_requeue
-- Make failed messages due again, with a fresh series of attempts. Those without content were not rendered. Not those of recalled
-- notifications.
UPDATE messages SET state = 'queued', reason = NULL, due_at = :now, rounds = 0
WHERE id {{in_ids}} AND tenant = :tenant AND state IN ('failed', 'bounced') AND content <> '{}'
  AND (digest IS NULL OR digest = id) AND NOT {{is_recalled}}
RETURNING id, priority

-- name: digests_requeue
-- Queue the messages of digests that are due again.
UPDATE messages SET state = 'queued', reason = NULL, rounds = 0
WHERE digest {{in_ids}} AND id <> digest AND state IN ('failed', 'bounced', 'simulated')

-- name: erase_messages
-- The messages of one recipient.
DELETE FROM messages WHERE tenant = :tenant AND recipient = :key

-- name: erase_decisions
-- The decisions about one recipient.
DELETE FROM decisions WHERE tenant = :tenant AND recipient = :key

-- name: erase_messages_of_tenant
-- The messages of a tenant, including those to recipients without a record.
DELETE FROM messages WHERE tenant = :tenant

-- name: erase_decisions_of_tenant
-- The decisions of a tenant, including those about recipients without a record.
DELETE FROM decisions WHERE tenant = :tenant

-- name: messages_forget
-- Messages that ended before :older_than, at most :limit.
DELETE FROM messages WHERE id IN (
  SELECT id FROM messages WHERE id < :before AND state NOT IN ('held', 'queued', 'sending') ORDER BY id LIMIT :limit
)
RETURNING id

-- name: decisions_forget
-- Decisions about notifications created before :before, at most :limit.
DELETE FROM decisions WHERE (tenant, notification, recipient, channel, decided_at) IN (
  SELECT tenant, notification, recipient, channel, decided_at FROM decisions WHERE decided_at < :older_than
  ORDER BY decided_at LIMIT :limit
)
RETURNING notification

-- name: messages_of_reference
-- The oldest messages that providers with this key know by this reference: of a tenant, or of all for the default one.
SELECT id FROM messages
WHERE reference = :reference AND provider = :provider AND (tenant = :tenant OR :tenant = '') ORDER BY id LIMIT :limit

-- name: message_settle
-- The state that a receipt reports, including for the messages of a digest; only a sent message changes, so that no state moves
-- back.
UPDATE messages SET state = :state, reason = coalesce(:reason, reason)
WHERE (id = :id OR digest = :id) AND state = 'sent'
RETURNING {{message_columns}}

-- name: tenants_of_address
-- Tenants whose provider with this key has sent to an address. Reads all messages: a reply with STOP is rare.
SELECT DISTINCT tenant FROM messages WHERE channel = :channel AND address = :address AND provider = :provider

-- name: workflow_of_run
-- The workflow of a run.
SELECT workflow FROM runs WHERE id = :run

-- name: runs_wake @sqlite
-- An event that runs may wait for.
UPDATE runs SET woken = woken + 1 WHERE id {{in_ids}} AND ended_at IS NULL
RETURNING id, state

-- name: runs_wake @postgres
-- An event that runs may wait for. They are locked in the order of `runs_lock`.
UPDATE runs SET woken = woken + 1
WHERE id = ANY(ARRAY(
  SELECT id FROM runs WHERE id {{in_ids}} AND ended_at IS NULL ORDER BY id FOR UPDATE
))
RETURNING id, state

-- name: run_job_wake
-- The job of a waiting run is due.
UPDATE jobs SET run_at = 0, attempts = 0, lease = NULL, crashes = 0 WHERE id = :run AND state = 'ready'
