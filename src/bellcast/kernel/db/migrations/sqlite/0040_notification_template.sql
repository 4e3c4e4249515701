-- The template that a send to named recipients named: its authors see the data of the last ones.
ALTER TABLE notifications ADD COLUMN template TEXT;
