-- fragment: failed_message_columns
-- The columns of a message without its content.
tenant, id, state, reason, created_at, recipient, channel, provider

-- fragment: failed_message_range
-- Messages between two ids. A digest represents its messages.
id < :before AND id >= :since AND (digest IS NULL OR digest = id)

-- name: failed_messages
-- A tenant's messages in one state, the newest first.
SELECT {{failed_message_columns}} FROM messages
WHERE tenant = :tenant AND state = :state AND {{failed_message_range}}
ORDER BY id DESC LIMIT :limit

-- fragment: failed_run_columns
-- The columns of a run without its body.
tenant, id, state, reason, created_at, recipient, workflow

-- name: failed_runs
-- A tenant's failed runs, the newest first.
SELECT {{failed_run_columns}} FROM runs
WHERE tenant = :tenant AND state = 'failed' AND id < :before AND id >= :since
ORDER BY id DESC LIMIT :limit

-- fragment: dead_job_columns
-- The columns of a job that a replay shows.
tenant, id, state, error, created_at, kind, payload

-- fragment: dead_job_range
-- Jobs up to an id, created in a time range.
id < :before AND created_at >= :since_ms AND created_at < :before_ms

-- name: dead_jobs
-- A tenant's dead jobs by descending id.
SELECT {{dead_job_columns}} FROM jobs
WHERE state = 'dead' AND tenant = :tenant AND {{dead_job_range}}
ORDER BY id DESC LIMIT :limit

-- name: failed_messages_of_all
-- Messages in a failed state of all tenants by descending id.
SELECT {{failed_message_columns}} FROM messages
WHERE state = :state AND state IN ('failed', 'bounced') AND {{failed_message_range}}
ORDER BY id DESC LIMIT :limit

-- name: failed_messages_total
-- Number of a tenant's messages in one state, up to :limit.
SELECT count(*) FROM (
  SELECT 1 FROM messages WHERE tenant = :tenant AND state = :state AND {{failed_message_range}} LIMIT :limit
) AS few

-- name: failed_messages_of_all_total
-- Number of messages in a failed state of all tenants, up to :limit.
SELECT count(*) FROM (
  SELECT 1 FROM messages WHERE state = :state AND state IN ('failed', 'bounced') AND {{failed_message_range}} LIMIT :limit
) AS few

-- name: failed_runs_of_all
-- Failed runs of all tenants by descending id.
SELECT {{failed_run_columns}} FROM runs
WHERE state = 'failed' AND id < :before AND id >= :since
ORDER BY id DESC LIMIT :limit

-- name: failed_runs_total
-- Number of a tenant's failed runs, up to :limit.
SELECT count(*) FROM (
  SELECT 1 FROM runs WHERE tenant = :tenant AND state = 'failed' AND id < :before AND id >= :since LIMIT :limit
) AS few

-- name: failed_runs_of_all_total
-- Number of failed runs of all tenants, up to :limit.
SELECT count(*) FROM (SELECT 1 FROM runs WHERE state = 'failed' AND id < :before AND id >= :since LIMIT :limit) AS few

-- name: dead_jobs_of_all
-- Dead jobs of all tenants by descending id.
SELECT {{dead_job_columns}} FROM jobs
WHERE state = 'dead' AND {{dead_job_range}}
ORDER BY id DESC LIMIT :limit

-- name: dead_jobs_total
-- Number of a tenant's dead jobs, up to :limit.
SELECT count(*) FROM (
  SELECT 1 FROM jobs WHERE tenant = :tenant AND state = 'dead' AND {{dead_job_range}} LIMIT :limit
) AS few

-- name: dead_jobs_of_all_total
-- Number of dead jobs of all tenants, up to :limit.
SELECT count(*) FROM (SELECT 1 FROM jobs WHERE state = 'dead' AND {{dead_job_range}} LIMIT :limit) AS few

-- name: message_causes
-- A tenant's newest messages in one state by provider and reason: the newest of each group, its number and its oldest time.
-- The columns are named, because SQLite would read all of the inner query, with its large contents.
SELECT one.tenant, one.id, one.state, one.reason, one.created_at, one.recipient, one.channel, one.provider, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT id, tenant, channel, provider, reason, created_at FROM messages
    WHERE tenant = :tenant AND state = :state AND {{failed_message_range}} ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, channel, provider, reason
) AS same JOIN messages AS one ON one.id = same.id

-- name: message_causes_of_all
-- The newest messages in a failed state of all tenants by tenant, provider and reason.
SELECT one.tenant, one.id, one.state, one.reason, one.created_at, one.recipient, one.channel, one.provider, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT id, tenant, channel, provider, reason, created_at FROM messages
    WHERE state = :state AND state IN ('failed', 'bounced') AND {{failed_message_range}} ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, channel, provider, reason
) AS same JOIN messages AS one ON one.id = same.id

-- name: run_causes
-- A tenant's newest failed runs by workflow and reason.
SELECT one.tenant, one.id, one.state, one.reason, one.created_at, one.recipient, one.workflow, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT id, tenant, workflow, reason, created_at FROM runs
    WHERE tenant = :tenant AND state = 'failed' AND id < :before AND id >= :since ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, workflow, reason
) AS same JOIN runs AS one ON one.id = same.id

-- name: run_causes_of_all
-- The newest failed runs of all tenants by tenant, workflow and reason.
SELECT one.tenant, one.id, one.state, one.reason, one.created_at, one.recipient, one.workflow, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT id, tenant, workflow, reason, created_at FROM runs
    WHERE state = 'failed' AND id < :before AND id >= :since ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, workflow, reason
) AS same JOIN runs AS one ON one.id = same.id

-- fragment: job_webhook @sqlite
-- The webhook of a delivery, the second value of its payload.
CASE kind WHEN 'webhook' THEN json_extract(CAST(payload AS TEXT), '$[1]') END

-- fragment: job_webhook @postgres
-- The webhook of a delivery, the second value of its payload.
CASE kind WHEN 'webhook' THEN convert_from(payload, 'UTF8')::json ->> 1 END

-- name: job_causes
-- A tenant's newest dead jobs by kind, webhook and error.
SELECT one.tenant, one.id, one.state, one.error, one.created_at, one.kind, one.payload, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT id, tenant, kind, error, payload, created_at FROM jobs
    WHERE tenant = :tenant AND state = 'dead' AND {{dead_job_range}} ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, kind, error, {{job_webhook}}
) AS same JOIN jobs AS one ON one.id = same.id

-- name: job_causes_of_all
-- The newest dead jobs of all tenants by tenant, kind, webhook and error.
SELECT one.tenant, one.id, one.state, one.error, one.created_at, one.kind, one.payload, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT id, tenant, kind, error, payload, created_at FROM jobs
    WHERE state = 'dead' AND {{dead_job_range}} ORDER BY id DESC LIMIT :limit
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

-- name: replays_of_tenant
-- A tenant's replays by descending id.
SELECT tenant, key, body FROM documents
WHERE kind = 'replays' AND tenant = :tenant AND key < :before AND key >= :since
ORDER BY key DESC LIMIT :limit

-- name: replays_of_all
-- Replays of all tenants by descending id.
SELECT tenant, key, body FROM documents
WHERE kind = 'replays' AND key < :before AND key >= :since
ORDER BY key DESC LIMIT :limit
