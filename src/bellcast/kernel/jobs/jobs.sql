-- fragment: in_due @sqlite
-- Whether a column is one of the kinds of a JSON list.
IN (SELECT value FROM json_each(:due))

-- fragment: in_due @postgres
-- Whether a column is one of the kinds of a JSON list.
= ANY(ARRAY(SELECT value FROM json_array_elements_text(:due::json)))

-- name: job_add @sqlite
-- Add a job. An existing job is rescheduled to the new time, and runs again if it is running.
INSERT INTO jobs (id, kind, payload, run_at, created_at, tenant, priority, planned_at)
VALUES (:id, :kind, :payload, :run_at, :created_at, :tenant, :priority, :created_at)
ON CONFLICT (id) DO UPDATE SET
  run_at = excluded.run_at, created_at = excluded.created_at, priority = excluded.priority, attempts = 0, lease = NULL,
  crashes = 0, state = 'ready', error = NULL, planned_at = excluded.planned_at

-- name: job_add @postgres
-- Add jobs. An existing job is rescheduled to the new time, and runs again if it is running. Of two with the same id, the last
-- one counts.
INSERT INTO jobs (id, kind, payload, run_at, created_at, tenant, priority, planned_at)
SELECT DISTINCT ON (id) id, kind, payload, run_at, created_at, tenant, priority, created_at FROM unnest(
  :id::text[], :kind::text[], :payload::bytea[], :run_at::bigint[], :created_at::bigint[], :tenant::text[],
  :priority::bigint[]
) WITH ORDINALITY j (id, kind, payload, run_at, created_at, tenant, priority, place)
ORDER BY id, place DESC
ON CONFLICT (id) DO UPDATE SET
  run_at = excluded.run_at, created_at = excluded.created_at, priority = excluded.priority, attempts = 0, lease = NULL,
  crashes = 0, state = 'ready', error = NULL, planned_at = excluded.planned_at

-- name: jobs_first_due
-- Priorities, tenants and kinds of the jobs that have been due the longest, since when, and how many they are.
SELECT priority, tenant, kind, min(run_at), count(*) FROM (
  SELECT priority, tenant, kind, run_at FROM jobs WHERE state = 'ready' AND run_at <= :now ORDER BY run_at LIMIT :limit
) few GROUP BY priority, tenant, kind ORDER BY priority, min(run_at)

-- name: jobs_due
-- Priorities, tenants and kinds with due jobs, and since when. Each step of the walk is at most three searches of the
-- index, however many jobs wait there; SQLite would scan the jobs of a priority for one comparison of all three columns.
WITH RECURSIVE walk (priority, tenant, kind, run_at) AS (
  SELECT priority, tenant, kind, run_at FROM (
    SELECT priority, tenant, kind, run_at FROM jobs WHERE state = 'ready' AND priority >= 0
    ORDER BY priority, tenant, kind, run_at LIMIT 1
  ) a
  UNION ALL
  SELECT j.priority, j.tenant, j.kind, j.run_at FROM walk w JOIN jobs j ON j.id = coalesce(
    (
      SELECT id FROM jobs
      WHERE state = 'ready' AND priority = w.priority AND tenant = w.tenant AND kind > w.kind
      ORDER BY kind, run_at LIMIT 1
    ), (
      SELECT id FROM jobs WHERE state = 'ready' AND priority = w.priority AND tenant > w.tenant
      ORDER BY tenant, kind, run_at LIMIT 1
    ), (
      SELECT id FROM jobs WHERE state = 'ready' AND priority > w.priority
      ORDER BY priority, tenant, kind, run_at LIMIT 1
    )
  )
)
SELECT priority, tenant, kind, run_at FROM walk w WHERE run_at <= :now ORDER BY priority, run_at

-- fragment: job_columns
-- The columns of a job.
id, kind, payload, run_at, created_at, attempts, tenant, priority, lease, crashes, error

-- name: job_lease @sqlite
-- Lease the longest due jobs of one group. A lease that ended without an outcome counts as a crash.
UPDATE jobs SET
  run_at = :until, attempts = attempts + 1, lease = :lease,
  crashes = crashes + CASE WHEN lease IS NOT NULL AND attempts > 0 THEN 1 ELSE 0 END
WHERE id IN (
  SELECT id FROM jobs
  WHERE state = 'ready' AND priority = :priority AND tenant = :tenant AND kind = :kind AND run_at <= :now
  ORDER BY run_at LIMIT :limit
)
RETURNING {{job_columns}}

