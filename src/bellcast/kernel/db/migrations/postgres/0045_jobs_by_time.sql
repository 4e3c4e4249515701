-- Few due jobs are found by their times, without the groups with jobs that wait.
DROP INDEX jobs_due;
CREATE INDEX jobs_by_time ON jobs (run_at, priority, tenant, kind) WHERE state = 'ready';
