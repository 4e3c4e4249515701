-- name: job_add
-- Work for later; of what waits already, it is done later. Of what is being done, it is done once more.
INSERT INTO jobs (id, kind, payload, run_at, created_at) VALUES (:id, :kind, :payload, :run_at, :created_at)
ON CONFLICT (id) DO UPDATE SET run_at = excluded.run_at, created_at = excluded.created_at, attempts = 0

-- name: job_lease @sqlite
-- The longest due jobs; they are due again when the lease ends.
UPDATE jobs SET run_at = :until, attempts = attempts + 1 WHERE id IN (
  SELECT id FROM jobs WHERE run_at <= :now ORDER BY run_at LIMIT :limit
)
RETURNING id, kind, payload, run_at, created_at, attempts

-- name: job_lease @postgres
-- The longest due jobs that nobody else is taking; they are due again when the lease ends.
UPDATE jobs SET run_at = :until, attempts = attempts + 1 WHERE id IN (
  SELECT id FROM jobs WHERE run_at <= :now ORDER BY run_at LIMIT :limit FOR UPDATE SKIP LOCKED
)
RETURNING id, kind, payload, run_at, created_at, attempts

-- name: job_done
-- Done: nothing is kept of it, unless it was added again meanwhile.
DELETE FROM jobs WHERE id = :id AND attempts > 0

-- name: jobs_cancel @sqlite
-- Not to be done, if nobody has begun to.
DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(:ids)) AND attempts = 0 RETURNING id

-- name: jobs_cancel @postgres
-- Not to be done, if nobody has begun to.
DELETE FROM jobs WHERE id = ANY(ARRAY(SELECT value FROM json_array_elements_text(:ids::json))) AND attempts = 0
RETURNING id

-- name: job_again
-- To be tried again.
UPDATE jobs SET run_at = :run_at WHERE id = :id
