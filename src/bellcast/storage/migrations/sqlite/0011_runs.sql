-- Runs of workflows. `body` is the state as JSON, `owner` the tenant that has the workflow. `revision` grows with each commit,
-- `woken` with each event that the run may wait for. A run that has not ended has a job of its id.
CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  "trigger" TEXT NOT NULL,
  tenant TEXT NOT NULL,
  workflow TEXT NOT NULL,
  owner TEXT NOT NULL,
  version INTEGER NOT NULL,
  recipient TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  cancel_key TEXT,
  wakes_at INTEGER,
  created_at INTEGER NOT NULL,
  ended_at INTEGER,
  revision INTEGER NOT NULL DEFAULT 0,
  woken INTEGER NOT NULL DEFAULT 0,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_tenant ON runs (tenant, id);
CREATE INDEX runs_workflow ON runs (tenant, workflow, id);
CREATE INDEX runs_recipient ON runs (tenant, recipient, id);
CREATE INDEX runs_trigger ON runs (tenant, "trigger", id);
CREATE INDEX runs_state ON runs (tenant, state, id);
CREATE INDEX runs_paused ON runs (owner, workflow, id) WHERE state = 'paused';
CREATE INDEX runs_cancel ON runs (tenant, workflow, cancel_key) WHERE cancel_key IS NOT NULL AND ended_at IS NULL;

-- Triggers for an audience. Their runs are added in pages by key; `position` is the last key.
CREATE TABLE fanouts (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  workflow TEXT NOT NULL,
  owner TEXT NOT NULL,
  version INTEGER NOT NULL,
  audience TEXT NOT NULL,
  body TEXT NOT NULL,
  cancel_key TEXT,
  created_at INTEGER NOT NULL,
  position TEXT NOT NULL,
  state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX fanouts_tenant ON fanouts (tenant);
CREATE INDEX fanouts_cancel ON fanouts (tenant, workflow, cancel_key) WHERE cancel_key IS NOT NULL AND state = 'running';

-- Counters of throttles and digests for a recipient and a key, as JSON. `run` is the run that closes a digest.
CREATE TABLE step_counters (
  tenant TEXT NOT NULL,
  workflow TEXT NOT NULL,
  step TEXT NOT NULL,
  recipient TEXT NOT NULL,
  "by" TEXT NOT NULL,
  run TEXT,
  body TEXT NOT NULL,
  revision INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, workflow, step, recipient, "by")
) STRICT, WITHOUT ROWID;
CREATE INDEX step_counters_run ON step_counters (run) WHERE run IS NOT NULL;
CREATE INDEX step_counters_recipient ON step_counters (tenant, recipient);
CREATE INDEX step_counters_age ON step_counters (expires_at);

-- Definitions as JSON; runs keep their version after the workflow is changed or deleted.
CREATE TABLE workflow_versions (
  owner TEXT NOT NULL,
  workflow TEXT NOT NULL,
  version INTEGER NOT NULL,
  body TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (owner, workflow, version)
) STRICT, WITHOUT ROWID;

-- The run that is woken by changes of an inbox item.
ALTER TABLE notifications ADD COLUMN run TEXT;
CREATE TRIGGER notifications_watched AFTER UPDATE OF seen_at, read_at, archived_at, acted_at ON notifications
WHEN NEW.run IS NOT NULL BEGIN
  UPDATE runs SET woken = woken + 1 WHERE id = NEW.run AND ended_at IS NULL;
  UPDATE jobs SET run_at = 0, attempts = 0, lease = NULL, crashes = 0
  WHERE id = NEW.run AND state = 'ready' AND EXISTS (SELECT 1 FROM runs WHERE id = NEW.run AND state = 'waiting');
END;
