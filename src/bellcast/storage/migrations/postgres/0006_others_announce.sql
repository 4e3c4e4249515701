-- Announcements written by other programs, as in 0004_others.sql for notifications; and tables that they truncate. Each inbox
-- determines for itself whether an announcement concerns it, so nodes are only notified to check all open inboxes.

-- Return the next number of a change of an announcement. It locks the counter until the end of the transaction.
CREATE FUNCTION others_number() RETURNS BIGINT LANGUAGE sql VOLATILE AS $$
  UPDATE counters SET value = value + 1 WHERE name = 'announcements' RETURNING value
$$;

CREATE FUNCTION announcement_allowed(a announcements) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
  n notifications;
BEGIN
  SELECT a.id, a.type, a.title, a.priority, a.actor, a.data, a.tags
  INTO n.id, n.type, n.title, n.priority, n.actor, n.data, n.tags;
  PERFORM notification_allowed(n);
  IF a.topic !~ '^[A-Za-z0-9_=@,.;-]{1,164}$' THEN
    RAISE check_violation USING MESSAGE = 'topic: must be 1 to 164 characters of A-Za-z0-9_-=@,.;';
  END IF;
END $$;

CREATE FUNCTION others_announced() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
BEGIN
  NEW.created_at := coalesce(NEW.created_at, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT));
  NEW.id := coalesce(NEW.id, new_id(NEW.created_at));
  NEW.tenant := coalesce(NEW.tenant, '');
  NEW.type := coalesce(NEW.type, 'general');
  NEW.priority := coalesce(NEW.priority, 'normal');
  PERFORM announcement_allowed(NEW);
  NEW.seq := others_number();
  NEW.changed := NEW.seq;
  RETURN NEW;
END $$;

CREATE FUNCTION others_corrected() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
BEGIN
  IF (NEW.seq, NEW.id, NEW.tenant, NEW.topic, NEW.type, NEW.tags, NEW."group", NEW.created_at) IS DISTINCT FROM
    (OLD.seq, OLD.id, OLD.tenant, OLD.topic, OLD.type, OLD.tags, OLD."group", OLD.created_at) THEN
    RAISE check_violation USING MESSAGE = 'an announcement keeps its id, type, tags, group and whom it is for';
  END IF;
  IF OLD.recalled_at IS NOT NULL AND NEW.recalled_at IS NULL THEN
    RAISE check_violation USING MESSAGE = 'recalled_at: what was recalled stays so; announce it anew';
  END IF;
  NEW.changed := OLD.changed;
  IF NEW IS NOT DISTINCT FROM OLD THEN
    RETURN NEW;
  END IF;
  PERFORM announcement_allowed(NEW);
  IF NEW.recalled_at IS NULL AND NEW.edited_at IS NOT DISTINCT FROM OLD.edited_at THEN
    NEW.edited_at := CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT);
  END IF;
  NEW.changed := others_number();
  RETURN NEW;
END $$;

-- A deletion becomes a recall: maintenance deletes the row when no inbox has it any longer.
CREATE FUNCTION others_recalled() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
BEGIN
  IF OLD.recalled_at IS NULL THEN
    UPDATE announcements SET recalled_at = CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)
    WHERE seq = OLD.seq;
  END IF;
  RETURN NULL;
END $$;

-- Inboxes that had rows get a new epoch, as after a restore: earlier positions lead to a `reset`. Rows of truncated
-- announcements are removed from inboxes one by one, like any deletion; without tombstones, earlier deletions cannot be replayed.
CREATE FUNCTION others_emptied() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
BEGIN
  IF TG_TABLE_NAME = 'notifications' THEN
    UPDATE recipients r
    SET epoch = floor(random() * 281474976710656)::bigint, revision = revision + 1, unread = 0, unseen = 0
    WHERE EXISTS (SELECT 1 FROM notifications n WHERE n.recipient = r.id);
    DELETE FROM notification_tags;
  ELSIF TG_TABLE_NAME = 'announcements' THEN
    DELETE FROM notifications WHERE announcement IS NOT NULL;
  ELSE
    UPDATE recipients r SET floor = revision WHERE EXISTS (SELECT 1 FROM tombstones t WHERE t.recipient = r.id);
  END IF;
  PERFORM pg_notify('bellcast_everybody', '');
  RETURN NULL;
END $$;

CREATE FUNCTION others_told() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
BEGIN
  PERFORM pg_notify('bellcast_everybody', '');
  RETURN NULL;
END $$;

CREATE TRIGGER others_announced BEFORE INSERT ON announcements FOR EACH ROW
WHEN (current_setting('application_name') <> 'bellcast') EXECUTE FUNCTION others_announced();
CREATE TRIGGER others_corrected BEFORE UPDATE ON announcements FOR EACH ROW
WHEN (current_setting('application_name') <> 'bellcast') EXECUTE FUNCTION others_corrected();
CREATE TRIGGER others_recalled BEFORE DELETE ON announcements FOR EACH ROW
WHEN (current_setting('application_name') <> 'bellcast') EXECUTE FUNCTION others_recalled();
CREATE TRIGGER others_told AFTER INSERT OR UPDATE ON announcements FOR EACH STATEMENT
WHEN (current_setting('application_name') <> 'bellcast') EXECUTE FUNCTION others_told();

CREATE TRIGGER others_emptied BEFORE TRUNCATE ON notifications FOR EACH STATEMENT
WHEN (current_setting('application_name') <> 'bellcast') EXECUTE FUNCTION others_emptied();
CREATE TRIGGER others_emptied BEFORE TRUNCATE ON announcements FOR EACH STATEMENT
WHEN (current_setting('application_name') <> 'bellcast') EXECUTE FUNCTION others_emptied();
CREATE TRIGGER others_emptied BEFORE TRUNCATE ON tombstones FOR EACH STATEMENT
WHEN (current_setting('application_name') <> 'bellcast') EXECUTE FUNCTION others_emptied();
