-- fragment: sent_columns
-- The columns of a notification that a send writes.
recipient, id, first_revision, revision, type, title, body, priority, action_url, action_text, icon, actor, data,
  tags, "group", created_at, expires_at, body_format, actions, template

-- name: notification_insert
-- A notification sent to one recipient.
INSERT INTO notifications ({{sent_columns}}) VALUES (
  :inbox, :id, :revision, :revision, :type, :title, :body, :priority, :action_url, :action_text, :icon, :actor, :data,
  :tags, :group, :created_at, :expires_at, :body_format, :actions, :template
)

-- name: notification_import
-- A notification of another system, with its times. Its first revision is 0: it is new to no client.
INSERT INTO notifications ({{sent_columns}}, seen_at, read_at, archived_at, part) VALUES (
  :inbox, :id, 0, :revision, :type, :title, :body, :priority, :action_url, :action_text, :icon, :actor, :data,
  :tags, :group, :created_at, :expires_at, :body_format, :actions, :template, :seen_at, :read_at, :archived_at, :part
)

-- name: notifications_add @postgres
-- Add rows for recipients that exist; return the previous states of their inboxes, in the order of the parameters. It writes and
-- returns nothing unless all exist. It locks inboxes in the order of their numbers, as all writers do. Locked rows are read as
-- they are after the lock; other rows would be read as of the start of the statement, so it reads no others. Arrays in the same
-- order replace joins: recipients by place, those of `named` and `held` by number. For a join to the table PostgreSQL might choose
-- a nested loop over all pairs while its statistics show few rows.
WITH named AS MATERIALIZED (
  SELECT r.id, w.place, w.more
  FROM unnest(:tenants::text[], :keys::text[], :counts::bigint[]) WITH ORDINALITY w (tenant, key, more, place)
  CROSS JOIN LATERAL (SELECT id FROM recipients WHERE tenant = w.tenant AND key = w.key OFFSET 0) r
  ORDER BY r.id
), held AS MATERIALIZED (
  SELECT id, epoch, revision, unread, unseen FROM recipients
  WHERE id = ANY(ARRAY(SELECT id FROM named)) ORDER BY id FOR NO KEY UPDATE
), stands AS MATERIALIZED (
  SELECT s.* FROM unnest(
    ARRAY(SELECT place FROM named), ARRAY(SELECT more FROM named), ARRAY(SELECT id FROM held),
    ARRAY(SELECT epoch FROM held), ARRAY(SELECT revision FROM held), ARRAY(SELECT unread FROM held),
    ARRAY(SELECT unseen FROM held)
  ) s (place, more, inbox, epoch, revision, unread, unseen)
  WHERE (SELECT count(*) FROM held) = cardinality(:keys::text[]) ORDER BY s.place
), stood AS (
  UPDATE recipients SET
    revision = revision + (ARRAY(SELECT more FROM named))[width_bucket(id, ARRAY(SELECT id FROM named))],
    unread = unread + (ARRAY(SELECT more FROM named))[width_bucket(id, ARRAY(SELECT id FROM named))],
    unseen = unseen + (ARRAY(SELECT more FROM named))[width_bucket(id, ARRAY(SELECT id FROM named))]
  WHERE id = ANY(ARRAY(SELECT inbox FROM stands))
), tagged AS (
  INSERT INTO notification_tags (recipient, tag, id)
  SELECT (ARRAY(SELECT inbox FROM stands))[t.place], t.tag, t.id
  FROM unnest(:tag_places::bigint[], :tag_names::text[], :tag_ids::text[]) t (place, tag, id)
  WHERE EXISTS (SELECT FROM stands)
), made AS (
  INSERT INTO notifications ({{sent_columns}})
  SELECT
    (ARRAY(SELECT inbox FROM stands))[n.place], n.id, (ARRAY(SELECT revision FROM stands))[n.place] + n.nth,
    (ARRAY(SELECT revision FROM stands))[n.place] + n.nth, n.type, n.title, n.body, n.priority, n.action_url,
    n.action_text, n.icon, n.actor, n.data, n.tags, n."group", n.created_at, n.expires_at,
    n.body_format, n.actions, n.template
  FROM unnest(
    :places::bigint[], :nths::bigint[], :ids::text[], :type::text[], :title::text[], :body::text[], :priority::text[],
    :action_url::text[], :action_text::text[], :icon::text[], :actor::text[], :data::text[], :tags::text[],
    :group::text[], :created_at::bigint[], :expires_at::bigint[], :body_format::text[], :actions::text[],
    :template::text[]
  ) n (
    place, nth, id, type, title, body, priority, action_url, action_text, icon, actor, data, tags, "group", created_at,
    expires_at, body_format, actions, template
  )
  WHERE EXISTS (SELECT FROM stands)
)
SELECT epoch, revision, unread, unseen FROM stands

