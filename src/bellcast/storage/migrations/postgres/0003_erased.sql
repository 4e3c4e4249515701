-- Erased recipients that valid sessions may still name: a digest, and the time before which sessions are refused.
CREATE TABLE erased (
  digest TEXT COLLATE "C" PRIMARY KEY,
  sessions_before BIGINT NOT NULL
);
CREATE INDEX erased_before ON erased (sessions_before);
