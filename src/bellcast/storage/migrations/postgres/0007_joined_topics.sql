-- Topics that live connections joined, for connection state recovery. They used to be stored with the last events of topics,
-- under "#rooms " and the id of the connection.
CREATE TABLE joined_topics (
  inbox BIGINT NOT NULL,
  connection TEXT COLLATE "C" NOT NULL,
  topics TEXT NOT NULL,
  saved_at BIGINT NOT NULL,
  PRIMARY KEY (inbox, connection)
);
CREATE INDEX joined_topics_saved ON joined_topics (saved_at);

DELETE FROM last_events WHERE topic >= '#rooms ' AND topic < '#rooms!';
