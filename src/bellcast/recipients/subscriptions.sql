-- name: subscription_insert
-- Subscribe a recipient to a topic. It does not receive earlier announcements.
INSERT INTO subscriptions (tenant, topic, recipient, key, joined, created_at)
SELECT :tenant, :topic, :inbox, :key, value, :now FROM counters WHERE name = 'announcements'
ON CONFLICT (recipient, topic) DO NOTHING
RETURNING topic

-- name: subscription_find
-- The subscription of a recipient to a topic.
SELECT topic, key, created_at FROM subscriptions WHERE recipient = :inbox AND topic = :topic

-- name: subscription_delete
-- Unsubscribe a recipient from a topic.
DELETE FROM subscriptions WHERE recipient = :inbox AND topic = :topic

-- name: subscription_page
-- The subscribers of a topic, by key; with :seq, those who had joined before this announcement or fan-out.
SELECT topic, key, created_at FROM subscriptions
WHERE tenant = :tenant AND topic = :topic AND key > :after AND (CAST(:seq AS BIGINT) IS NULL OR joined < :seq)
ORDER BY key LIMIT :limit

-- name: subscriptions_of_recipient
-- The topics of one recipient, by name.
SELECT s.topic, s.key, s.created_at
FROM recipients r JOIN subscriptions s ON s.recipient = r.id
WHERE r.tenant = :tenant AND r.key = :key AND s.topic > :after
ORDER BY s.topic LIMIT :limit

-- name: topics_page
-- Topics with subscribers by name, from :first up to :last, with their numbers of subscribers up to 10,000. Each step reads one entry
-- of the index: a topic has up to millions of subscriptions.
WITH RECURSIVE names (topic) AS (
  SELECT min(topic) FROM subscriptions
  WHERE tenant = :tenant AND topic > :after AND topic >= :first AND topic < :last
  UNION ALL
  SELECT (SELECT min(s.topic) FROM subscriptions s WHERE s.tenant = :tenant AND s.topic > names.topic AND s.topic < :last)
  FROM names WHERE names.topic IS NOT NULL
)
SELECT topic, (
  SELECT count(*) FROM (SELECT 1 FROM subscriptions s WHERE s.tenant = :tenant AND s.topic = names.topic LIMIT 10000) AS few
) FROM names WHERE topic IS NOT NULL LIMIT :limit

-- name: topics_of_all
-- Topics of all tenants with subscribers, by tenant and name, with the numbers of subscribers up to 10,000 of those from :first
-- up to :last. Each step reads two entries of the index.
WITH RECURSIVE names (tenant, topic) AS (
  SELECT
    (SELECT s.tenant FROM subscriptions s WHERE (s.tenant, s.topic) > (:after_tenant, :after) ORDER BY s.tenant, s.topic LIMIT 1),
    (SELECT s.topic FROM subscriptions s WHERE (s.tenant, s.topic) > (:after_tenant, :after) ORDER BY s.tenant, s.topic LIMIT 1)
  UNION ALL
  SELECT
    (SELECT s.tenant FROM subscriptions s WHERE (s.tenant, s.topic) > (names.tenant, names.topic)
     ORDER BY s.tenant, s.topic LIMIT 1),
    (SELECT s.topic FROM subscriptions s WHERE (s.tenant, s.topic) > (names.tenant, names.topic)
     ORDER BY s.tenant, s.topic LIMIT 1)
  FROM names WHERE names.topic IS NOT NULL
)
SELECT tenant, topic, CASE WHEN topic >= :first AND topic < :last THEN (
  SELECT count(*) FROM (
    SELECT 1 FROM subscriptions s WHERE s.tenant = names.tenant AND s.topic = names.topic LIMIT 10000
  ) AS few
) END FROM names WHERE topic IS NOT NULL LIMIT :limit

-- name: subscribed @sqlite
-- The given topics that a recipient is subscribed to.
SELECT s.topic FROM json_each(:topics) t
CROSS JOIN recipients r ON r.tenant = :tenant AND r.key = :key
CROSS JOIN subscriptions s ON s.recipient = r.id AND s.topic = t.value

-- name: subscribed @postgres
-- The given topics that a recipient is subscribed to.
SELECT topic FROM subscriptions WHERE recipient = (SELECT id FROM recipients WHERE tenant = :tenant AND key = :key)
  AND topic = ANY(ARRAY(SELECT value FROM json_array_elements_text(:topics::json)))

-- name: subscriptions_existing @sqlite
-- The given subscriptions, as [tenant, recipient, topic], that still exist.
SELECT r.tenant, r.key, s.topic FROM json_each(:grants) k
CROSS JOIN recipients r ON r.tenant = json_extract(k.value, '$[0]') AND r.key = json_extract(k.value, '$[1]')
CROSS JOIN subscriptions s ON s.recipient = r.id AND s.topic = json_extract(k.value, '$[2]')

-- name: subscriptions_existing @postgres
-- The given subscriptions, as [tenant, recipient, topic], that still exist. The topic is an expression without an index:
-- with few rows, PostgreSQL might scan the index by topic instead of the subscriptions of one recipient.
SELECT r.tenant, r.key, s.topic FROM json_array_elements(:grants::json) k
CROSS JOIN LATERAL (
  SELECT id, tenant, key FROM recipients WHERE tenant = k.value ->> 0 AND key = k.value ->> 1 OFFSET 0
) r
CROSS JOIN LATERAL (SELECT topic FROM subscriptions WHERE recipient = r.id AND topic || '' = k.value ->> 2 OFFSET 0) s
