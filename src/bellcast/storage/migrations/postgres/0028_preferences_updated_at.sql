-- When a recipient's own preferences last changed; null: never, or before this column existed. Where servers of two releases
-- share the store, changes through the older one do not set it.
ALTER TABLE recipients ADD COLUMN preferences_updated_at BIGINT;
