-- Live events that runs wait for, from the start of the run. `target` is the stream of the topic or recipient; `event` is the
-- first event that matched, as JSON.
CREATE TABLE event_waits (
  run TEXT NOT NULL,
  step TEXT NOT NULL,
  tenant TEXT NOT NULL,
  recipient TEXT NOT NULL,
  name TEXT NOT NULL,
  target TEXT NOT NULL,
  event TEXT,
  PRIMARY KEY (run, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_waits_open ON event_waits (tenant, name, target, run) WHERE event IS NULL;
CREATE INDEX event_waits_recipient ON event_waits (tenant, recipient);
