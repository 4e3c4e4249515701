-- The identity of the database (`storage/postgres_identity.py`); null: not read yet.
ALTER TABLE schema_version ADD COLUMN identity TEXT;
