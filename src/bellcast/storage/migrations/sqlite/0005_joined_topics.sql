-- Topics that live connections joined, for connection state recovery. They used to be stored with the last events of topics,
-- under "#rooms " and the id of the connection.
CREATE TABLE joined_topics (
  inbox INTEGER NOT NULL,
  connection TEXT NOT NULL,
  topics TEXT NOT NULL,
  saved_at INTEGER NOT NULL,
  PRIMARY KEY (inbox, connection)
) STRICT, WITHOUT ROWID;
CREATE INDEX joined_topics_saved ON joined_topics (saved_at);

DELETE FROM last_events WHERE topic >= '#rooms ' AND topic < '#rooms!';