-- name: tag_row
-- One tag of one row.
INSERT INTO notification_tags (recipient, tag, id) VALUES (:inbox, :tag, :id)

-- name: direct_find
-- A notification sent to a recipient of one tenant.
SELECT e.*, r.key, r.tenant, n.return_by FROM notifications n
JOIN recipients r ON r.id = n.recipient AND r.tenant = :tenant
JOIN inbox_entries e ON e.recipient = n.recipient AND e.id = n.id
WHERE n.id = :id AND n.announcement IS NULL

-- name: sent_last
-- The last notification that one page compares with its filters.
SELECT id FROM notifications WHERE announcement IS NULL AND id < :before AND id >= :since
ORDER BY id DESC LIMIT 1 OFFSET :skipped

-- fragment: sent_filters
-- The filters of a list of sends. Null filters match everything. The row is only read for a type, a part or a template; the
-- other columns of a list are in its index.
((COALESCE(CAST(:type AS TEXT), CAST(:template AS TEXT)) IS NULL AND CAST(:part AS INTEGER) IS NULL) OR EXISTS (
    SELECT 1 FROM notifications f WHERE f.recipient = n.recipient AND f.id = n.id
      AND (CAST(:type AS TEXT) IS NULL OR f.type = :type) AND (CAST(:part AS INTEGER) IS NULL
        OR f.part = :part AND (f.part < 2 OR f.snoozed_until IS NULL))
      AND (CAST(:template AS TEXT) IS NULL OR f.template = :template)
  ))
  AND (CAST(:tag AS TEXT) IS NULL OR EXISTS (
    SELECT 1 FROM notification_tags t WHERE t.recipient = n.recipient AND t.tag = :tag AND t.id = n.id
  ))

-- fragment: sent_entry
-- A row of a list: `return_by` is read by its id, because no index of the lists has it.
e.*, n.key, n.tenant, (SELECT f.return_by FROM notifications f WHERE f.recipient = e.recipient AND f.id = e.id)

-- name: sent_page
-- Notifications to named recipients, newest first. The inner query reads the index in order and stops at the limit.
SELECT {{sent_entry}} FROM (
  SELECT n.recipient, n.id, r.key, r.tenant
  FROM notifications n JOIN recipients r ON r.id = n.recipient
  WHERE n.announcement IS NULL AND n.id < :before AND n.id >= :since
    AND (CAST(:tenant AS TEXT) = '*' OR r.tenant = :tenant) AND {{sent_filters}}
  ORDER BY n.id DESC LIMIT :limit
) n JOIN inbox_entries e ON e.recipient = n.recipient AND e.id = n.id
ORDER BY n.id DESC

-- name: sent_of_tenant_size @sqlite
-- Number of a tenant's recipients and of the rows of their inboxes, each up to :most.
WITH owners AS MATERIALIZED (SELECT id FROM recipients WHERE tenant = :tenant LIMIT :most)
SELECT (SELECT count(*) FROM owners) + (
  SELECT count(*) FROM (
    SELECT 1 FROM owners CROSS JOIN notifications n WHERE n.recipient = owners.id LIMIT :most
  ) AS few
)

-- name: sent_of_tenant_size @postgres
-- Number of a tenant's recipients and of the rows of their inboxes, each up to :most. OFFSET 0 prevents a join that would read
-- the inboxes of all tenants.
WITH owners AS MATERIALIZED (SELECT id FROM recipients WHERE tenant = :tenant LIMIT :most)
SELECT (SELECT count(*) FROM owners) + (
  SELECT count(*) FROM (
    SELECT 1 FROM owners CROSS JOIN LATERAL (SELECT 1 FROM notifications WHERE recipient = owners.id OFFSET 0) n
    LIMIT :most
  ) AS few
)

-- fragment: sent_of_tenant @sqlite
-- The notifications to the recipients of one tenant, found by recipient.
recipients r CROSS JOIN notifications n
WHERE r.tenant = :tenant AND n.recipient = r.id
  AND n.announcement IS NULL AND n.id < :before AND n.id >= :since AND {{sent_filters}}

-- fragment: sent_of_tenant @postgres
-- The notifications to the recipients of one tenant, found by recipient. OFFSET 0 prevents a join that would read the inboxes of
-- all tenants.
recipients r CROSS JOIN LATERAL (
  SELECT recipient, id FROM notifications WHERE recipient = r.id AND announcement IS NULL OFFSET 0
) n
WHERE r.tenant = :tenant AND n.id < :before AND n.id >= :since AND {{sent_filters}}

