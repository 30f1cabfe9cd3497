-- pg_dump carries the rows of these tables. All of them: purser has no table whose rows the install
-- script alone would bring back, but for the default of default_plan.
DO $$
DECLARE
  table_id regclass;
BEGIN
  FOR table_id IN
    SELECT c.oid FROM pg_class AS c
     WHERE c.relnamespace = 'purser'::regnamespace AND c.relkind = 'r' AND c.relname <> 'setting'
  LOOP
    PERFORM pg_extension_config_dump(table_id, '');
  END LOOP;
  PERFORM pg_extension_config_dump('purser.setting', '');
END
$$;
