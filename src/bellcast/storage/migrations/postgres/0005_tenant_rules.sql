-- What tenants sent, by day (days since 1970, UTC): the daily budgets. Which tenants have rules of their own.
CREATE TABLE budgets (
  tenant TEXT COLLATE "C" NOT NULL,
  day BIGINT NOT NULL,
  sends BIGINT NOT NULL,
  PRIMARY KEY (tenant, day)
);
CREATE INDEX budgets_day ON budgets (day);

ALTER TABLE tenants ADD COLUMN ruled BIGINT NOT NULL DEFAULT 0;
CREATE INDEX tenants_ruled ON tenants (key) WHERE ruled = 1;
