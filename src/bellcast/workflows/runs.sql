-- name: run_insert @sqlite
-- A new run.
INSERT INTO runs (
  id, "trigger", tenant, workflow, owner, version, recipient, state, reason, cancel_key, wakes_at, created_at, ended_at,
  revision, body
) VALUES (
  :id, :trigger, :tenant, :workflow, :owner, :version, :recipient, :state, :reason, :cancel_key, :wakes_at, :created_at,
  :ended_at, :revision, :body
)

-- name: run_insert @postgres
-- New runs.
INSERT INTO runs (
  id, "trigger", tenant, workflow, owner, version, recipient, state, reason, cancel_key, wakes_at, created_at, ended_at,
  revision, body
)
SELECT * FROM unnest(
  :id::text[], :trigger::text[], :tenant::text[], :workflow::text[], :owner::text[], :version::bigint[],
  :recipient::text[], :state::text[], :reason::text[], :cancel_key::text[], :wakes_at::bigint[], :created_at::bigint[],
  :ended_at::bigint[], :revision::bigint[], :body::text[]
)

-- fragment: run_columns
-- The columns of a run.
id, "trigger", tenant, workflow, owner, version, recipient, state, reason, cancel_key, wakes_at, created_at, ended_at,
  revision, woken, body

-- name: run_find
-- One run.
SELECT {{run_columns}} FROM runs WHERE id = :id

-- name: runs_find
-- Runs by id, in any order.
SELECT {{run_columns}} FROM runs WHERE id {{in_ids}}

-- list: runs
-- Runs, newest first.
SELECT {{run_columns}}
FROM runs
LEADS trigger, recipient, workflow, state
FILTER {{run_filters}}
ORDER BY id DESC

-- list: run_outlines
-- What the steps of runs did, newest first.
SELECT id, tenant, workflow, owner, version, state, {{run_outline}}
FROM runs
LEADS workflow
ORDER BY id DESC

-- fragment: run_outline @sqlite
-- The state of a run, or, if it is large, only the part that counts read, so that many runs can be read at once.
CASE WHEN length(CAST(body AS BLOB)) <= 4096 THEN body ELSE (
  SELECT json_patch('{}', json_object('steps', json_group_object(key, json_object(
    'state', json_extract(value, '$.state'), 'reason', json_extract(value, '$.reason'),
    'ended_at', json_extract(value, '$.ended_at')
  ))))
  FROM json_each(body, '$.steps')
) END AS body

-- fragment: run_outline @postgres
-- The state of a run, or, if it is large, only the part that counts read, so that many runs can be read at once.
CASE WHEN octet_length(body) <= 4096 THEN body ELSE (
  SELECT json_strip_nulls(json_build_object('steps', json_object_agg(s.key, json_build_object(
    'state', s.value -> 'state', 'reason', s.value -> 'reason', 'ended_at', s.value -> 'ended_at'
  ))))::text
  FROM json_each(body::json -> 'steps') s
) END AS body

-- fragment: run_filters
-- The filters of a list of runs. Null filters match everything. The LIMIT makes PostgreSQL search the index of messages for
-- each run, and not hash all messages. A body that has the text of :step may have it elsewhere too; the steps that an ended
-- run did not reach are not in it.
(CAST(:recipient AS TEXT) IS NULL OR recipient = :recipient) AND (CAST(:workflow AS TEXT) IS NULL OR workflow = :workflow)
  AND (CAST(:state AS TEXT) IS NULL OR state = :state)
  AND (COALESCE(CAST(:channel AS TEXT), CAST(:provider AS TEXT)) IS NULL OR (
    SELECT 1 FROM messages m
    WHERE m.tenant = runs.tenant AND m.run = runs.id
      AND (CAST(:channel AS TEXT) IS NULL OR m.channel = :channel)
      AND (CAST(:provider AS TEXT) IS NULL OR m.provider = :provider)
    LIMIT 1
  ) = 1)
  AND (CAST(:step AS TEXT) IS NULL OR body LIKE :step OR (CAST(:ended AS TEXT) IS NOT NULL AND ended_at IS NOT NULL))

