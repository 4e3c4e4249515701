-- What `bellcast sql watch` puts before a TRUNCATE of a table. Everybody whom one of its rows reaches is told once, which can
-- be found out only while they are there. Where this may not be read, the table is emptied all the same.
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
  RAISE WARNING 'bellcast: nobody is told that % is empty: its owner may not read it', TG_RELID::regclass;
  RETURN NULL;
END $$;

REVOKE ALL ON FUNCTION bellcast.emptied() FROM PUBLIC;
