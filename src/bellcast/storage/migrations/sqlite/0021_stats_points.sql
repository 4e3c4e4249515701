-- Statistics of the nodes, as JSON, in intervals of `step` milliseconds that begin at `at`.
CREATE TABLE stats_points (
  step INTEGER NOT NULL,
  at INTEGER NOT NULL,
  node TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (step, at, node)
) STRICT, WITHOUT ROWID;
