-- PostgreSQL expects 20 rows in an inbox, whatever the average is. If it expects only one, it takes any index that begins with the
-- recipient for a row with a known id, and reads the whole inbox: a large one where most others are tiny.
ALTER TABLE notifications ALTER COLUMN recipient SET (n_distinct = -0.05);
-- The value is used from the next ANALYZE on. An empty table keeps its estimates: PostgreSQL would expect it to stay empty.
DO $$ BEGIN
  IF EXISTS (SELECT FROM notifications) THEN
    ANALYZE notifications;
  END IF;
END $$;
