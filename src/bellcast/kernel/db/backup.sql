-- name: epochs_renew @sqlite
-- Give every inbox a new epoch: positions from before a restore may name changes that the backup does not have.
UPDATE recipients SET epoch = abs(random() % 281474976710656)

-- name: epochs_renew @postgres
-- Give every inbox a new epoch: positions from before a restore may name changes that the backup does not have.
UPDATE recipients SET epoch = floor(random() * 281474976710656)::bigint
