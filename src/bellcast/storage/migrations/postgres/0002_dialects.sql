-- Stored state of the foreign dialects: last events and positions of devices; and durable jobs.

CREATE TABLE last_events (
  tenant TEXT COLLATE "C" NOT NULL,
  topic TEXT COLLATE "C" NOT NULL,
  name TEXT NOT NULL,
  data TEXT NOT NULL,
  told_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, topic)
);

CREATE INDEX last_events_told ON last_events (told_at);

-- `device` is a digest. One row per connection: a device that returns is replayed from the lowest of its rows that are offline.
CREATE TABLE devices (
  inbox BIGINT NOT NULL,
  device BYTEA NOT NULL,
  connection TEXT COLLATE "C" NOT NULL,
  epoch BIGINT NOT NULL,
  revision BIGINT NOT NULL,
  heard_at BIGINT NOT NULL,
  PRIMARY KEY (inbox, device, connection)
);
CREATE INDEX devices_heard ON devices (heard_at);

CREATE TABLE jobs (
  id TEXT COLLATE "C" PRIMARY KEY,
  kind TEXT NOT NULL,
  payload BYTEA NOT NULL,
  run_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  attempts BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX jobs_due ON jobs (run_at);
