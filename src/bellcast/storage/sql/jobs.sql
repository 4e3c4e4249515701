-- name: job_add
-- Work for later; of what waits already, it is done later.
INSERT INTO jobs (id, kind, payload, run_at, created_at) VALUES (:id, :kind, :payload, :run_at, :created_at)
ON CONFLICT (id) DO UPDATE SET run_at = excluded.run_at, created_at = excluded.created_at

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
-- Done: nothing is kept of it.
DELETE FROM jobs WHERE id = :id

-- name: job_again
-- To be tried again.
UPDATE jobs SET run_at = :run_at WHERE id = :id
