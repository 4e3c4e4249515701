-- Erased recipients that valid sessions may still name: a digest, and the time before which sessions are refused.
CREATE TABLE erased (
  digest TEXT PRIMARY KEY,
  sessions_before INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX erased_before ON erased (sessions_before);
