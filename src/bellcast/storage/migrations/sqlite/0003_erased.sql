-- Whom sessions still speak of after they were erased: a digest, and since when older sessions are refused.
CREATE TABLE erased (
  digest TEXT PRIMARY KEY,
  sessions_before INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX erased_before ON erased (sessions_before);
