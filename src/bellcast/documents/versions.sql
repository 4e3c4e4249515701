-- name: versions_infos
-- The versions of an object without their bodies, the last first.
SELECT version, '', created_at, "by", note FROM workflow_versions
WHERE owner = :owner AND workflow = :name ORDER BY version DESC LIMIT :limit

-- name: version_last
-- The last version of an object.
SELECT version, body, created_at, "by", note FROM workflow_versions
WHERE owner = :owner AND workflow = :name ORDER BY version DESC LIMIT 1

-- name: version_find
-- One version of an object.
SELECT version, body, created_at, "by", note FROM workflow_versions
WHERE owner = :owner AND workflow = :name AND version = :version

-- name: version_add
-- A new version of an object.
INSERT INTO workflow_versions (owner, workflow, version, body, created_at, "by", note)
VALUES (:owner, :name, :version, :body, :now, :by, :note)
ON CONFLICT DO NOTHING
RETURNING version

-- name: erase_versions
-- The versions of a tenant's own objects.
DELETE FROM workflow_versions WHERE owner = :tenant
