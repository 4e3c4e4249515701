-- What tenants sent, by day (days since 1970, UTC): the daily budgets.
CREATE TABLE budgets (
  tenant TEXT COLLATE "C" NOT NULL,
  day BIGINT NOT NULL,
  sends BIGINT NOT NULL,
  PRIMARY KEY (tenant, day)
);
