-- Jobs by priority (0 urgent, 1 others, 2 fan-out), tenant and kind. `lease` identifies the current lease, null: none.
-- `crashes` counts unforeseen errors and leases that ended without an outcome, in a row. A dead job has a `run_at` in
-- the infinite future, so that older releases ignore it; they lease the other jobs by `jobs_due`.
ALTER TABLE jobs ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;
ALTER TABLE jobs ADD COLUMN state TEXT NOT NULL DEFAULT 'ready';
ALTER TABLE jobs ADD COLUMN lease TEXT;
ALTER TABLE jobs ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN error TEXT;
CREATE INDEX jobs_ready ON jobs (priority, tenant, kind, run_at) WHERE state = 'ready';
CREATE INDEX jobs_dead ON jobs (tenant, id) WHERE state = 'dead';
