-- What tenants sent, by day (days since 1970, UTC): the daily budgets.
CREATE TABLE budgets (
  tenant TEXT NOT NULL,
  day INTEGER NOT NULL,
  sends INTEGER NOT NULL,
  PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;
