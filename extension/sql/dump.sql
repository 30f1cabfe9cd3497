-- pg_dump carries the rows of every table: the install script puts no row in any of them.
DO $$
DECLARE
  table_id regclass;
BEGIN
  FOR table_id IN
    SELECT c.oid FROM pg_class AS c
     WHERE c.relnamespace = 'purser'::regnamespace AND c.relkind = 'r'
  LOOP
    PERFORM pg_extension_config_dump(table_id, '');
  END LOOP;
END
$$;