-- name: job_lease @postgres
-- Lease the longest due jobs of one group that no other process is leasing. A lease that ended without an outcome counts
-- as a crash.
UPDATE jobs SET
  run_at = :until, attempts = attempts + 1, lease = :lease,
  crashes = crashes + CASE WHEN lease IS NOT NULL AND attempts > 0 THEN 1 ELSE 0 END
WHERE id = ANY(ARRAY(
  SELECT id FROM jobs
  WHERE state = 'ready' AND priority = :priority AND tenant = :tenant AND kind = :kind AND run_at <= :now
  ORDER BY run_at LIMIT :limit FOR UPDATE SKIP LOCKED
))
RETURNING {{job_columns}}

-- name: job_renew
-- Extend a lease, unless it was lost.
UPDATE jobs SET run_at = :until WHERE id = :id AND lease = :lease AND attempts > 0

-- name: jobs_release
-- Make the jobs that an ended process had leased until a time due. Their leases count as crashes. Reads only the jobs
-- with a time in between.
UPDATE jobs SET run_at = :now
WHERE state = 'ready' AND lease IS NOT NULL AND attempts > 0 AND run_at > :now AND run_at <= :until

-- name: jobs_planned_after
-- Waiting jobs that were planned after a moment, and leased ones that end a lease after it, those due last first.
SELECT id FROM jobs
WHERE state = 'ready' AND run_at > :moment
AND (planned_at > :moment AND lease IS NULL OR run_at > :moment + :lease AND lease IS NOT NULL)
ORDER BY run_at DESC LIMIT :limit

-- name: jobs_replan
-- Jobs that were planned or leased in a time that has not come: those of the kinds :due are due, the others wait for the same
-- time from now on. A lease ends as if it began now: its process renews it, if it has not died.
UPDATE jobs SET
  run_at = :now + CASE
    WHEN lease IS NOT NULL THEN :lease
    WHEN kind {{in_due}} THEN 0
    ELSE run_at - planned_at
  END,
  planned_at = CASE WHEN lease IS NULL THEN :now ELSE planned_at END
WHERE id {{in_ids}} AND state = 'ready'
AND (planned_at > :now AND run_at > :now AND lease IS NULL OR run_at > :now + :lease AND lease IS NOT NULL)
RETURNING id

-- name: job_find_leased
-- A job that still has this lease.
SELECT id FROM jobs WHERE id = :id AND lease = :lease AND attempts > 0

-- name: job_done @sqlite
-- Delete a finished job, unless its lease was lost or it was added again in the meantime.
DELETE FROM jobs WHERE id = :id AND lease = :lease AND attempts > 0

-- name: job_done @postgres
-- Delete finished jobs, unless their lease was lost or they were added again in the meantime.
DELETE FROM jobs j USING unnest(:id::text[], :lease::text[]) d (id, lease)
WHERE j.id = d.id AND j.lease = d.lease AND j.attempts > 0

-- name: job_again
-- End a lease; the job is due again at :run_at.
UPDATE jobs SET
  kind = :kind, payload = :payload, run_at = :run_at, attempts = :attempts, crashes = :crashes, error = :error, lease = NULL,
  planned_at = :now
WHERE id = :id AND lease = :lease AND attempts > 0

-- name: job_set_dead
-- Mark a job that cannot be run as dead.
UPDATE jobs SET state = 'dead', error = :error, lease = NULL
WHERE id = :id AND lease = :lease AND attempts > 0

-- name: jobs_cancel
-- Delete the jobs that were never leased.
DELETE FROM jobs WHERE id {{in_ids}} AND attempts = 0 RETURNING id

-- list: jobs_dead
-- Dead jobs, by id.
SELECT {{job_columns}}
FROM jobs
WHERE state = 'dead'
ORDER BY id

-- name: job_find_dead
-- A dead job of a tenant.
SELECT id FROM jobs WHERE id = :id AND tenant = :tenant AND state = 'dead'

-- name: job_revive
-- Make a dead job due.
UPDATE jobs SET state = 'ready', run_at = :now, planned_at = :now, attempts = 0, crashes = 0, error = NULL
WHERE id = :id AND tenant = :tenant AND state = 'dead'
RETURNING id

-- name: job_delete_dead
-- Delete a dead job.
DELETE FROM jobs WHERE id = :id AND tenant = :tenant AND state = 'dead' RETURNING id

-- name: jobs_count
-- Jobs by kind and state, for the metrics.
SELECT kind, CASE WHEN state = 'dead' THEN 'dead' WHEN lease IS NULL THEN 'ready' ELSE 'running' END, count(*)
FROM jobs GROUP BY 1, 2 ORDER BY 1, 2

-- name: erase_dead_jobs
-- A tenant's dead jobs.
DELETE FROM jobs WHERE state = 'dead' AND tenant = :tenant
