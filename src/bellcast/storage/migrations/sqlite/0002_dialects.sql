-- Stored state of the foreign dialects: last events and positions of devices; and durable jobs.

CREATE TABLE last_events (
  tenant TEXT NOT NULL,
  topic TEXT NOT NULL,
  name TEXT NOT NULL,
  data TEXT NOT NULL,
  told_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, topic)
) STRICT, WITHOUT ROWID;

CREATE INDEX last_events_told ON last_events (told_at);

-- `device` is a digest. One row per connection: a device that returns is replayed from the lowest of its rows that are offline.
CREATE TABLE devices (
  inbox INTEGER NOT NULL,
  device BLOB NOT NULL,
  connection TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  heard_at INTEGER NOT NULL,
  PRIMARY KEY (inbox, device, connection)
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_heard ON devices (heard_at);

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  payload BLOB NOT NULL,
  run_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_due ON jobs (run_at);
