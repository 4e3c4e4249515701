-- Whom sessions still speak of after they were erased: a digest, and since when older sessions are refused.
CREATE TABLE erased (
  digest TEXT COLLATE "C" PRIMARY KEY,
  sessions_before BIGINT NOT NULL
);
CREATE INDEX erased_before ON erased (sessions_before);
