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

-- name: version_authors @sqlite
-- Who wrote versions of objects.
SELECT v.owner, v.workflow, v."by" FROM json_each(:places) one
JOIN workflow_versions v ON v.owner = one.value ->> 0 AND v.workflow = one.value ->> 1 AND v.version = one.value ->> 2

-- name: version_authors @postgres
-- Who wrote versions of objects.
SELECT v.owner, v.workflow, v."by" FROM json_array_elements(:places::json) AS one (value)
JOIN workflow_versions v ON v.owner = one.value ->> 0 AND v.workflow = one.value ->> 1 AND v.version = (one.value ->> 2)::integer

-- name: version_add
-- A new version of an object.
INSERT INTO workflow_versions (owner, workflow, version, body, created_at, "by", note)
VALUES (:owner, :name, :version, :body, :now, :by, :note)
ON CONFLICT DO NOTHING
RETURNING version

-- name: erase_versions
-- The versions of a tenant's own objects.
DELETE FROM workflow_versions WHERE owner = :tenant
