-- name: epochs_renew @sqlite
-- Every inbox begins another life: a position from before a restore may name changes that never were.
UPDATE recipients SET epoch = abs(random() % 281474976710656)

-- name: epochs_renew @postgres
-- Every inbox begins another life: a position from before a restore may name changes that never were.
UPDATE recipients SET epoch = floor(random() * 281474976710656)::bigint
