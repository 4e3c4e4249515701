-- name: failed_messages
-- A tenant's messages in one state, the newest first, without their content. A digest stands for its messages.
SELECT tenant, id, state, reason, created_at, recipient, channel, provider FROM messages
WHERE tenant = :tenant AND state = :state AND id < :before AND id >= :since AND (digest IS NULL OR digest = id)
ORDER BY id DESC LIMIT :limit

-- name: failed_runs
-- A tenant's failed runs, the newest first, without their bodies.
SELECT tenant, id, state, reason, created_at, recipient, workflow FROM runs
WHERE tenant = :tenant AND state = 'failed' AND id < :before AND id >= :since
ORDER BY id DESC LIMIT :limit

-- name: dead_jobs
-- A tenant's dead jobs by descending id.
SELECT tenant, id, state, error, created_at, kind, payload FROM jobs
WHERE state = 'dead' AND tenant = :tenant AND id < :before AND created_at >= :since_ms AND created_at < :before_ms
ORDER BY id DESC LIMIT :limit

-- name: failed_messages_of_all
-- Messages in a failed state of all tenants by descending id.
SELECT tenant, id, state, reason, created_at, recipient, channel, provider FROM messages
WHERE state = :state AND state IN ('failed', 'bounced') AND id < :before AND id >= :since AND (digest IS NULL OR digest = id)
ORDER BY id DESC LIMIT :limit

-- name: failed_messages_total
-- Number of a tenant's messages in one state, up to :limit.
SELECT count(*) FROM (
  SELECT 1 FROM messages WHERE tenant = :tenant AND state = :state AND id < :before AND id >= :since AND (digest IS NULL OR digest = id) LIMIT :limit
) AS few

-- name: failed_messages_of_all_total
-- Number of messages in a failed state of all tenants, up to :limit.
SELECT count(*) FROM (SELECT 1 FROM messages WHERE state = :state AND state IN ('failed', 'bounced') AND id < :before AND id >= :since AND (digest IS NULL OR digest = id) LIMIT :limit) AS few

-- name: failed_runs_of_all
-- Failed runs of all tenants by descending id.
SELECT tenant, id, state, reason, created_at, recipient, workflow FROM runs
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
SELECT tenant, id, state, error, created_at, kind, payload FROM jobs
WHERE state = 'dead' AND id < :before AND created_at >= :since_ms AND created_at < :before_ms
ORDER BY id DESC LIMIT :limit

-- name: dead_jobs_total
-- Number of a tenant's dead jobs, up to :limit.
SELECT count(*) FROM (
  SELECT 1 FROM jobs WHERE tenant = :tenant AND state = 'dead' AND id < :before AND created_at >= :since_ms AND created_at < :before_ms LIMIT :limit
) AS few

-- name: dead_jobs_of_all_total
-- Number of dead jobs of all tenants, up to :limit.
SELECT count(*) FROM (SELECT 1 FROM jobs WHERE state = 'dead' AND id < :before AND created_at >= :since_ms AND created_at < :before_ms LIMIT :limit) AS few

-- name: message_causes
-- A tenant's newest messages in one state by provider and reason: the newest of each group, its number and its oldest time.
SELECT one.tenant, one.id, one.state, one.reason, one.created_at, one.recipient, one.channel, one.provider, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT * FROM messages WHERE tenant = :tenant AND state = :state AND id < :before AND id >= :since AND (digest IS NULL OR digest = id) ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, channel, provider, reason
) AS same JOIN messages AS one ON one.id = same.id

-- name: message_causes_of_all
-- The newest messages in a failed state of all tenants by tenant, provider and reason.
SELECT one.tenant, one.id, one.state, one.reason, one.created_at, one.recipient, one.channel, one.provider, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT * FROM messages WHERE state = :state AND state IN ('failed', 'bounced') AND id < :before AND id >= :since AND (digest IS NULL OR digest = id) ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, channel, provider, reason
) AS same JOIN messages AS one ON one.id = same.id

-- name: run_causes
-- A tenant's newest failed runs by workflow and reason.
SELECT one.tenant, one.id, one.state, one.reason, one.created_at, one.recipient, one.workflow, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT * FROM runs WHERE tenant = :tenant AND state = 'failed' AND id < :before AND id >= :since ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, workflow, reason
) AS same JOIN runs AS one ON one.id = same.id

-- name: run_causes_of_all
-- The newest failed runs of all tenants by tenant, workflow and reason.
SELECT one.tenant, one.id, one.state, one.reason, one.created_at, one.recipient, one.workflow, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT * FROM runs WHERE state = 'failed' AND id < :before AND id >= :since ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, workflow, reason
) AS same JOIN runs AS one ON one.id = same.id

