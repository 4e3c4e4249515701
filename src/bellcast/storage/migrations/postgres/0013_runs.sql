-- Runs of workflows. `body` is the state as JSON, `owner` the tenant that has the workflow. `revision` grows with each commit,
-- `woken` with each event that the run may wait for. A run that has not ended has a job of its id.
CREATE TABLE runs (
  id TEXT COLLATE "C" PRIMARY KEY,
  "trigger" TEXT COLLATE "C" NOT NULL,
  tenant TEXT COLLATE "C" NOT NULL,
  workflow TEXT COLLATE "C" NOT NULL,
  owner TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  recipient TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  reason TEXT,
  cancel_key TEXT COLLATE "C",
  wakes_at BIGINT,
  created_at BIGINT NOT NULL,
  ended_at BIGINT,
  revision BIGINT NOT NULL DEFAULT 0,
  woken BIGINT NOT NULL DEFAULT 0,
  body TEXT NOT NULL
);
CREATE INDEX runs_tenant ON runs (tenant, id);
CREATE INDEX runs_workflow ON runs (tenant, workflow, id);
CREATE INDEX runs_recipient ON runs (tenant, recipient, id);
CREATE INDEX runs_trigger ON runs (tenant, "trigger", id);
CREATE INDEX runs_state ON runs (tenant, state, id);
CREATE INDEX runs_paused ON runs (owner, workflow, id) WHERE state = 'paused';
CREATE INDEX runs_cancel ON runs (tenant, workflow, cancel_key) WHERE cancel_key IS NOT NULL AND ended_at IS NULL;

-- Triggers for an audience. Their runs are added in pages by key; `position` is the last key.
CREATE TABLE fanouts (
  id TEXT COLLATE "C" PRIMARY KEY,
  tenant TEXT COLLATE "C" NOT NULL,
  workflow TEXT COLLATE "C" NOT NULL,
  owner TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  audience TEXT NOT NULL,
  body TEXT NOT NULL,
  cancel_key TEXT COLLATE "C",
  created_at BIGINT NOT NULL,
  position TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL
);
CREATE INDEX fanouts_tenant ON fanouts (tenant);
CREATE INDEX fanouts_cancel ON fanouts (tenant, workflow, cancel_key) WHERE cancel_key IS NOT NULL AND state = 'running';

-- Counters of throttles and digests for a recipient and a key, as JSON. `run` is the run that closes a digest.
CREATE TABLE step_counters (
  tenant TEXT COLLATE "C" NOT NULL,
  workflow TEXT COLLATE "C" NOT NULL,
  step TEXT COLLATE "C" NOT NULL,
  recipient TEXT COLLATE "C" NOT NULL,
  "by" TEXT COLLATE "C" NOT NULL,
  run TEXT COLLATE "C",
  body TEXT NOT NULL,
  revision BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, workflow, step, recipient, "by")
);
CREATE INDEX step_counters_run ON step_counters (run) WHERE run IS NOT NULL;
CREATE INDEX step_counters_recipient ON step_counters (tenant, recipient);
CREATE INDEX step_counters_age ON step_counters (expires_at);

-- Definitions as JSON; runs keep their version after the workflow is changed or deleted.
CREATE TABLE workflow_versions (
  owner TEXT COLLATE "C" NOT NULL,
  workflow TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  body TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (owner, workflow, version)
);

-- The run that is woken by changes of an inbox item.
ALTER TABLE notifications ADD COLUMN run TEXT COLLATE "C";
CREATE FUNCTION notification_watched() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
DECLARE
  found TEXT;
BEGIN
  UPDATE runs SET woken = woken + 1 WHERE id = NEW.run AND ended_at IS NULL RETURNING state INTO found;
  IF found = 'waiting' THEN
    UPDATE jobs SET run_at = 0, attempts = 0, lease = NULL, crashes = 0 WHERE id = NEW.run AND state = 'ready';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER notifications_watched AFTER UPDATE OF seen_at, read_at, archived_at, acted_at ON notifications FOR EACH ROW
WHEN (NEW.run IS NOT NULL) EXECUTE FUNCTION notification_watched();
