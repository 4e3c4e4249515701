-- The identity of the database (`kernel/db/postgres_connection.py`); null: not read yet.
ALTER TABLE schema_version ADD COLUMN identity TEXT;