-- name: sent_of_tenant_page
-- Notifications to the recipients of a tenant that has few rows, newest first.
SELECT {{sent_entry}} FROM (
  SELECT n.recipient, n.id, r.key, r.tenant FROM {{sent_of_tenant}}
  ORDER BY n.id DESC LIMIT :limit
) n JOIN inbox_entries e ON e.recipient = n.recipient AND e.id = n.id
ORDER BY n.id DESC

-- name: sent_of_tenant_total
-- Number of notifications to the recipients of a tenant that has few rows.
SELECT count(*) FROM {{sent_of_tenant}}

-- name: sent_of_recipient_last
-- The last notification of a recipient that one page compares with its filters.
SELECT id FROM notifications
WHERE recipient = (SELECT id FROM recipients WHERE tenant = :tenant AND key = :recipient)
  AND announcement IS NULL AND id < :before AND id >= :since
ORDER BY id DESC LIMIT 1 OFFSET :skipped

-- name: sent_of_recipient_page
-- Notifications to one recipient, newest first.
SELECT {{sent_entry}} FROM (
  SELECT n.recipient, n.id, CAST(:recipient AS TEXT) AS key, CAST(:tenant AS TEXT) AS tenant
  FROM notifications n
  WHERE n.recipient = (SELECT id FROM recipients WHERE tenant = :tenant AND key = :recipient)
    AND n.announcement IS NULL AND n.id < :before AND n.id >= :since AND {{sent_filters}}
  ORDER BY n.id DESC LIMIT :limit
) n JOIN inbox_entries e ON e.recipient = n.recipient AND e.id = n.id
ORDER BY n.id DESC

-- name: sent_total
-- Number of notifications to named recipients. The recipient of each is found by its number: a join might read all.
SELECT count(*) FROM notifications n
WHERE n.announcement IS NULL AND n.id < :before AND n.id >= :since
  AND (CAST(:tenant AS TEXT) = '*' OR (SELECT r.tenant FROM recipients r WHERE r.id = n.recipient) = :tenant)
  AND {{sent_filters}}

-- name: sent_of_recipient_total
-- Number of notifications to one recipient.
SELECT count(*) FROM notifications n
WHERE n.recipient = (SELECT id FROM recipients WHERE tenant = :tenant AND key = :recipient)
  AND n.announcement IS NULL AND n.id < :before AND n.id >= :since AND {{sent_filters}}

-- name: sends_recent
-- The newest notifications to named recipients and announcements by tenant and type, of each source at most :most, with the time
-- of the last one.
SELECT count(*), tenant, type, max(created_at) FROM (
  SELECT r.tenant, n.type, n.created_at FROM (
    SELECT recipient, id FROM notifications
    WHERE announcement IS NULL AND id < :before AND id >= :since ORDER BY id DESC LIMIT :most
  ) few
  JOIN notifications n ON n.recipient = few.recipient AND n.id = few.id
  JOIN recipients r ON r.id = few.recipient
  UNION ALL
  SELECT * FROM (
    SELECT o.tenant, o.type, o.created_at FROM {{outside_of_all}} ORDER BY o.id DESC LIMIT :most
  ) few
  UNION ALL
  SELECT * FROM (
    SELECT tenant, type, created_at FROM announcements WHERE id < :before AND id >= :since ORDER BY id DESC LIMIT :most
  ) few
) few GROUP BY tenant, type

-- name: direct_edit
-- Edit a notification sent to one recipient.
UPDATE notifications SET
  title = :title, body = :body, priority = :priority, action_url = :action_url, action_text = :action_text,
  icon = :icon, data = :data, expires_at = :expires_at, body_format = :body_format, actions = :actions,
  edited_at = :now, revision = :revision
WHERE recipient = :inbox AND id = :id

-- name: claims_add @sqlite
-- Claim recipients; those that are claimed already are not returned. No workflow has an empty key.
INSERT INTO step_counters (tenant, workflow, step, recipient, "by", run, body, revision, expires_at)
SELECT :tenant, '', :claim, value, '', NULL, '{}', 1, :expires_at FROM json_each(:recipients) WHERE true
ON CONFLICT DO NOTHING
RETURNING recipient

-- name: claims_add @postgres
-- Claim recipients; those that are claimed already are not returned. No workflow has an empty key.
INSERT INTO step_counters (tenant, workflow, step, recipient, "by", run, body, revision, expires_at)
SELECT :tenant, '', :claim, value, '', NULL, '{}', 1, CAST(:expires_at AS BIGINT)
FROM json_array_elements_text(:recipients::json)
ON CONFLICT DO NOTHING
RETURNING recipient