-- name: run_write
-- The new state of a run, if no other commit came between.
UPDATE runs SET
  state = :state, reason = :reason, wakes_at = :wakes_at, ended_at = :ended_at, body = :body, revision = revision + 1
WHERE id = :id AND revision = :revision
RETURNING id

-- name: runs_lock @sqlite
-- Which commits and events runs have; nothing else changes them before the commit.
SELECT id, revision, woken FROM runs WHERE id {{in_ids}}

-- name: runs_lock @postgres
-- Which commits and events runs have; nothing else changes them before the commit.
SELECT id, revision, woken FROM runs WHERE id {{in_ids}} ORDER BY id FOR UPDATE

-- name: run_save @sqlite
-- The new state of a locked run.
UPDATE runs SET
  state = :state, reason = :reason, wakes_at = :wakes_at, ended_at = :ended_at, body = :body, revision = revision + 1
WHERE id = :id

-- name: run_save @postgres
-- The new states of locked runs.
UPDATE runs r SET
  state = s.state, reason = s.reason, wakes_at = s.wakes_at, ended_at = s.ended_at, body = s.body,
  revision = r.revision + 1
FROM unnest(
  :id::text[], :state::text[], :reason::text[], :wakes_at::bigint[], :ended_at::bigint[], :body::text[]
) s (id, state, reason, wakes_at, ended_at, body)
WHERE r.id = s.id

-- name: runs_of_trigger_open
-- The runs of a trigger that have not ended, after the id :after.
SELECT {{run_columns}} FROM runs
WHERE tenant = :tenant AND "trigger" = :trigger AND ended_at IS NULL AND id > :after ORDER BY id LIMIT :limit

-- name: runs_of_cancel_key
-- The runs of a workflow with a key that have not ended, after the id :after.
SELECT {{run_columns}} FROM runs
WHERE tenant = :tenant AND workflow = :workflow AND cancel_key = :cancel_key AND ended_at IS NULL AND id > :after
  AND {{is_chosen}} ORDER BY id LIMIT :limit

-- name: runs_since
-- The number of runs by the owner and the key of their workflow among the newest :limit since an id.
SELECT owner, workflow, count(*)
FROM (SELECT owner, workflow FROM runs WHERE id > :since ORDER BY id DESC LIMIT :limit) AS few GROUP BY owner, workflow

-- name: runs_of_workflows_since @sqlite
-- The number of a tenant's runs since an id by workflow, of each at most :limit.
SELECT one.value, (
  SELECT count(*) FROM (
    SELECT 1 FROM runs WHERE tenant = :tenant AND workflow = one.value AND id > :since LIMIT :limit
  ) AS few
)
FROM json_each(:workflows) one

-- name: runs_of_workflows_since @postgres
-- The number of a tenant's runs since an id by workflow, of each at most :limit.
SELECT one.value, (
  SELECT count(*) FROM (
    SELECT 1 FROM runs WHERE tenant = :tenant AND workflow = one.value AND id > :since LIMIT :limit
  ) AS few
)
FROM json_array_elements_text(:workflows::json) AS one (value)

-- name: runs_of_cancel_key_count
-- How many runs of a workflow with a key have not ended.
SELECT count(*) FROM runs
WHERE tenant = :tenant AND workflow = :workflow AND cancel_key = :cancel_key AND ended_at IS NULL AND {{is_chosen}}

-- fragment: is_chosen @sqlite
-- Whether a run is one of all recipients or, if not null, of some.
(:recipients IS NULL OR recipient IN (SELECT value FROM json_each(:recipients)))

-- fragment: is_chosen @postgres
-- Whether a run is one of all recipients or, if not null, of some.
(:recipients::text IS NULL OR recipient = ANY(ARRAY(SELECT value FROM json_array_elements_text(:recipients::json))))

-- name: run_cancel
-- End a run.
UPDATE runs SET state = 'cancelled', ended_at = :now, wakes_at = NULL, revision = revision + 1
WHERE id = :id AND ended_at IS NULL
RETURNING id

