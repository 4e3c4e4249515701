-- When a recipient's own preferences last changed; null: never, or before this column existed.
ALTER TABLE recipients ADD COLUMN preferences_updated_at INTEGER;
