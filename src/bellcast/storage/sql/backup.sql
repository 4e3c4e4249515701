-- name: epochs_renew @sqlite
-- Every inbox begins another life: a position from before a restore may name changes that never were.
UPDATE recipients SET epoch = abs(random() % 281474976710656)