-- name: job_causes @sqlite
-- A tenant's newest dead jobs by kind, webhook (the second value of a delivery's payload) and error.
SELECT one.tenant, one.id, one.state, one.error, one.created_at, one.kind, one.payload, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT * FROM jobs WHERE tenant = :tenant AND state = 'dead' AND id < :before AND created_at >= :since_ms AND created_at < :before_ms ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, kind, error, CASE kind WHEN 'webhook' THEN json_extract(CAST(payload AS TEXT), '$[1]') END
) AS same JOIN jobs AS one ON one.id = same.id

-- name: job_causes_of_all @sqlite
-- The newest dead jobs of all tenants by tenant, kind, webhook and error, as above.
SELECT one.tenant, one.id, one.state, one.error, one.created_at, one.kind, one.payload, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT * FROM jobs WHERE state = 'dead' AND id < :before AND created_at >= :since_ms AND created_at < :before_ms ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, kind, error, CASE kind WHEN 'webhook' THEN json_extract(CAST(payload AS TEXT), '$[1]') END
) AS same JOIN jobs AS one ON one.id = same.id

-- name: job_causes @postgres
-- A tenant's newest dead jobs by kind, webhook (the second value of a delivery's payload) and error.
SELECT one.tenant, one.id, one.state, one.error, one.created_at, one.kind, one.payload, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT * FROM jobs WHERE tenant = :tenant AND state = 'dead' AND id < :before AND created_at >= :since_ms AND created_at < :before_ms ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, kind, error, CASE kind WHEN 'webhook' THEN convert_from(payload, 'UTF8')::json ->> 1 END
) AS same JOIN jobs AS one ON one.id = same.id

-- name: job_causes_of_all @postgres
-- The newest dead jobs of all tenants by tenant, kind, webhook and error, as above.
SELECT one.tenant, one.id, one.state, one.error, one.created_at, one.kind, one.payload, same.number, same.oldest_at FROM (
  SELECT max(id) AS id, count(*) AS number, min(created_at) AS oldest_at FROM (
    SELECT * FROM jobs WHERE state = 'dead' AND id < :before AND created_at >= :since_ms AND created_at < :before_ms ORDER BY id DESC LIMIT :limit
  ) AS few GROUP BY tenant, kind, error, CASE kind WHEN 'webhook' THEN convert_from(payload, 'UTF8')::json ->> 1 END
) AS same JOIN jobs AS one ON one.id = same.id

-- name: failed_messages_find @sqlite
-- Failed messages by id, in any order; the digest of one that is part of it.
SELECT tenant, id, state, reason, created_at, recipient, channel, provider FROM messages
WHERE tenant = :tenant AND state IN ('failed', 'bounced') AND id IN (
  SELECT COALESCE(digest, id) FROM messages WHERE id IN (SELECT value FROM json_each(:ids))
)

-- name: failed_messages_find @postgres
-- Failed messages by id, in any order; the digest of one that is part of it.
SELECT tenant, id, state, reason, created_at, recipient, channel, provider FROM messages
WHERE tenant = :tenant AND state IN ('failed', 'bounced') AND id = ANY(ARRAY(
  SELECT COALESCE(digest, id) FROM messages
  WHERE id = ANY(ARRAY(SELECT value FROM json_array_elements_text(:ids::json)))
))

-- name: failed_runs_find @sqlite
-- Failed runs by id, in any order.
SELECT tenant, id, state, reason, created_at, recipient, workflow FROM runs
WHERE tenant = :tenant AND state = 'failed' AND id IN (SELECT value FROM json_each(:ids))

-- name: failed_runs_find @postgres
-- Failed runs by id, in any order.
SELECT tenant, id, state, reason, created_at, recipient, workflow FROM runs
WHERE tenant = :tenant AND state = 'failed'
  AND id = ANY(ARRAY(SELECT value FROM json_array_elements_text(:ids::json)))

-- name: dead_jobs_find @sqlite
-- Dead jobs by id, in any order.
SELECT tenant, id, state, error, created_at, kind, payload FROM jobs
WHERE tenant = :tenant AND state = 'dead' AND id IN (SELECT value FROM json_each(:ids))

-- name: dead_jobs_find @postgres
-- Dead jobs by id, in any order.
SELECT tenant, id, state, error, created_at, kind, payload FROM jobs
WHERE tenant = :tenant AND state = 'dead'
  AND id = ANY(ARRAY(SELECT value FROM json_array_elements_text(:ids::json)))

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
