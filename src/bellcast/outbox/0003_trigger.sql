ALTER TABLE bellcast.outbox DROP CONSTRAINT outbox_kind_check;
ALTER TABLE bellcast.outbox ADD CONSTRAINT outbox_kind_check CHECK (kind IN ('notify', 'publish', 'change', 'trigger'));

-- Triggers a workflow. `recipients` is the `to` of POST /v1/workflows/{key}/trigger: a key, a list of keys, or an audience.
CREATE FUNCTION bellcast.trigger(workflow TEXT, recipients JSONB, data JSONB DEFAULT '{}') RETURNS BIGINT
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
  INSERT INTO outbox (kind, payload) VALUES (
    'trigger', jsonb_build_object('workflow', workflow, 'to', recipients, 'data', coalesce(data, '{}'))
  ) RETURNING id
$$;

-- Triggers a workflow for one recipient.
CREATE FUNCTION bellcast.trigger(workflow TEXT, recipient TEXT, data JSONB DEFAULT '{}') RETURNS BIGINT
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
  SELECT bellcast.trigger(workflow, to_jsonb(recipient), data)
$$;

REVOKE ALL ON FUNCTION bellcast.trigger(TEXT, JSONB, JSONB), bellcast.trigger(TEXT, TEXT, JSONB) FROM PUBLIC;
