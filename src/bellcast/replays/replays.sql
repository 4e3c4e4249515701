-- fragment: failed_message_columns
-- The columns of a message without its content.
id, tenant, state, reason, created_at, recipient, channel, provider

-- fragment: failed_message
-- A message in a failed state. A digest represents its messages. An index has the condition of the two states.
state = :state AND state IN ('failed', 'bounced') AND (digest IS NULL OR digest = id)

-- list: failed_messages
-- Messages in a failed state, newest first.
SELECT {{failed_message_columns}}
FROM messages
WHERE {{failed_message}}
ORDER BY id DESC

-- fragment: failed_run_columns
-- The columns of a run without its body.
id, tenant, state, reason, created_at, recipient, workflow

-- list: failed_runs
-- Failed runs, newest first.
SELECT {{failed_run_columns}}
FROM runs
WHERE state = 'failed'
ORDER BY id DESC

-- fragment: dead_job_columns
-- The columns of a job that a replay shows.
id, tenant, state, error, created_at, kind, payload

-- fragment: dead_job
-- A dead job that was created in a time range.
state = 'dead' AND created_at >= :since_ms AND created_at < :before_ms

-- list: dead_jobs
-- Dead jobs by descending id.
SELECT {{dead_job_columns}}
FROM jobs
WHERE {{dead_job}}
ORDER BY id DESC

-- fragment: failure_range
-- Failures between two ids.
id < :after_id AND id >= :until_id

-- name: message_causes_of_tenant
-- A tenant's newest messages in one state by provider and reason: the newest of each group, its number and its oldest time.
-- The columns are named, because SQLite would read all of the inner query, with its large contents.
SELECT one.id, one.tenant, one.state, one.reason, one.created_at, one.recipient, one.channel, one.provider, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT id, tenant, channel, provider, reason, created_at FROM messages
    WHERE tenant = :tenant AND {{failed_message}} AND {{failure_range}} ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, channel, provider, reason
) AS same JOIN messages AS one ON one.id = same.id

-- name: message_causes
-- The newest messages in a failed state of all tenants by tenant, provider and reason.
SELECT one.id, one.tenant, one.state, one.reason, one.created_at, one.recipient, one.channel, one.provider, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT id, tenant, channel, provider, reason, created_at FROM messages
    WHERE {{failed_message}} AND {{failure_range}} ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, channel, provider, reason
) AS same JOIN messages AS one ON one.id = same.id

-- name: run_causes_of_tenant
-- A tenant's newest failed runs by workflow and reason.
SELECT one.id, one.tenant, one.state, one.reason, one.created_at, one.recipient, one.workflow, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT id, tenant, workflow, reason, created_at FROM runs
    WHERE tenant = :tenant AND state = 'failed' AND {{failure_range}} ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, workflow, reason
) AS same JOIN runs AS one ON one.id = same.id

-- name: run_causes
-- The newest failed runs of all tenants by tenant, workflow and reason.
SELECT one.id, one.tenant, one.state, one.reason, one.created_at, one.recipient, one.workflow, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT id, tenant, workflow, reason, created_at FROM runs
    WHERE state = 'failed' AND {{failure_range}} ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, workflow, reason
) AS same JOIN runs AS one ON one.id = same.id

-- fragment: job_webhook @sqlite
-- The webhook of a delivery, the second value of its payload.
CASE kind WHEN 'webhook' THEN json_extract(CAST(payload AS TEXT), '$[1]') END

-- fragment: job_webhook @postgres
-- The webhook of a delivery, the second value of its payload.
CASE kind WHEN 'webhook' THEN convert_from(payload, 'UTF8')::json ->> 1 END

-- name: job_causes_of_tenant
-- A tenant's newest dead jobs by kind, webhook and error.
SELECT one.id, one.tenant, one.state, one.error, one.created_at, one.kind, one.payload, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT id, tenant, kind, error, payload, created_at FROM jobs
    WHERE tenant = :tenant AND {{dead_job}} AND {{failure_range}} ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, kind, error, {{job_webhook}}
) AS same JOIN jobs AS one ON one.id = same.id

-- name: job_causes
-- The newest dead jobs of all tenants by tenant, kind, webhook and error.
SELECT one.id, one.tenant, one.state, one.error, one.created_at, one.kind, one.payload, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT id, tenant, kind, error, payload, created_at FROM jobs
    WHERE {{dead_job}} AND {{failure_range}} ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, kind, error, {{job_webhook}}
) AS same JOIN jobs AS one ON one.id = same.id

-- name: failed_messages_find @sqlite
-- Failed messages by id, in any order; the digest of one that is part of it.
SELECT {{failed_message_columns}} FROM messages
WHERE tenant = :tenant AND state IN ('failed', 'bounced') AND id IN (
  SELECT COALESCE(digest, id) FROM messages WHERE id {{in_ids}}
)

-- name: failed_messages_find @postgres
-- Failed messages by id, in any order; the digest of one that is part of it.
SELECT {{failed_message_columns}} FROM messages
WHERE tenant = :tenant AND state IN ('failed', 'bounced') AND id = ANY(ARRAY(
  SELECT COALESCE(digest, id) FROM messages WHERE id {{in_ids}}
))

-- name: failed_runs_find
-- Failed runs by id, in any order.
SELECT {{failed_run_columns}} FROM runs
WHERE tenant = :tenant AND state = 'failed' AND id {{in_ids}}

-- name: dead_jobs_find
-- Dead jobs by id, in any order.
SELECT {{dead_job_columns}} FROM jobs
WHERE tenant = :tenant AND state = 'dead' AND id {{in_ids}}

-- list: replays
-- Replays, newest first.
SELECT key, tenant, body
FROM documents
WHERE kind = 'replays'
ORDER BY key DESC
