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
