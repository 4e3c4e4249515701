-- Who wrote a version of a workflow, and why. Null in versions of an older server.
ALTER TABLE workflow_versions ADD COLUMN "by" TEXT;
ALTER TABLE workflow_versions ADD COLUMN note TEXT;
