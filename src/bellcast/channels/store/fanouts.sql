-- name: fanout_insert
-- A trigger for an audience.
INSERT INTO fanouts (id, tenant, workflow, owner, version, audience, body, cancel_key, created_at, position, state, seq)
VALUES (
  :id, :tenant, :workflow, :owner, :version, :audience, :body, :cancel_key, :created_at, :position, :state, :seq
)

-- name: fanout_find
-- One trigger for an audience.
SELECT id, tenant, workflow, owner, version, audience, body, cancel_key, created_at, position, state, excluded, seq
FROM fanouts WHERE id = :id

-- name: fanout_states
-- The states of fan-outs, in any order.
SELECT id, state FROM fanouts WHERE id {{in_ids}}

-- name: fanout_hold @sqlite
-- The recipients excluded from a fan-out.
SELECT excluded FROM fanouts WHERE id = :id

-- name: fanout_hold @postgres
-- The recipients excluded from a fan-out; none is added before the commit.
SELECT excluded FROM fanouts WHERE id = :id FOR UPDATE

-- name: fanout_exclude
-- Leave recipients out of a fan-out.
UPDATE fanouts SET excluded = :excluded WHERE id = :id

-- name: fanout_move
-- Move a fan-out past a page that begins at its position.
UPDATE fanouts SET position = :position WHERE id = :id AND state = 'running' AND position = :after
RETURNING id

-- name: fanout_end
-- A fan-out without further recipients. An ended one names none: a recipient may be erased before it is deleted.
UPDATE fanouts SET state = 'done', position = '', excluded = '[]'
WHERE id = :id AND tenant = :tenant AND state = 'running'
RETURNING id

-- name: erase_fanouts
-- A tenant's triggers for audiences.
DELETE FROM fanouts WHERE tenant = :tenant

-- name: fanouts_forget
-- Fan-outs that began before :before and have ended, at most :limit.
DELETE FROM fanouts WHERE id IN (
  SELECT id FROM fanouts WHERE id < :before AND state <> 'running' ORDER BY id LIMIT :limit
)
RETURNING id

-- name: announcement_number
-- The next number of a change of an announcement.
UPDATE counters SET value = value + 1 WHERE name = 'announcements' RETURNING value
