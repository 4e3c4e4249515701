-- BEFORE TRUNCATE trigger function of watched tables: records each audience of the rows once, while they still exist.
-- Without the privilege to read the table, the TRUNCATE proceeds unpublished.
CREATE FUNCTION bellcast.emptied() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bellcast, pg_temp AS $$
DECLARE
  watch JSONB := TG_ARGV[0];
  named TEXT := (SELECT string_agg(format('t.%I', name), ', ') FROM jsonb_array_elements_text(watch -> 'reaching') name);
  rows TEXT := 'SELECT ' || CASE WHEN named IS NULL THEN '' ELSE format('DISTINCT %s FROM %s t', named, TG_RELID::regclass) END;
BEGIN
  EXECUTE format(
    'INSERT INTO outbox (kind, payload) SELECT %L, jsonb_build_object(%L, %L, %L, to_jsonb(r), %L, $1) FROM (%s) r',
    'change', 'change', 'truncate', 'was', 'watch', rows
  ) USING watch;
  RETURN NULL;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE WARNING 'bellcast: TRUNCATE of % is not published: the owner of bellcast.emptied() may not read the table', TG_RELID::regclass;
  RETURN NULL;
END $$;

REVOKE ALL ON FUNCTION bellcast.emptied() FROM PUBLIC;