-- name: run_messages_cancel
-- The messages of a cancelled run. Those that are being sent end before their next attempt.
UPDATE messages SET state = CASE state WHEN 'sending' THEN state ELSE 'cancelled' END, reason = 'cancelled'
WHERE tenant = :tenant AND run = :run AND state IN ('held', 'queued', 'sending')
RETURNING {{message_columns}}

-- name: run_job_delete
-- The job of a run that has ended.
DELETE FROM jobs WHERE id = :run

-- name: counters_of_runs @sqlite
-- The digests in which runs collect.
SELECT run, tenant, workflow, step, recipient, "by", body, revision, expires_at FROM step_counters
WHERE run {{in_ids}}

-- name: counters_of_runs @postgres
-- The digests in which runs collect.
SELECT run, tenant, workflow, step, recipient, "by", body, revision, expires_at FROM step_counters
WHERE run IS NOT NULL AND run {{in_ids}}

-- name: run_counters_delete
-- Delete the digests in which a run collects.
DELETE FROM step_counters WHERE run = :run

-- name: runs_paused
-- Paused runs of a workflow.
SELECT id, tenant FROM runs WHERE owner = :owner AND workflow = :workflow AND state = 'paused' ORDER BY id LIMIT :limit

-- name: run_resume
-- Resume a paused run.
UPDATE runs SET state = 'running', revision = revision + 1 WHERE id = :id AND state = 'paused'

-- name: runs_count @sqlite
-- The runs of a trigger by state. Without statistics, SQLite would read all runs of the tenant in the order of states.
SELECT state, count(*) FROM runs INDEXED BY runs_trigger WHERE tenant = :tenant AND "trigger" = :trigger GROUP BY state

-- name: runs_count @postgres
-- The runs of a trigger by state.
SELECT state, count(*) FROM runs WHERE tenant = :tenant AND "trigger" = :trigger GROUP BY state

-- name: notification_watch
-- Changes of an inbox item wake a run.
UPDATE notifications SET run = :run
WHERE recipient = (SELECT id FROM recipients WHERE tenant = :tenant AND key = :recipient) AND id = :id

-- name: items_find @sqlite
-- When inbox items were seen, read, archived and acted on.
SELECT n.id, n.seen_at, n.read_at, CASE WHEN n.snoozed_until IS NULL THEN n.archived_at END, n.acted_at FROM json_each(:ids) i
JOIN notifications n ON n.recipient = (SELECT id FROM recipients WHERE tenant = :tenant AND key = :recipient)
  AND n.id = i.value

-- name: items_find @postgres
-- When inbox items were seen, read, archived and acted on. Each row is found by its id, as in `marks_of_ids`.
SELECT n.* FROM json_array_elements_text(:ids::json) i
CROSS JOIN LATERAL (
  SELECT id, seen_at, read_at, CASE WHEN snoozed_until IS NULL THEN archived_at END, acted_at FROM notifications
  WHERE recipient = (SELECT id FROM recipients WHERE tenant = :tenant AND key = :recipient) AND id = i.value OFFSET 0
) n

-- name: counter_find
-- One counter of a throttle or digest, and whether the run that collects in it has ended.
SELECT
  body, revision,
  run IS NOT NULL AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = step_counters.run AND runs.ended_at IS NULL)
FROM step_counters
WHERE tenant = :tenant AND workflow = :workflow AND step = :step AND recipient = :recipient AND "by" = :by

-- name: counter_write
-- Create or change a counter.
INSERT INTO step_counters (tenant, workflow, step, recipient, "by", run, body, revision, expires_at)
VALUES (:tenant, :workflow, :step, :recipient, :by, :run, :body, :revision, :expires_at)
ON CONFLICT (tenant, workflow, step, recipient, "by") DO UPDATE SET
  run = excluded.run, body = excluded.body, revision = excluded.revision, expires_at = excluded.expires_at

-- name: counter_delete
-- Delete a counter.
DELETE FROM step_counters
WHERE tenant = :tenant AND workflow = :workflow AND step = :step AND recipient = :recipient AND "by" = :by

