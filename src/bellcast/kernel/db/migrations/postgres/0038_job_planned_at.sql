-- When the time of a job was chosen (UTC milliseconds): later than now if the clock was ahead. 0: by a server of an older
-- version.
ALTER TABLE jobs ADD COLUMN planned_at BIGINT NOT NULL DEFAULT 0;
