-- Rows of notifications written by other programs become changes of their inbox like any other: a new revision, adjusted
-- counters, a tombstone for a deletion; then a notification names the inbox to the nodes. The triggers skip Bellcast's own
-- connections, which follow these rules themselves and are recognized by their application_name in every version.

-- Return an id with this time (RFC 9562 §5.7).
CREATE FUNCTION new_id(at BIGINT) RETURNS TEXT LANGUAGE sql VOLATILE AS $$
  SELECT substr(t, 1, 8) || '-' || substr(t, 9, 4) || '-7' || substr(r, 16)
  FROM lpad(to_hex(at), 12, '0') t, CAST(gen_random_uuid() AS TEXT) r
$$;

CREATE FUNCTION notification_allowed(n notifications) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
  IF n.id !~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN
    RAISE check_violation USING MESSAGE = 'id: must be a UUID in lower case';
  END IF;
  IF n.announcement IS NULL AND coalesce(btrim(n.title), '') = '' THEN
    RAISE check_violation USING MESSAGE = 'title: must not be empty';
  END IF;
  IF n.type = '' THEN
    RAISE check_violation USING MESSAGE = 'type: must not be empty';
  END IF;
  IF n.priority NOT IN ('low', 'normal', 'high', 'urgent') THEN
    RAISE check_violation USING MESSAGE = 'priority: must be low, normal, high or urgent';
  END IF;
  IF json_typeof(n.data::json) <> 'object' THEN
    RAISE check_violation USING MESSAGE = 'data: must be a JSON object';
  END IF;
  IF json_typeof(n.tags::json) <> 'array'
    OR EXISTS (SELECT 1 FROM json_array_elements(n.tags::json) tag WHERE json_typeof(tag) <> 'string') THEN
    RAISE check_violation USING MESSAGE = 'tags: must be a JSON list of texts';
  END IF;
  IF json_typeof(n.actor::json) <> 'object' OR EXISTS (
    SELECT 1 FROM json_each(n.actor::json) a
    WHERE a.key NOT IN ('id', 'name', 'avatar') OR json_typeof(a.value) NOT IN ('string', 'null')
  ) THEN
    RAISE check_violation USING MESSAGE = 'actor: must be a JSON object of id, name and avatar';
  END IF;
END $$;

-- Increment the revision of an inbox, and notify the nodes at the commit. Returns the revision, or null if the inbox does not exist.
CREATE FUNCTION others_revise(inbox BIGINT, more_unread INT, more_unseen INT) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
  stands RECORD;
BEGIN
  UPDATE recipients SET revision = revision + 1, unread = unread + more_unread, unseen = unseen + more_unseen
  WHERE id = inbox RETURNING tenant, key, revision INTO stands;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  PERFORM pg_notify('bellcast_inboxes', CAST(json_build_array(stands.tenant, stands.key) AS TEXT));
  RETURN stands.revision;
END $$;

CREATE FUNCTION others_tag(n notifications) RETURNS VOID LANGUAGE sql AS $$
  INSERT INTO notification_tags (recipient, tag, id)
  SELECT DISTINCT n.recipient, tag, n.id FROM json_array_elements_text(n.tags::json) tag ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION others_untag(n notifications) RETURNS VOID LANGUAGE sql AS $$
  DELETE FROM notification_tags
  WHERE recipient = n.recipient AND id = n.id
    AND tag IN (SELECT tag FROM json_array_elements_text(n.tags::json) tag)
$$;

-- Return 1 for a row that counts as unread (or unseen), otherwise 0.
CREATE FUNCTION others_counts(done_at BIGINT, archived_at BIGINT) RETURNS INT LANGUAGE sql IMMUTABLE AS $$
  SELECT CAST(done_at IS NULL AND archived_at IS NULL AS INT)
$$;

