-- The digest that a message is part of; a digest has its own id here.
ALTER TABLE messages ADD COLUMN digest TEXT;
CREATE INDEX messages_digest ON messages (digest) WHERE digest IS NOT NULL;
