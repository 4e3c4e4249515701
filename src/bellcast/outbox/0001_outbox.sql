-- Rows that apps write in their transactions and a node consumes after the commit.
-- `key` is the idempotency key: a row that is consumed twice is sent once, also after a restore. `due_at` is set for rows
-- over their tenant's rate or budget: they are ordered behind fresh rows, so that they do not delay other tenants.
CREATE TABLE bellcast.outbox (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key UUID NOT NULL DEFAULT gen_random_uuid(),
  kind TEXT NOT NULL CHECK (kind IN ('notify', 'publish', 'change')),
  payload JSONB NOT NULL,
  written_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  due_at TIMESTAMPTZ NOT NULL DEFAULT '-infinity'
);
CREATE INDEX outbox_due ON bellcast.outbox (due_at, id);

-- Rows that cannot be sent, with the reason. `bellcast sql retry` puts them back.
CREATE TABLE bellcast.refused (
  id BIGINT PRIMARY KEY,
  key UUID NOT NULL,
  kind TEXT NOT NULL,
  payload JSONB NOT NULL,
  written_at TIMESTAMPTZ NOT NULL,
  refused_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  error TEXT NOT NULL
);

CREATE TABLE bellcast.outbox_version (version BIGINT NOT NULL);
INSERT INTO bellcast.outbox_version VALUES (0);

-- Wakes the nodes. PostgreSQL delivers the notification at the commit, once per transaction.
CREATE FUNCTION bellcast.outbox_written() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path = bellcast, pg_temp AS $$
BEGIN
  PERFORM pg_notify('bellcast_outbox', '');
  RETURN NULL;
END $$;

CREATE TRIGGER outbox_written AFTER INSERT ON bellcast.outbox
FOR EACH STATEMENT EXECUTE FUNCTION bellcast.outbox_written();

-- Takes the body of POST /v1/notifications, `to` included. Returns the row's number.
CREATE FUNCTION bellcast.notify(notification JSONB) RETURNS BIGINT
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
  INSERT INTO outbox (kind, payload) VALUES ('notify', notification) RETURNING id
$$;

-- Takes one recipient and the body without `to`.
CREATE FUNCTION bellcast.notify(recipient TEXT, notification JSONB) RETURNS BIGINT
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
  INSERT INTO outbox (kind, payload) VALUES ('notify', notification || jsonb_build_object('to', recipient)) RETURNING id
$$;

-- Takes the body of POST /v1/events.
CREATE FUNCTION bellcast.publish(event JSONB) RETURNS BIGINT
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
  INSERT INTO outbox (kind, payload) VALUES ('publish', event) RETURNING id
$$;

-- Publishes a live event on a topic.
CREATE FUNCTION bellcast.publish(topic TEXT, name TEXT, data JSONB DEFAULT 'null') RETURNS BIGINT
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
  INSERT INTO outbox (kind, payload)
  VALUES ('publish', jsonb_build_object('topic', topic, 'name', name, 'data', coalesce(data, 'null'))) RETURNING id
$$;

-- Trigger function of watched tables. The trigger's argument lists the recorded columns and the audience. An UPDATE
-- that changes no recorded column is skipped.
CREATE FUNCTION bellcast.changed() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
DECLARE
  watch JSONB := TG_ARGV[0];
  kept TEXT[] := ARRAY(SELECT jsonb_array_elements_text(watch -> 'kept'));
  was JSONB;
  is_now JSONB;
BEGIN
  IF TG_OP <> 'INSERT' THEN
    SELECT coalesce(jsonb_object_agg(key, value), '{}') INTO was FROM jsonb_each(to_jsonb(OLD)) WHERE key = ANY (kept);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    SELECT coalesce(jsonb_object_agg(key, value), '{}') INTO is_now FROM jsonb_each(to_jsonb(NEW)) WHERE key = ANY (kept);
  END IF;
  IF was IS DISTINCT FROM is_now THEN
    INSERT INTO outbox (kind, payload) VALUES (
      'change', jsonb_build_object('change', lower(TG_OP), 'was', was, 'is', is_now, 'watch', watch)
    );
  END IF;
  RETURN NULL;
END $$;

-- Execution is reserved to the owner until `bellcast sql install --grant ROLE`.
REVOKE ALL ON FUNCTION
  bellcast.notify(JSONB), bellcast.notify(TEXT, JSONB), bellcast.publish(JSONB), bellcast.publish(TEXT, TEXT, JSONB),
  bellcast.changed(), bellcast.outbox_written()
FROM PUBLIC;
