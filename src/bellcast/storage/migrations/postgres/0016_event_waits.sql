-- Live events that runs wait for, from the start of the run. `target` is the stream of the topic or recipient; `event` is the
-- first event that matched, as JSON.
CREATE TABLE event_waits (
  run TEXT COLLATE "C" NOT NULL,
  step TEXT COLLATE "C" NOT NULL,
  tenant TEXT COLLATE "C" NOT NULL,
  recipient TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  target TEXT COLLATE "C" NOT NULL,
  event TEXT,
  PRIMARY KEY (run, step)
);
CREATE INDEX event_waits_open ON event_waits (tenant, name, target, run) WHERE event IS NULL;
CREATE INDEX event_waits_recipient ON event_waits (tenant, recipient);