CREATE FUNCTION others_inserted() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
BEGIN
  NEW.created_at := coalesce(NEW.created_at, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT));
  NEW.id := coalesce(NEW.id, new_id(NEW.created_at));
  NEW.type := coalesce(NEW.type, 'general');
  NEW.priority := coalesce(NEW.priority, CASE WHEN NEW.announcement IS NULL THEN 'normal' END);
  NEW.seen_at := coalesce(NEW.seen_at, NEW.read_at);
  NEW.part := CASE WHEN NEW.archived_at IS NOT NULL THEN 2 WHEN NEW.read_at IS NOT NULL THEN 1 ELSE 0 END;
  PERFORM notification_allowed(NEW);
  NEW.revision := others_revise(
    NEW.recipient, others_counts(NEW.read_at, NEW.archived_at), others_counts(NEW.seen_at, NEW.archived_at)
  );
  IF NEW.revision IS NULL THEN
    RAISE foreign_key_violation USING MESSAGE = format('recipient: there is no %s in bellcast.recipients', NEW.recipient);
  END IF;
  NEW.first_revision := NEW.revision;
  PERFORM others_tag(NEW);
  RETURN NEW;
END $$;

CREATE FUNCTION others_updated() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
BEGIN
  IF (NEW.recipient, NEW.id, NEW.announcement) IS DISTINCT FROM (OLD.recipient, OLD.id, OLD.announcement) THEN
    RAISE check_violation USING MESSAGE = 'a notification keeps its id and its recipient';
  END IF;
  IF NEW.seen_at IS NULL AND OLD.seen_at IS NOT NULL AND NEW.read_at IS NOT DISTINCT FROM OLD.read_at THEN
    NEW.read_at := NULL;  -- what was not seen was not read
  END IF;
  NEW.seen_at := coalesce(NEW.seen_at, NEW.read_at);
  NEW.part := CASE WHEN NEW.archived_at IS NOT NULL THEN 2 WHEN NEW.read_at IS NOT NULL THEN 1 ELSE 0 END;
  NEW.first_revision := OLD.first_revision;
  NEW.revision := OLD.revision;
  IF NEW IS NOT DISTINCT FROM OLD THEN
    RETURN NEW;
  END IF;
  PERFORM notification_allowed(NEW);
  NEW.revision := coalesce(others_revise(
    NEW.recipient,
    others_counts(NEW.read_at, NEW.archived_at) - others_counts(OLD.read_at, OLD.archived_at),
    others_counts(NEW.seen_at, NEW.archived_at) - others_counts(OLD.seen_at, OLD.archived_at)
  ), OLD.revision);
  PERFORM others_untag(OLD);
  PERFORM others_tag(NEW);
  RETURN NEW;
END $$;

CREATE FUNCTION others_deleted() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
DECLARE
  gone_at BIGINT := CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT);
  stands BIGINT := others_revise(
    OLD.recipient, -others_counts(OLD.read_at, OLD.archived_at), -others_counts(OLD.seen_at, OLD.archived_at)
  );
BEGIN
  PERFORM others_untag(OLD);
  IF stands IS NOT NULL THEN
    INSERT INTO tombstones (recipient, revision, id, first_revision, deleted_at)
    VALUES (OLD.recipient, stands, OLD.id, OLD.first_revision, gone_at);
  END IF;
  RETURN OLD;
END $$;

CREATE TRIGGER others_inserted BEFORE INSERT ON notifications FOR EACH ROW
WHEN (current_setting('application_name') <> 'bellcast') EXECUTE FUNCTION others_inserted();
CREATE TRIGGER others_updated BEFORE UPDATE ON notifications FOR EACH ROW
WHEN (current_setting('application_name') <> 'bellcast') EXECUTE FUNCTION others_updated();
CREATE TRIGGER others_deleted BEFORE DELETE ON notifications FOR EACH ROW
WHEN (current_setting('application_name') <> 'bellcast') EXECUTE FUNCTION others_deleted();
