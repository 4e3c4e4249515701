-- Failures of all tenants, newest first.
CREATE INDEX messages_failed ON messages (state, id) WHERE state IN ('failed', 'bounced');
CREATE INDEX runs_failed ON runs (id) WHERE state = 'failed';
CREATE INDEX jobs_dead_of_all ON jobs (id) WHERE state = 'dead';
