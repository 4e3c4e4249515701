-- Statistics of the nodes, as JSON, in intervals of `step` milliseconds that begin at `at`.
CREATE TABLE stats_points (
  step BIGINT NOT NULL,
  at BIGINT NOT NULL,
  node TEXT COLLATE "C" NOT NULL,
  body TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (step, at, node)
);
