-- The number of a fan-out in the order of announcements: subscriptions with an earlier one had joined before. Older fan-outs compare
-- times.
ALTER TABLE fanouts ADD COLUMN seq INTEGER;