-- name: event_wait_put
-- A live event that a run waits for; another target than before has no event yet.
INSERT INTO event_waits (run, step, tenant, recipient, name, target)
VALUES (:run, :step, :tenant, :recipient, :name, :target)
ON CONFLICT (run, step) DO UPDATE SET target = excluded.target, event = NULL

-- name: event_waits_of_run
-- The events that a run waits for.
SELECT step, target, event FROM event_waits WHERE run = :run

-- name: event_waits_open
-- The runs that wait for an event, by id.
SELECT w.run, w.step, r.owner, r.workflow, r.version, r.recipient, r.body FROM event_waits w JOIN runs r ON r.id = w.run
WHERE w.tenant = :tenant AND w.name = :name AND w.target = :target AND w.event IS NULL AND (w.run, w.step) > (:run, :step)
  AND r.ended_at IS NULL
ORDER BY w.run, w.step LIMIT :limit

-- name: event_wait_end
-- The event of a wait, unless it has one.
UPDATE event_waits SET event = :event WHERE run = :run AND step = :step AND event IS NULL RETURNING run

-- name: event_waits_delete
-- The waits of a run that has ended.
DELETE FROM event_waits WHERE run = :run

-- name: erase_event_waits
-- The waits of the runs for one recipient.
DELETE FROM event_waits WHERE tenant = :tenant AND recipient = :key

-- name: erase_event_waits_of_tenant
-- The waits of a tenant's runs.
DELETE FROM event_waits WHERE tenant = :tenant

-- name: claims_find @sqlite
-- The recipients of a claim.
SELECT recipient FROM step_counters
WHERE tenant = :tenant AND workflow = '' AND step = :claim AND "by" = ''
  AND recipient IN (SELECT value FROM json_each(:recipients))

-- name: claims_find @postgres
-- The recipients of a claim.
SELECT recipient FROM step_counters
WHERE tenant = :tenant AND workflow = '' AND step = :claim AND "by" = ''
  AND recipient = ANY(ARRAY(SELECT value FROM json_array_elements_text(:recipients::json)))

-- name: fanouts_of_cancel_key @sqlite
-- The fan-outs of a workflow with a key that have not ended.
SELECT id, position, excluded FROM fanouts
WHERE tenant = :tenant AND workflow = :workflow AND cancel_key = :cancel_key AND state = 'running'

-- name: fanouts_of_cancel_key @postgres
-- The fan-outs of a workflow with a key that have not ended; nothing else changes them before the commit.
SELECT id, position, excluded FROM fanouts
WHERE tenant = :tenant AND workflow = :workflow AND cancel_key = :cancel_key AND state = 'running'
ORDER BY id FOR UPDATE

-- name: erase_runs
-- The runs for one recipient.
DELETE FROM runs WHERE tenant = :tenant AND recipient = :key

-- name: erase_step_counters
-- The counters of one recipient.
DELETE FROM step_counters WHERE tenant = :tenant AND recipient = :key

-- name: erase_runs_of_tenant
-- The runs of a tenant, including those for recipients that never had an inbox.
DELETE FROM runs WHERE tenant = :tenant

-- name: erase_step_counters_of_tenant
-- The counters of a tenant.
DELETE FROM step_counters WHERE tenant = :tenant

-- name: runs_forget
-- Runs that began before :before and have ended, at most :limit.
DELETE FROM runs WHERE id IN (
  SELECT id FROM runs WHERE id < :before AND ended_at IS NOT NULL ORDER BY id LIMIT :limit
)
RETURNING id

-- name: counters_forget
-- Expired counters in which no open run collects, at most :limit. Runs of an inactive workflow are paused for any time.
DELETE FROM step_counters WHERE (tenant, workflow, step, recipient, "by") IN (
  SELECT tenant, workflow, step, recipient, "by" FROM step_counters WHERE expires_at < :now
    AND (run IS NULL OR NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = step_counters.run AND runs.ended_at IS NULL))
  ORDER BY expires_at LIMIT :limit
)
RETURNING step
