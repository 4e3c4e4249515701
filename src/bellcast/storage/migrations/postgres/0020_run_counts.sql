-- The counts of a trigger's runs by state are read from the index alone.
DROP INDEX runs_trigger;
CREATE INDEX runs_trigger ON runs (tenant, "trigger", id, state);
