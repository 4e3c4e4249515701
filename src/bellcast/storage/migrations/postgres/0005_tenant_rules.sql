-- Numbers of sends by tenant and day (days since 1970, UTC), for the daily budgets; and the tenants with their own rules.
CREATE TABLE budgets (
  tenant TEXT COLLATE "C" NOT NULL,
  day BIGINT NOT NULL,
  sends BIGINT NOT NULL,
  PRIMARY KEY (tenant, day)
);
CREATE INDEX budgets_day ON budgets (day);

ALTER TABLE tenants ADD COLUMN ruled BIGINT NOT NULL DEFAULT 0;
CREATE INDEX tenants_ruled ON tenants (key) WHERE ruled = 1;
