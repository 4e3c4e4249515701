-- What tenants sent, by day (days since 1970, UTC): the daily budgets. Which tenants have rules of their own.
CREATE TABLE budgets (
  tenant TEXT NOT NULL,
  day INTEGER NOT NULL,
  sends INTEGER NOT NULL,
  PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX budgets_day ON budgets (day);

ALTER TABLE tenants ADD COLUMN ruled INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tenants_ruled ON tenants (key) WHERE ruled = 1;
