-- Recipients, as a JSON array, for whom a fan-out adds no run: theirs were cancelled while it ran.
ALTER TABLE fanouts ADD COLUMN excluded TEXT NOT NULL DEFAULT '[]';
