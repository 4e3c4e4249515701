-- The current version of a template. It is 1 in templates of an older server, which has no versions of them.
ALTER TABLE documents ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
