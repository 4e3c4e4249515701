-- Numbers of sends by tenant and day (days since 1970, UTC), for the daily budgets; and the tenants with their own rules.
CREATE TABLE budgets (
  tenant TEXT NOT NULL,
  day INTEGER NOT NULL,
  sends INTEGER NOT NULL,
  PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX budgets_day ON budgets (day);

ALTER TABLE tenants ADD COLUMN ruled INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tenants_ruled ON tenants (key) WHERE ruled = 1;
